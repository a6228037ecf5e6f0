// Events that start, stop and are read together: one perf_event group, one system call to read it.
//
// Thread safety: one thread at a time. Owns its descriptors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "impl/platform/counters_reading.hpp"
#include "impl/platform/counters_system.hpp"

namespace page_map_lab {

/// Whose events a group counts, in perf_event_open's terms.
struct CounterTarget {
    int process = 0;  ///< 0: the calling thread; -1: whoever runs on `cpu`
    int cpu = -1;     ///< -1: wherever the thread runs
};

class EventGroup {
public:
    static constexpr std::size_t capacity = 24;

    EventGroup(CounterSystem& system, CounterTarget target) noexcept : system_(&system), target_(target) {}
    EventGroup(EventGroup&&) noexcept;
    EventGroup& operator=(EventGroup&&) noexcept;
    ~EventGroup();

    /// Opens one more event in the group; the first becomes its leader. `filter` is a tracepoint's filter or empty.
    /// Returns 0, or -errno with the group unchanged. The order of successful calls is the order of the values.
    int add(perf_event_attr attributes, const char* filter = "") noexcept;

    void enable() noexcept;
    void disable() noexcept;
    /// The values of all events, in one system call. False, with nothing written, where the kernel refuses.
    bool read(std::span<std::uint64_t> values, GroupTimes& times) const noexcept;

    std::size_t size() const noexcept { return count_; }

private:
    void close() noexcept;

    CounterSystem* system_;
    CounterTarget target_;
    std::array<int, capacity> descriptors_{};
    std::size_t count_ = 0;
};

}  // namespace page_map_lab
