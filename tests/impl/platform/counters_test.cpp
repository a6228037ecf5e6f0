#include "impl/platform/counters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "tests/impl/platform/fake_counter_system.hpp"

namespace page_map_lab {
namespace {

using testing::HasSubstr;

std::vector<CounterReading> measure(ThreadCounters& counters, FakeCounterSystem& system, std::uint64_t value,
                                    std::uint64_t enabled_ns = 1000, std::uint64_t running_ns = 1000) {
    counters.start();
    system.pass(value, enabled_ns, running_ns);
    counters.stop();
    return counters.read();
}

CounterReading reading_of(const std::vector<CounterReading>& readings, std::string_view name,
                          std::optional<CounterMode> mode = std::nullopt) {
    const CounterReading* found = find_reading(readings, name, mode);
    EXPECT_NE(found, nullptr) << name;
    return found != nullptr ? *found : CounterReading{};
}

bool sees_kernel(const FakeCounterSystem::Event& event) { return event.attributes.exclude_kernel == 0; }

TEST(CounterSets, are_known_by_their_names) {
    EXPECT_EQ(all_counter_sets().size(), 6U);
    for (const CounterSetName set : all_counter_sets()) {
        EXPECT_EQ(parse_counter_set(to_string(set)).value(), set);
    }
    const auto unknown = parse_counter_set("branches");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::usage);
    EXPECT_THAT(unknown.error().text(), HasSubstr("branches"));
    EXPECT_THAT(unknown.error().text(), HasSubstr("interrupts"));
}

TEST(ThreadCounters, count_the_software_events_and_tracepoints_with_every_set) {
    for (const CounterSetName set : all_counter_sets()) {
        FakeCounterSystem system;
        auto counters = ThreadCounters::open(set, system);
        const auto readings = measure(counters, system, 7);
        for (const std::string_view name :
             {"task_clock_ns", "context_switches", "cpu_migrations", "page_faults", "minor_faults", "major_faults",
              "tlb_flush_remote_received", "tlb_flush_local", "tlb_flush_remote_sent_intent", "page_fault_user"}) {
            const CounterReading reading = reading_of(readings, name);
            EXPECT_EQ(reading.state, CounterState::ok) << name << ": " << reading.why;
            EXPECT_EQ(reading.value, 7.0) << name;
            EXPECT_EQ(reading.enabled_ns, 1000U) << name;
        }
    }
}

TEST(ThreadCounters, add_the_two_vectors_of_function_call_interrupts) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    EXPECT_EQ(reading_of(measure(counters, system, 7), "call_function_interrupts").value, 14.0);
}

TEST(ThreadCounters, filter_the_flushes_by_reason) {
    FakeCounterSystem system;
    const auto counters = ThreadCounters::open(CounterSetName::none, system);
    std::multiset<std::string> filters;
    for (const auto& [descriptor, event] : system.events) {
        if (event.attributes.type == PERF_TYPE_TRACEPOINT) {
            filters.insert(std::to_string(event.attributes.config) + " " + event.filter);
        }
    }
    EXPECT_EQ(filters, (std::multiset<std::string>{"188 reason == 1", "188 reason == 2 || reason == 3",
                                                   "188 reason == 4", "153 ", "151 ", "102 "}));
}

TEST(ThreadCounters, read_a_group_in_one_system_call) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    counters.start();
    system.reads = 0;
    counters.stop();
    EXPECT_EQ(system.reads, 1);
}

TEST(ThreadCounters, count_hardware_events_in_user_and_in_kernel_mode_apart) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::tlb, system);
    counters.start();
    for (auto& [descriptor, event] : system.events) {
        event.enabled_ns = event.running_ns = 10;
        event.value = event.attributes.exclude_user != 0 ? 3 : 5;
    }
    counters.stop();
    const auto readings = counters.read();
    const CounterReading user = reading_of(readings, "dtlb_load_walks", CounterMode::user);
    EXPECT_EQ(user.value, 5.0);
    EXPECT_EQ(user.event, "skx::DTLB_LOAD_MISSES:WALK_COMPLETED");
    EXPECT_EQ(reading_of(readings, "dtlb_load_walks", CounterMode::kernel).value, 3.0);
    EXPECT_TRUE(counters.usable()) << counters.why_unusable();
}

TEST(ThreadCounters, scale_what_was_multiplexed_and_mark_it) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    const auto readings = measure(counters, system, 100, 1000, 250);
    const CounterReading cycles = reading_of(readings, "cycles", CounterMode::user);
    EXPECT_EQ(cycles.state, CounterState::multiplexed);
    EXPECT_EQ(cycles.value, 400.0);
    EXPECT_EQ(cycles.enabled_ns, 1000U);
    EXPECT_EQ(cycles.running_ns, 250U);
    EXPECT_THAT(cycles.why, HasSubstr("25 %"));
}

TEST(ThreadCounters, a_counter_that_never_ran_has_no_value) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    const auto readings = measure(counters, system, 0, 1000, 0);
    const CounterReading cycles = reading_of(readings, "cycles", CounterMode::user);
    EXPECT_EQ(cycles.state, CounterState::absent);
    EXPECT_EQ(cycles.value, std::nullopt);
    EXPECT_THAT(cycles.why, HasSubstr("never ran"));
}

TEST(ThreadCounters, a_new_span_forgets_the_one_before) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    measure(counters, system, 100, 1000, 500);
    const auto readings = measure(counters, system, 7, 30, 30);
    EXPECT_EQ(reading_of(readings, "minor_faults").value, 7.0);
    EXPECT_EQ(reading_of(readings, "minor_faults").enabled_ns, 30U);
    EXPECT_EQ(reading_of(readings, "minor_faults").state, CounterState::ok);
}

TEST(ThreadCounters, nothing_is_counted_outside_the_span) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    system.pass(1000, 10, 10);
    const auto readings = measure(counters, system, 7);
    for (const auto& [descriptor, event] : system.events) {
        EXPECT_FALSE(event.enabled) << "a stopped group costs the thread nothing";
    }
    system.pass(1000, 10, 10);
    EXPECT_EQ(reading_of(readings, "minor_faults").value, 7.0);
    EXPECT_EQ(reading_of(counters.read(), "cycles").value, 7.0);
}

TEST(ThreadCounters, without_a_finished_span_nothing_has_a_value) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    for (int round = 0; round < 2; ++round) {
        for (const CounterReading& reading : counters.read()) {
            EXPECT_EQ(reading.value, std::nullopt) << reading.name;
            EXPECT_EQ(reading.state, CounterState::absent) << reading.name;
            EXPECT_NE(reading.why, "") << reading.name;
        }
        counters.start();
    }
}

TEST(ThreadCounters, a_read_that_the_kernel_refuses_gives_no_value) {
    FakeCounterSystem system;
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    system.read_error = EIO;
    const auto readings = measure(counters, system, 7);
    EXPECT_EQ(reading_of(readings, "minor_faults").state, CounterState::absent);
    EXPECT_EQ(reading_of(readings, "minor_faults").value, std::nullopt);
}

TEST(ThreadCounters, a_pmu_that_is_not_there_is_absent_and_not_denied) {
    FakeCounterSystem system;
    system.core_pmu = false;
    system.refuse = [](const auto& event) { return FakeCounterSystem::is_hardware(event) ? ENOENT : 0; };
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    const auto readings = measure(counters, system, 7);
    const CounterReading cycles = reading_of(readings, "cycles", CounterMode::kernel);
    EXPECT_EQ(cycles.state, CounterState::absent);
    EXPECT_THAT(cycles.why, HasSubstr("no hardware"));
    EXPECT_EQ(reading_of(readings, "tlb_flush_local").value, 7.0);
    EXPECT_FALSE(counters.usable());
    EXPECT_THAT(counters.why_unusable(), HasSubstr("no hardware"));
}

TEST(ThreadCounters, without_a_pmu_permission_is_not_what_is_missing) {
    FakeCounterSystem system;
    system.core_pmu = false;
    system.refuse = [](const auto&) { return EACCES; };
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    EXPECT_EQ(reading_of(measure(counters, system, 0), "cycles").state, CounterState::absent);
}

TEST(ThreadCounters, a_paranoid_kernel_denies_kernel_mode_and_the_reason_tells_the_way_out) {
    FakeCounterSystem system;
    system.files["/proc/sys/kernel/perf_event_paranoid"] = "2\n";
    system.refuse = [](const auto& event) { return sees_kernel(event) ? EACCES : 0; };
    system.usage = {.cpu_time_ns = 1, .context_switches = 1, .minor_faults = 1, .major_faults = 1, .now_ns = 1};
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    counters.start();
    system.pass(7, 1000, 1000);
    system.usage = {.cpu_time_ns = 3, .context_switches = 5, .minor_faults = 4, .major_faults = 1, .now_ns = 51};
    counters.stop();
    const auto readings = counters.read();
    EXPECT_EQ(reading_of(readings, "cycles", CounterMode::user).state, CounterState::ok);
    const CounterReading kernel = reading_of(readings, "cycles", CounterMode::kernel);
    EXPECT_EQ(kernel.state, CounterState::denied);
    EXPECT_THAT(kernel.why, HasSubstr("kernel.perf_event_paranoid is 2"));
    EXPECT_THAT(kernel.why, HasSubstr("sysctl kernel.perf_event_paranoid=1"));
    EXPECT_FALSE(counters.usable());

    // What would open with kernel mode excluded and then count nothing must not be a zero.
    for (const std::string_view name : {"tlb_flush_remote_received", "tlb_flush_local", "page_fault_user",
                                        "call_function_interrupts", "cpu_migrations", "page_faults"}) {
        EXPECT_EQ(reading_of(readings, name).state, CounterState::denied) << name;
        EXPECT_EQ(reading_of(readings, name).value, std::nullopt) << name;
    }

    // The thread's own accounting needs no permission.
    EXPECT_EQ(reading_of(readings, "task_clock_ns").value, 7.0);
    const CounterReading switches = reading_of(readings, "context_switches");
    EXPECT_EQ(switches.state, CounterState::ok);
    EXPECT_EQ(switches.value, 4.0);
    EXPECT_EQ(switches.enabled_ns, 50U);
    EXPECT_THAT(switches.event, HasSubstr("getrusage"));
    EXPECT_EQ(reading_of(readings, "minor_faults").value, 3.0);
    EXPECT_EQ(reading_of(readings, "major_faults").value, 0.0);
}

TEST(ThreadCounters, a_ban_that_paranoia_does_not_explain_points_to_the_sandbox) {
    FakeCounterSystem system;
    system.refuse = [](const auto&) { return EPERM; };
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    const auto readings = counters.read();
    EXPECT_EQ(reading_of(readings, "cycles").state, CounterState::denied);
    EXPECT_THAT(reading_of(readings, "cycles").why, HasSubstr("seccomp"));
}

TEST(ThreadCounters, too_many_open_files_is_denied_with_the_limit_to_raise) {
    FakeCounterSystem system;
    system.refuse = [&system](const auto&) { return system.events.size() >= 3 ? EMFILE : 0; };
    auto counters = ThreadCounters::open(CounterSetName::cycles, system);
    const auto readings = measure(counters, system, 7);
    EXPECT_EQ(reading_of(readings, "cpu_migrations").value, 7.0);
    EXPECT_EQ(reading_of(readings, "tlb_flush_local").state, CounterState::denied);
    EXPECT_THAT(reading_of(readings, "tlb_flush_local").why, HasSubstr("ulimit -n"));
}

TEST(ThreadCounters, an_unmounted_tracefs_is_absent_with_the_command_that_mounts_it) {
    FakeCounterSystem system;
    system.files = {{"/proc/sys/kernel/perf_event_paranoid", "1"}};
    system.file_errors["/sys/kernel/debug/tracing/events/tlb/tlb_flush/id"] = EACCES;
    const auto counters = ThreadCounters::open(CounterSetName::interrupts, system);
    const CounterReading flushes = reading_of(counters.read(), "tlb_flush_remote_received");
    EXPECT_EQ(flushes.state, CounterState::absent);
    EXPECT_THAT(flushes.why, HasSubstr("mount -t tracefs nodev /sys/kernel/tracing"));
    EXPECT_THAT(counters.why_unusable(), HasSubstr("mount -t tracefs"));
}

TEST(ThreadCounters, a_closed_tracefs_is_denied) {
    FakeCounterSystem system;
    system.file_errors["/sys/kernel/tracing/events/tlb/tlb_flush/id"] = EACCES;
    const auto counters = ThreadCounters::open(CounterSetName::none, system);
    const CounterReading flushes = reading_of(counters.read(), "tlb_flush_local");
    EXPECT_EQ(flushes.state, CounterState::denied);
    EXPECT_THAT(flushes.why, HasSubstr("root"));
}

TEST(ThreadCounters, the_older_place_of_tracefs_will_do) {
    FakeCounterSystem system;
    system.files.erase("/sys/kernel/tracing/events/tlb/tlb_flush/id");
    system.files["/sys/kernel/debug/tracing/events/tlb/tlb_flush/id"] = "42\n";
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    EXPECT_EQ(reading_of(measure(counters, system, 7), "tlb_flush_local").value, 7.0);
}

TEST(ThreadCounters, a_tracepoint_that_the_kernel_lacks_is_absent) {
    FakeCounterSystem system;
    system.files.erase("/sys/kernel/tracing/events/irq_vectors/call_function_single_entry/id");
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    const CounterReading interrupts = reading_of(measure(counters, system, 7), "call_function_interrupts");
    EXPECT_EQ(interrupts.state, CounterState::absent) << "half of a sum is not the sum";
    EXPECT_THAT(interrupts.why, HasSubstr("irq_vectors:call_function_single_entry"));
}

TEST(ThreadCounters, a_filter_that_the_kernel_refuses_leaves_no_unfiltered_count) {
    FakeCounterSystem system;
    system.filter_error = EINVAL;
    auto counters = ThreadCounters::open(CounterSetName::none, system);
    const auto readings = measure(counters, system, 7);
    EXPECT_EQ(reading_of(readings, "tlb_flush_remote_received").state, CounterState::absent);
    EXPECT_EQ(reading_of(readings, "page_fault_user").value, 7.0);
}

TEST(ThreadCounters, an_event_that_does_not_fit_a_full_group_starts_the_next) {
    FakeCounterSystem system;
    // A PMU with two counters: a third in one group is refused as the kernel refuses it.
    system.refuse = [&system](const auto& event) {
        const auto members = std::ranges::count_if(system.events, [&event](const auto& other) {
            return other.first == event.group || other.second.group == event.group;
        });
        return FakeCounterSystem::is_hardware(event) && event.group != -1 && members >= 2 ? EINVAL : 0;
    };
    auto counters = ThreadCounters::open(CounterSetName::tlb, system);
    const auto readings = measure(counters, system, 7);
    for (const CounterReading& reading : readings) {
        EXPECT_EQ(reading.state, CounterState::ok) << reading.name << ": " << reading.why;
    }
    std::set<int> hardware_leaders;
    for (const auto& [descriptor, event] : system.events) {
        if (FakeCounterSystem::is_hardware(event) && event.group == -1) {
            hardware_leaders.insert(descriptor);
        }
    }
    EXPECT_EQ(hardware_leaders.size(), 11U) << "eleven events in two modes, two counters a group";
}

TEST(ThreadCounters, fall_back_to_the_next_encoding_where_the_kernel_lacks_the_generic_event) {
    FakeCounterSystem system;
    system.identity = {.vendor = "AuthenticAMD", .family = 0x1a, .model = 2, .pmu = ""};
    system.refuse = [](const auto& event) { return event.attributes.type == PERF_TYPE_HW_CACHE ? ENOENT : 0; };
    auto counters = ThreadCounters::open(CounterSetName::tlb, system);
    const CounterReading walks = reading_of(measure(counters, system, 7), "dtlb_walks", CounterMode::user);
    EXPECT_EQ(walks.event, "raw:0xf045");
    EXPECT_EQ(walks.value, 7.0);
    EXPECT_EQ(walks.why, "");
}

TEST(ThreadCounters, what_a_processor_cannot_count_is_absent_and_does_not_spoil_the_set) {
    FakeCounterSystem system;
    system.identity.pmu = "spr";
    const auto counters = ThreadCounters::open(CounterSetName::tlb, system);
    EXPECT_EQ(reading_of(counters.read(), "tlb_flushes").state, CounterState::absent);
    EXPECT_EQ(reading_of(counters.read(), "tlb_flushes").event, "none") << "a record names an event for each counter";
    EXPECT_THAT(reading_of(counters.read(), "tlb_flushes").why, HasSubstr("Sapphire Rapids"));
    EXPECT_TRUE(counters.usable()) << counters.why_unusable();
}

TEST(ThreadCounters, close_every_descriptor) {
    FakeCounterSystem system;
    {
        auto counters = ThreadCounters::open(CounterSetName::tlb, system);
        EXPECT_GT(system.events.size(), 20U);
        auto moved = std::move(counters);
        moved = ThreadCounters::open(CounterSetName::none, system);
        EXPECT_EQ(system.events.size(), 12U);
    }
    EXPECT_TRUE(system.events.empty());
}

TEST(CpuCounters, ask_for_a_whole_processor) {
    FakeCounterSystem system;
    auto counters = CpuCounters::open(3, system);
    for (const auto& [descriptor, event] : system.events) {
        EXPECT_EQ(event.process, -1);
        EXPECT_EQ(event.cpu, 3);
    }
    counters.start();
    system.pass(7, 10, 10);
    counters.stop();
    const auto readings = counters.read();
    EXPECT_EQ(reading_of(readings, "tlb_flush_remote_received").value, 7.0);
    EXPECT_EQ(reading_of(readings, "call_function_interrupts").value, 14.0);
    EXPECT_EQ(reading_of(readings, "call_function_interrupts").scope, CounterScope::cpu);
    EXPECT_EQ(reading_of(readings, "call_function_interrupts").cpu, 3U);
}

TEST(CpuCounters, are_denied_with_their_own_way_out_where_only_threads_may_be_counted) {
    FakeCounterSystem system;
    system.refuse = [](const auto& event) { return event.process == -1 ? EACCES : 0; };
    auto counters = CpuCounters::open(0, system);
    const CounterReading flushes = reading_of(counters.read(), "tlb_flush_remote_received");
    EXPECT_EQ(flushes.state, CounterState::denied);
    EXPECT_THAT(flushes.why, HasSubstr("perf_event_paranoid=0"));
}

TEST(PhaseCounters, sum_the_phases_between_samples) {
    FakeCounterSystem system;
    const auto counters = PhaseCounters::open(system);
    PhaseSample marking;
    PhaseSample flushing;
    for (int round = 0; round < 3; ++round) {
        const PhaseSample begin = counters.sample();
        system.pass(5, 100, 100);
        const PhaseSample border = counters.sample();
        system.pass(11, 1000, 1000);
        const PhaseSample end = counters.sample();
        accumulate(marking, begin, border);
        accumulate(flushing, border, end);
    }
    EXPECT_EQ(reading_of(counters.readings(marking), "tlb_flush_local").value, 15.0);
    EXPECT_EQ(reading_of(counters.readings(flushing), "tlb_flush_local").value, 33.0);
    EXPECT_EQ(reading_of(counters.readings(flushing), "call_function_interrupts").value, 66.0);
    EXPECT_EQ(reading_of(counters.readings(flushing), "cycles", CounterMode::kernel).value, 33.0);
    EXPECT_EQ(reading_of(counters.readings(marking), "cycles", CounterMode::user).enabled_ns, 300U);
}

TEST(PhaseCounters, take_one_system_call_a_sample_where_there_is_no_pmu) {
    FakeCounterSystem system;
    system.refuse = [](const auto& event) { return FakeCounterSystem::is_hardware(event) ? ENOENT : 0; };
    const auto counters = PhaseCounters::open(system);
    system.reads = 0;
    counters.sample();
    EXPECT_EQ(system.reads, 1);
}

TEST(PhaseCounters, stay_harmless_where_nothing_opens) {
    FakeCounterSystem system;
    system.refuse = [](const auto&) { return ENOSYS; };
    const auto counters = PhaseCounters::open(system);
    const PhaseSample before = counters.sample();
    for (const CounterReading& reading : counters.readings(before, counters.sample())) {
        EXPECT_EQ(reading.value, std::nullopt) << reading.name;
        EXPECT_EQ(reading.state, CounterState::absent) << reading.name;
    }
}

TEST(CounterDescription, lists_what_a_set_would_count_and_why_not) {
    FakeCounterSystem system;
    system.core_pmu = false;
    system.refuse = [](const auto& event) { return FakeCounterSystem::is_hardware(event) ? ENOENT : 0; };
    const CounterSetDescription description = describe(CounterSetName::numa, system);
    EXPECT_EQ(description.set, CounterSetName::numa);
    EXPECT_THAT(description.processor, HasSubstr("Skylake"));
    EXPECT_FALSE(description.usable);
    EXPECT_THAT(description.why_unusable, HasSubstr("no hardware"));
    int always = 0;
    int hardware = 0;
    for (const CounterDescription& counter : description.counters) {
        EXPECT_FALSE(counter.meaning.empty());
        EXPECT_EQ(counter.counter.value, std::nullopt);
        EXPECT_EQ(counter.counter.state, counter.always ? CounterState::ok : CounterState::absent);
        ++(counter.always ? always : hardware);
    }
    EXPECT_EQ(always, 11);
    EXPECT_EQ(hardware, 8);
    EXPECT_TRUE(system.events.empty()) << "describing leaves nothing open";
    EXPECT_TRUE(describe(CounterSetName::interrupts, system).usable);
    EXPECT_TRUE(describe(CounterSetName::none, system).usable);
}

}  // namespace
}  // namespace page_map_lab
