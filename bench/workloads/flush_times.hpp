// When flushes began: a machine that notes each call that takes access away, and the list that it notes them in.
//
// Who is interrupted is decided while the call runs, so the moment it began, held against the victims' logs, says which
// interrupts to expect. Cost: one reading of the steady clock a flush, about 25 ns in one or more thousand.
//
// Thread safety: a list belongs to the thread whose flushes it takes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "bench/workloads/victim.hpp"
#include "impl/platform/protection.hpp"

namespace page_map_lab::bench {

class FlushTimes {
public:
    /// Room for `most`, touched beforehand: a list that grew would fault, and flush, inside the measurement.
    explicit FlushTimes(std::size_t most) : most_(most), moments_(most) { moments_.clear(); }

    bool has_room_for(std::size_t flushes) const { return moments_.size() + flushes <= most_; }

    /// Those that began during `operation`, of a list that is in order.
    std::span<const VictimClock::time_point> during(const TimeSpan& operation) const {
        const auto first = std::lower_bound(moments_.begin(), moments_.end(), operation.started);
        return {first, std::upper_bound(first, moments_.end(), operation.ended)};
    }

    /// While it lives, the calling thread's flushes are noted in `times`.
    class Scope {
    public:
        explicit Scope(FlushTimes& times) noexcept : before_(std::exchange(taking, &times)) {}
        ~Scope() { taking = before_; }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        FlushTimes* before_;
    };

    /// A flush of the calling thread begins now.
    static void note() noexcept {
        if (taking != nullptr && taking->has_room_for(1)) {
            taking->moments_.push_back(VictimClock::now());
        }
    }

private:
    static inline thread_local FlushTimes* taking = nullptr;
    const std::size_t most_;
    std::vector<VictimClock::time_point> moments_;
};

/// A machine whose flushes are noted.
template <class Machine>
struct NotesFlushes : Machine {
    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        if (access == Access::none) {
            FlushTimes::note();
        }
        return Machine::set_access(base, bytes, access);
    }
};

}  // namespace page_map_lab::bench
