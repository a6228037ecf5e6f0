#include "impl/platform/counters_bank.hpp"

#include <linux/perf_event.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

#include "impl/platform/counters_failure.hpp"
#include "impl/platform/event_encoding.hpp"

namespace page_map_lab {
namespace {

// Four programmable counters are what a core with hyperthreads has, and a group that does not fit never runs.
constexpr std::size_t hardware_group_size = 4;

void set_failure(CounterReading& reading, CounterFailure failure) {
    reading.state = failure.state;
    reading.why = std::move(failure.why);
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
    return std::to_string(std::lround(100.0 * static_cast<double>(part) / static_cast<double>(whole))) + " %";
}

}  // namespace

std::span<const SoftwareEvent> software_events() {
    // Switches and migrations happen in the kernel, and a fault that ends in SIGSEGV is counted by page_faults alone.
    static constexpr std::array<SoftwareEvent, 6> events = {{
        {"task_clock_ns", "Time that the thread ran.", "task-clock", PERF_COUNT_SW_TASK_CLOCK, true,
         &ThreadUsage::cpu_time_ns, "clock_gettime:CLOCK_THREAD_CPUTIME_ID"},
        {"context_switches", "Times that the thread was switched out.", "context-switches",
         PERF_COUNT_SW_CONTEXT_SWITCHES, false, &ThreadUsage::context_switches, "getrusage:ru_nvcsw+ru_nivcsw"},
        {"cpu_migrations", "Times that the thread moved to another processor.", "cpu-migrations",
         PERF_COUNT_SW_CPU_MIGRATIONS, false, nullptr, ""},
        {"page_faults", "Page faults of every kind, those that end in a signal included.", "page-faults",
         PERF_COUNT_SW_PAGE_FAULTS, false, nullptr, ""},
        {"minor_faults", "Page faults that the kernel resolved without I/O.", "minor-faults",
         PERF_COUNT_SW_PAGE_FAULTS_MIN, false, &ThreadUsage::minor_faults, "getrusage:ru_minflt"},
        {"major_faults", "Page faults that the kernel resolved with I/O.", "major-faults",
         PERF_COUNT_SW_PAGE_FAULTS_MAJ, false, &ThreadUsage::major_faults, "getrusage:ru_majflt"},
    }};
    return events;
}

std::span<const TracepointEvent> tracepoint_events() {
    static const std::vector<TracepointEvent> events = {
        {"tlb_flush_remote_received",
         "TLB flushes done here because another processor asked: the shootdowns that reached this thread.",
         "tlb:tlb_flush/reason==1/",
         {{"tlb", "tlb_flush", "reason == 1"}}},
        {"tlb_flush_local",
         "TLB flushes that this thread did on its own processor.",
         "tlb:tlb_flush/reason==2||reason==3/",
         {{"tlb", "tlb_flush", "reason == 2 || reason == 3"}}},
        {"tlb_flush_remote_sent_intent",
         "Shootdowns that this thread asked for; an intent, not the number of interrupts sent.",
         "tlb:tlb_flush/reason==4/",
         {{"tlb", "tlb_flush", "reason == 4"}}},
        // A single target is reached by one vector, several by the other.
        {"call_function_interrupts",
         "Function-call interrupts taken, the carriers of shootdowns.",
         "irq_vectors:call_function_entry+irq_vectors:call_function_single_entry",
         {{"irq_vectors", "call_function_entry", ""}, {"irq_vectors", "call_function_single_entry", ""}}},
        {"page_fault_user",
         "Page faults taken in user mode, spurious ones and those that end in a signal included.",
         "exceptions:page_fault_user",
         {{"exceptions", "page_fault_user", ""}}},
    };
    return events;
}

CounterBank::CounterBank(CounterSystem& system, CounterTarget target) : system_(&system), target_(target) {
    groups_.emplace_back(system, target);
}

CounterBank::Counter& CounterBank::append(std::string_view name, std::string_view meaning, std::string_view event,
                                          CounterMode mode) {
    Counter counter{
        .reading = {.name = std::string(name), .event = std::string(event)}, .meaning = meaning, .sources = {}};
    counter.reading.mode = mode;
    counter.reading.state = CounterState::ok;
    if (target_.process == -1) {
        counter.reading.scope = CounterScope::cpu;
        counter.reading.cpu = static_cast<unsigned>(target_.cpu);
    }
    counters_.push_back(std::move(counter));
    return counters_.back();
}

int CounterBank::open(Counter& counter, const perf_event_attr& attributes, const char* filter) {
    EventGroup& group = groups_.back();
    const int outcome = group.add(attributes, filter);
    if (outcome == 0) {
        counter.sources.push_back({groups_.size() - 1, group.size() - 1});
    }
    return outcome;
}

void CounterBank::add(const SoftwareEvent& event) {
    Counter& counter = append(event.name, event.meaning, event.event, CounterMode::both);
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = event.config;
    int outcome = open(counter, attributes);
    if ((outcome == -EACCES || outcome == -EPERM) && event.blind_to_mode) {
        attributes.exclude_kernel = 1;
        outcome = open(counter, attributes);
    }
    if (outcome == 0) {
        return;
    }
    CounterFailure failure = explain_open_failure(-outcome, EventKind::software, target_, *system_);
    if (event.usage != nullptr && target_.process == 0) {
        counter.reading.event = event.usage_event;
        counter.reading.why = "perf_event: " + failure.why + "; taken from the thread's accounting";
        counter.sources.push_back({usage_group, usages_.size()});
        usages_.push_back(event.usage);
        return;
    }
    set_failure(counter.reading, std::move(failure));
}

bool CounterBank::open_tracepoint(Counter& counter, const TracepointEvent::Source& source) {
    const auto number = tracepoint_number(source.system, source.event, *system_);
    if (!number) {
        set_failure(counter.reading, number.error());
        return false;
    }
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.config = *number;
    // Never with kernel mode excluded, though that would open: the tracepoint lies in the kernel and would count 0.
    const int outcome = open(counter, attributes, source.filter);
    if (outcome != 0) {
        set_failure(counter.reading, explain_open_failure(-outcome, EventKind::tracepoint, target_, *system_));
    }
    return outcome == 0;
}

void CounterBank::add(const TracepointEvent& event) {
    Counter& counter = append(event.name, event.meaning, event.event, CounterMode::kernel);
    for (const TracepointEvent::Source& source : event.sources) {
        if (!open_tracepoint(counter, source)) {
            return;
        }
    }
}

int CounterBank::open_hardware(Counter& counter, const perf_event_attr& attributes) {
    if (hardware_begun_ && groups_.back().size() < hardware_group_size) {
        const int outcome = open(counter, attributes);
        // Either refusal may mean that the event is good and the group full: ask again in a group of its own.
        if (outcome != -EINVAL && outcome != -ENOSPC) {
            return outcome;
        }
    }
    EventGroup next(*system_, target_);
    const int outcome = next.add(attributes);
    if (outcome == 0) {
        groups_.push_back(std::move(next));
        hardware_begun_ = true;
        counter.sources.push_back({groups_.size() - 1, 0});
    }
    return outcome;
}

void CounterBank::add(const HardwareEvent& event, const ProcessorIdentity& processor) {
    if (event.encodings.empty()) {
        Counter& counter = append(event.name, event.meaning, "none", CounterMode::both);
        set_failure(counter.reading, {CounterState::absent, std::string(event.meaning)});
        return;
    }
    add_hardware(event, processor, CounterMode::user);
    add_hardware(event, processor, CounterMode::kernel);
}

void CounterBank::add_hardware(const HardwareEvent& event, const ProcessorIdentity& processor, CounterMode mode) {
    Counter& counter = append(event.name, event.meaning, "", mode);
    for (const std::string_view encoding : event.encodings) {
        const std::string name = qualified_encoding(encoding, processor.pmu);
        counter.reading.event = name;
        const Result<EncodedEvent> encoded = encode_event(name);
        if (!encoded) {
            set_failure(counter.reading, {CounterState::absent, encoded.error().text()});
            continue;
        }
        perf_event_attr attributes{};
        attributes.type = encoded->type;
        attributes.config = encoded->config;
        attributes.config1 = encoded->config1;
        attributes.config2 = encoded->config2;
        attributes.exclude_kernel = mode == CounterMode::user ? 1 : 0;
        attributes.exclude_hv = mode == CounterMode::user ? 1 : 0;
        attributes.exclude_user = mode == CounterMode::kernel ? 1 : 0;
        const int outcome = open_hardware(counter, attributes);
        if (outcome == 0) {
            counter.reading.state = CounterState::ok;
            counter.reading.why.clear();
            return;
        }
        set_failure(counter.reading, explain_open_failure(-outcome, EventKind::hardware, target_, *system_));
        if (counter.reading.state == CounterState::denied) {
            return;
        }
    }
}

void CounterBank::enable() noexcept {
    for (EventGroup& group : groups_) {
        group.enable();
    }
}

void CounterBank::disable() noexcept {
    // In reverse, so that the last to start, the hardware, does not count the stopping of the others.
    for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
        group->disable();
    }
}

std::size_t CounterBank::value_count() const noexcept {
    return value_position({usage_group, 0}) + usages_.size();
}

std::size_t CounterBank::value_position(Source source) const noexcept {
    std::size_t position = source.member;
    for (std::size_t group = 0; group < std::min(source.group, groups_.size()); ++group) {
        position += groups_[group].size();
    }
    return position;
}

std::size_t CounterBank::time_position(Source source) const noexcept {
    return std::min(source.group, groups_.size());
}

void CounterBank::sample(std::span<std::uint64_t> values, std::span<GroupTimes> times) const noexcept {
    std::size_t position = 0;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
        times[group] = {};
        groups_[group].read(values.subspan(position), times[group]);
        position += groups_[group].size();
    }
    if (!usages_.empty()) {
        const ThreadUsage usage = system_->thread_usage();
        for (const auto field : usages_) {
            values[position++] = usage.*field;
        }
        times[groups_.size()] = {usage.now_ns, usage.now_ns};
    }
}

std::vector<CounterReading> CounterBank::readings(std::span<const std::uint64_t> values_before,
                                                  std::span<const GroupTimes> times_before,
                                                  std::span<const std::uint64_t> values_after,
                                                  std::span<const GroupTimes> times_after) const {
    std::vector<CounterReading> all = states();
    for (std::size_t which = 0; which < all.size(); ++which) {
        CounterReading& reading = all[which];
        if (reading.state != CounterState::ok) {
            continue;
        }
        double sum = 0;
        for (const Source source : counters_[which].sources) {
            const std::size_t value = value_position(source);
            const std::size_t time = time_position(source);
            const std::uint64_t enabled = times_after[time].enabled_ns - times_before[time].enabled_ns;
            const std::uint64_t running = times_after[time].running_ns - times_before[time].running_ns;
            reading.enabled_ns = enabled;
            reading.running_ns = running;
            if (times_after[time].enabled_ns <= times_before[time].enabled_ns) {
                set_failure(reading, {CounterState::absent, "nothing was counted: no span was finished, or the kernel "
                                                            "refused to read the group"});
                break;
            }
            if (running == 0) {
                set_failure(reading, {CounterState::absent,
                                      "it never ran: others hold the PMU; end other perf sessions, as root sysctl "
                                      "kernel.nmi_watchdog=0, or measure longer"});
                break;
            }
            const auto counted = static_cast<double>(values_after[value] - values_before[value]);
            sum += counted * static_cast<double>(enabled) / static_cast<double>(running);
            if (running < enabled) {
                reading.state = CounterState::multiplexed;
                reading.why = "counted " + percent(running, enabled) + " of the time; the value is scaled up";
            }
        }
        if (reading.state == CounterState::ok || reading.state == CounterState::multiplexed) {
            reading.value = sum;
        }
    }
    return all;
}

std::vector<CounterReading> CounterBank::states() const {
    std::vector<CounterReading> all;
    all.reserve(counters_.size());
    for (const Counter& counter : counters_) {
        all.push_back(counter.reading);
    }
    return all;
}

std::vector<std::string_view> CounterBank::meanings() const {
    std::vector<std::string_view> all;
    for (const Counter& counter : counters_) {
        all.push_back(counter.meaning);
    }
    return all;
}

}  // namespace page_map_lab
