// All counters of one target, whatever their source: opened one by one, each with its state; read group by group.
//
// Thread safety: one thread at a time.
// Invariant: an event of the kernel's own code (a tracepoint, a context switch) is never opened with kernel mode
// excluded: it would open and count nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "impl/platform/counters_group.hpp"
#include "impl/platform/counters_reading.hpp"

namespace page_map_lab {

/// A software counter of the kernel.
struct SoftwareEvent {
    std::string_view name;
    std::string_view meaning;
    std::string_view event;  ///< as perf spells it
    std::uint64_t config;    ///< PERF_COUNT_SW_*
    bool blind_to_mode;      ///< counts the same with kernel mode excluded
    std::uint64_t ThreadUsage::*usage;  ///< what stands in where perf_event is denied, or nullptr
    std::string_view usage_event;
};

/// A counter made of one or more tracepoints, summed.
struct TracepointEvent {
    struct Source {
        std::string_view system, event;
        const char* filter;
    };
    std::string_view name;
    std::string_view meaning;
    std::string_view event;  ///< for the record: "tlb:tlb_flush/reason==1/"
    std::vector<Source> sources;
};

/// What comes with every set.
std::span<const SoftwareEvent> software_events();
std::span<const TracepointEvent> tracepoint_events();

class CounterBank {
public:
    CounterBank(CounterSystem& system, CounterTarget target);

    void add(const SoftwareEvent& event);
    void add(const TracepointEvent& event);
    /// In user and in kernel mode. After the software events and tracepoints.
    void add(const HardwareEvent& event, const ProcessorIdentity& processor);

    void enable() noexcept;
    void disable() noexcept;

    std::size_t value_count() const noexcept;
    /// One for each group, and one for the thread's usage.
    std::size_t time_count() const noexcept { return groups_.size() + 1; }

    /// Everything now, group by group, one system call a group. What cannot be read leaves its times at zero. The spans
    /// hold at least value_count() and time_count().
    void sample(std::span<std::uint64_t> values, std::span<GroupTimes> times) const noexcept;

    /// What was counted between two samples.
    std::vector<CounterReading> readings(std::span<const std::uint64_t> values_before,
                                         std::span<const GroupTimes> times_before,
                                         std::span<const std::uint64_t> values_after,
                                         std::span<const GroupTimes> times_after) const;
    /// As readings, without values and times: what could be opened (state ok) and what not, and why.
    std::vector<CounterReading> states() const;
    /// One sentence for each of states().
    std::vector<std::string_view> meanings() const;

private:
    struct Source {
        std::size_t group;   ///< which group; usage_group for what comes from ThreadUsage
        std::size_t member;  ///< which of its values
    };
    struct Counter {
        CounterReading reading;  ///< state ok: opened; anything else is final
        std::string_view meaning;
        std::vector<Source> sources;
    };
    static constexpr std::size_t usage_group = static_cast<std::size_t>(-1);

    Counter& append(std::string_view name, std::string_view meaning, std::string_view event, CounterMode mode);
    void add_hardware(const HardwareEvent& event, const ProcessorIdentity& processor, CounterMode mode);
    /// Adds to the newest group, which is the only one that may grow: values lie group after group.
    int open(Counter& counter, const perf_event_attr& attributes, const char* filter = "");
    int open_hardware(Counter& counter, const perf_event_attr& attributes);
    bool open_tracepoint(Counter& counter, const TracepointEvent::Source& source);
    std::size_t value_position(Source source) const noexcept;
    std::size_t time_position(Source source) const noexcept;

    CounterSystem* system_;
    CounterTarget target_;
    std::vector<EventGroup> groups_;
    std::vector<std::uint64_t ThreadUsage::*> usages_;
    std::vector<Counter> counters_;
    bool hardware_begun_ = false;
};

}  // namespace page_map_lab
