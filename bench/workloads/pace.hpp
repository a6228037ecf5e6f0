// When operations are due: at once one after the other (a closed loop), or one every so many nanoseconds (an open loop).
//
// In a closed loop a slow operation delays the next, which is then measured as if nobody had been waiting for it: tails
// are omitted. In an open loop latency counts from when an operation was due, so that a late start is part of it, and an
// interval that cannot be kept shows as latency that grows.
//
// Thread safety: each belongs to its thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/harness/parameters.hpp"
#include "impl/page_map/machine.hpp"

namespace page_map_lab::bench {

template <class Clock = std::chrono::steady_clock>
class Pace {
public:
    using TimePoint = typename Clock::time_point;

    /// The first operation is due when `next` is first called, the others every `interval_ns` after it; 0: each when it
    /// starts.
    explicit Pace(std::uint64_t interval_ns) : interval_(std::chrono::nanoseconds(interval_ns)) {}

    /// Waits until the next operation is due, calling `between()` again and again, or until `stopping()`; one that is
    /// late starts at once. Returns from when its latency counts.
    template <class Stopping, class Between>
    TimePoint next(Stopping&& stopping, Between&& between) {
        if (interval_ == interval_.zero()) {
            return Clock::now();
        }
        const TimePoint due = begun_ ? next_due_ : Clock::now();
        next_due_ = due + interval_;
        begun_ = true;
        while (Clock::now() < due && !stopping()) {
            RealMachine::relax();
            between();
        }
        return due;
    }

private:
    const typename Clock::duration interval_;
    TimePoint next_due_{};
    bool begun_ = false;
};

/// The parameter that a workload with such a pace has: 0 unless the user asks for an open loop.
inline ParameterAxis interval_axis() {
    constexpr std::uint64_t longest_ns = 1'000'000'000;
    return ParameterAxis::option("interval_ns", 0, 0, longest_ns);
}

}  // namespace page_map_lab::bench
