#include "impl/platform/counters.hpp"

#include <algorithm>
#include <array>

#include "impl/core/check.hpp"
#include "impl/platform/counters_bank.hpp"
#include "impl/platform/event_catalog.hpp"

namespace page_map_lab {
namespace {

constexpr CounterTarget calling_thread{.process = 0, .cpu = -1};

/// One moment of a whole bank.
struct BankSample {
    std::vector<std::uint64_t> values;
    std::vector<GroupTimes> times;

    /// Zero everywhere: read as "nothing was counted".
    void clear_for(const CounterBank& bank) {
        values.assign(bank.value_count(), 0);
        times.assign(bank.time_count(), GroupTimes{});
    }
    void take(const CounterBank& bank) noexcept { bank.sample(values, times); }
};

/// A bank and the two ends of its span.
struct MeasuredBank {
    CounterBank bank;
    BankSample before{}, after{};

    void prepare() {
        before.clear_for(bank);
        after.clear_for(bank);
    }
    // The times and values of a group survive stopping, so that a span is a difference; they are sampled while the
    // group stands still.
    void start() noexcept {
        before.take(bank);
        bank.enable();
    }
    void stop() noexcept {
        bank.disable();
        after.take(bank);
    }
    std::vector<CounterReading> read() const {
        return bank.readings(before.values, before.times, after.values, after.times);
    }
};

void add_always(CounterBank& bank) {
    for (const SoftwareEvent& event : software_events()) {
        bank.add(event);
    }
    for (const TracepointEvent& event : tracepoint_events()) {
        bank.add(event);
    }
}

void add_hardware(CounterBank& bank, CounterSetName set, CounterSystem& system) {
    const ProcessorIdentity processor = system.processor();
    for (const HardwareEvent& event : event_table_for(processor).events(set)) {
        bank.add(event, processor);
    }
}

template <class Event>
void add_selected(CounterBank& bank, std::span<const Event> events, std::span<const std::string_view> names) {
    for (const Event& event : events) {
        if (std::ranges::find(names, event.name) != names.end()) {
            bank.add(event);
        }
    }
}

std::size_t always_count() { return software_events().size() + tracepoint_events().size(); }

bool countable(const CounterReading& reading) {
    return reading.state == CounterState::ok || reading.state == CounterState::multiplexed;
}

std::string sentence(CounterSetName set, const CounterReading& reading) {
    return "counters '" + std::string(to_string(set)) + "': " + reading.name + " is " +
           std::string(to_string(reading.state)) + ": " + reading.why;
}

/// Empty where the set answers its question with these states.
std::string why_set_is_unusable(CounterSetName set, std::span<const CounterReading> states) {
    if (set == CounterSetName::none) {
        return {};
    }
    if (set == CounterSetName::interrupts) {
        // The hardware's own count of interrupts is a luxury: it cannot tell a shootdown from a disk.
        for (const std::string_view name : {"tlb_flush_remote_received", "call_function_interrupts"}) {
            const CounterReading* reading = find_reading(states, name);
            if (reading != nullptr && !countable(*reading)) {
                return sentence(set, *reading);
            }
        }
        return {};
    }
    const std::span<const CounterReading> hardware = states.subspan(always_count());
    const auto denied = std::ranges::find(hardware, CounterState::denied, &CounterReading::state);
    if (denied != hardware.end()) {
        return sentence(set, *denied);
    }
    if (std::ranges::none_of(hardware, countable)) {
        return hardware.empty() ? "counters '" + std::string(to_string(set)) + "': no event is known for this processor"
                                : sentence(set, hardware.front());
    }
    return {};
}

}  // namespace

struct ThreadCounters::Body {
    CounterSetName set;
    MeasuredBank measured;
};

ThreadCounters ThreadCounters::open(CounterSetName set, CounterSystem& system) {
    auto body = std::make_unique<Body>(Body{set, {CounterBank(system, calling_thread)}});
    add_always(body->measured.bank);
    add_hardware(body->measured.bank, set, system);
    body->measured.prepare();
    return ThreadCounters(std::move(body));
}

ThreadCounters::ThreadCounters(std::unique_ptr<Body> body) noexcept : body_(std::move(body)) {}
ThreadCounters::ThreadCounters(ThreadCounters&&) noexcept = default;
ThreadCounters& ThreadCounters::operator=(ThreadCounters&&) noexcept = default;
ThreadCounters::~ThreadCounters() = default;

void ThreadCounters::start() noexcept { body_->measured.start(); }
void ThreadCounters::stop() noexcept { body_->measured.stop(); }
std::vector<CounterReading> ThreadCounters::read() const { return body_->measured.read(); }
std::string ThreadCounters::why_unusable() const {
    return why_set_is_unusable(body_->set, body_->measured.bank.states());
}

struct CpuCounters::Body {
    MeasuredBank measured;
};

CpuCounters CpuCounters::open(unsigned cpu, CounterSystem& system) {
    constexpr std::array<std::string_view, 4> selected = {"tlb_flush_remote_received", "tlb_flush_local",
                                                          "tlb_flush_remote_sent_intent", "call_function_interrupts"};
    auto body = std::make_unique<Body>(
        Body{{CounterBank(system, {.process = -1, .cpu = static_cast<int>(cpu)})}});
    add_selected(body->measured.bank, tracepoint_events(), selected);
    body->measured.prepare();
    return CpuCounters(std::move(body));
}

CpuCounters::CpuCounters(std::unique_ptr<Body> body) noexcept : body_(std::move(body)) {}
CpuCounters::CpuCounters(CpuCounters&&) noexcept = default;
CpuCounters& CpuCounters::operator=(CpuCounters&&) noexcept = default;
CpuCounters::~CpuCounters() = default;

void CpuCounters::start() noexcept { body_->measured.start(); }
void CpuCounters::stop() noexcept { body_->measured.stop(); }
std::vector<CounterReading> CpuCounters::read() const { return body_->measured.read(); }

struct PhaseCounters::Body {
    CounterBank bank;
};

PhaseCounters PhaseCounters::open(CounterSystem& system) {
    constexpr std::array<std::string_view, 7> selected = {
        "task_clock_ns",   "page_faults",                  "minor_faults",            "tlb_flush_remote_received",
        "tlb_flush_local", "tlb_flush_remote_sent_intent", "call_function_interrupts"};
    auto body = std::make_unique<Body>(Body{CounterBank(system, calling_thread)});
    add_selected(body->bank, software_events(), selected);
    add_selected(body->bank, tracepoint_events(), selected);
    add_hardware(body->bank, CounterSetName::cycles, system);
    check(body->bank.value_count() <= PhaseSample::value_capacity, "a phase's counters fit a PhaseSample");
    check(body->bank.time_count() <= PhaseSample::group_capacity, "a phase's groups fit a PhaseSample");
    body->bank.enable();
    return PhaseCounters(std::move(body));
}

PhaseCounters::PhaseCounters(std::unique_ptr<Body> body) noexcept : body_(std::move(body)) {}
PhaseCounters::PhaseCounters(PhaseCounters&&) noexcept = default;
PhaseCounters& PhaseCounters::operator=(PhaseCounters&&) noexcept = default;
PhaseCounters::~PhaseCounters() = default;

PhaseSample PhaseCounters::sample() const noexcept {
    PhaseSample now;
    body_->bank.sample(now.values, now.times);
    return now;
}

std::vector<CounterReading> PhaseCounters::readings(const PhaseSample& before, const PhaseSample& after) const {
    return body_->bank.readings(before.values, before.times, after.values, after.times);
}

void accumulate(PhaseSample& total, const PhaseSample& before, const PhaseSample& after) noexcept {
    for (std::size_t value = 0; value < PhaseSample::value_capacity; ++value) {
        total.values[value] += after.values[value] - before.values[value];
    }
    for (std::size_t group = 0; group < PhaseSample::group_capacity; ++group) {
        total.times[group].enabled_ns += after.times[group].enabled_ns - before.times[group].enabled_ns;
        total.times[group].running_ns += after.times[group].running_ns - before.times[group].running_ns;
    }
}

CounterSetDescription describe(CounterSetName set, CounterSystem& system) {
    CounterBank bank(system, calling_thread);
    add_always(bank);
    add_hardware(bank, set, system);
    CounterSetDescription description{.set = set,
                                      .processor = std::string(event_table_for(system.processor()).title)};
    const std::vector<CounterReading> states = bank.states();
    const std::vector<std::string_view> meanings = bank.meanings();
    for (std::size_t which = 0; which < states.size(); ++which) {
        description.counters.push_back({states[which], which < always_count(), std::string(meanings[which])});
    }
    description.why_unusable = why_set_is_unusable(set, states);
    description.usable = description.why_unusable.empty();
    return description;
}

}  // namespace page_map_lab
