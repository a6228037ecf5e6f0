// What the running kernel really counts. Where it may not, the test says so and is skipped.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "impl/core/page_index.hpp"
#include "impl/platform/counters.hpp"
#include "impl/platform/shootdown_probe.hpp"

namespace page_map_lab {
namespace {

constexpr int shootdowns = 20;

/// The value, or nothing with the test marked as skipped.
#define VALUE_OR_SKIP(variable, readings, name)                                                              \
    const CounterReading* const variable##_reading = find_reading(readings, name);                           \
    ASSERT_NE(variable##_reading, nullptr) << (name);                                                        \
    if (!variable##_reading->value) {                                                                        \
        GTEST_SKIP() << (name) << " is " << to_string(variable##_reading->state) << ": " << variable##_reading->why; \
    }                                                                                                        \
    const double variable = *variable##_reading->value

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

/// Moves the calling thread to one processor and back again.
class OnCpu {
public:
    explicit OnCpu(unsigned cpu) {
        ::sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ::sched_setaffinity(0, sizeof one, &one);
    }
    ~OnCpu() { ::sched_setaffinity(0, sizeof before_, &before_); }
    OnCpu(const OnCpu&) = delete;
    OnCpu& operator=(const OnCpu&) = delete;

private:
    cpu_set_t before_{};
};

struct ShootdownCounts {
    std::vector<CounterReading> initiator, victim, victim_cpu;
};

/// Revokes a page `shootdowns` times while another thread of the process spins on another processor. Each time the
/// victim is seen to run first, so that a shootdown has somebody to reach.
ShootdownCounts shoot_down(unsigned initiator_cpu, unsigned victim_cpu) {
    ShootdownCounts counts;
    std::atomic<bool> ready = false;
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> turns = 0;
    std::thread victim([&] {
        const OnCpu pinned(victim_cpu);
        auto counters = ThreadCounters::open(CounterSetName::none);
        counters.start();
        ready.store(true, std::memory_order_release);  // [victim ready] with the acquire in the initiator
        while (!stop.load(std::memory_order_acquire)) {  // [stop] with the release in the initiator
            // Relaxed: only its progress is looked at.
            turns.fetch_add(1, std::memory_order_relaxed);
        }
        counters.stop();
        counts.victim = counters.read();
    });
    const OnCpu pinned(initiator_cpu);
    auto* const memory = static_cast<volatile char*>(
        ::mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    while (!ready.load(std::memory_order_acquire)) {  // [victim ready]
        std::this_thread::yield();
    }
    auto counters = ThreadCounters::open(CounterSetName::none);
    auto cpu_counters = CpuCounters::open(victim_cpu);
    cpu_counters.start();
    counters.start();
    for (int round = 0; round < shootdowns; ++round) {
        const std::uint64_t seen = turns.load(std::memory_order_relaxed);
        while (turns.load(std::memory_order_relaxed) == seen) {
        }
        memory[0] = 1;
        ::mprotect(const_cast<char*>(memory), page_size, PROT_NONE);
        ::mprotect(const_cast<char*>(memory), page_size, PROT_READ | PROT_WRITE);
    }
    counters.stop();
    cpu_counters.stop();
    stop.store(true, std::memory_order_release);  // [stop]
    victim.join();
    counts.initiator = counters.read();
    counts.victim_cpu = cpu_counters.read();
    ::munmap(const_cast<char*>(memory), page_size);
    return counts;
}

/// A hypervisor that flushes its guests' TLBs by itself interrupts nobody.
#define SKIP_WITHOUT_INTERRUPTS()                                                                              \
    if (const auto probe = probe_shootdowns(*Topology::discover()); probe && probe->interrupts_nobody()) {     \
        GTEST_SKIP() << "shootdowns interrupt nobody on this machine";                                         \
    }                                                                                                          \
    static_cast<void>(0)

TEST(LiveCounters, a_revoked_page_is_counted_by_the_thread_that_is_shot_down) {
    const std::vector<unsigned> cpus = allowed_cpus();
    if (cpus.size() < 2) {
        GTEST_SKIP() << "a shootdown needs two processors";
    }
    const ShootdownCounts counts = shoot_down(cpus[0], cpus[1]);
    VALUE_OR_SKIP(received, counts.victim, "tlb_flush_remote_received");
    VALUE_OR_SKIP(interrupts, counts.victim, "call_function_interrupts");
    VALUE_OR_SKIP(sent, counts.initiator, "tlb_flush_remote_sent_intent");
    VALUE_OR_SKIP(local, counts.initiator, "tlb_flush_local");
    EXPECT_GE(sent, shootdowns);
    EXPECT_GE(local, shootdowns);
    SKIP_WITHOUT_INTERRUPTS();
    // Others may take the processor from the victim now and then; most shootdowns reach it.
    EXPECT_GE(received, 1);
    EXPECT_GE(interrupts, 1);
    EXPECT_LT(*find_reading(counts.victim, "tlb_flush_remote_sent_intent")->value, shootdowns);
}

TEST(LiveCounters, a_processors_counters_see_what_reaches_it) {
    const std::vector<unsigned> cpus = allowed_cpus();
    if (cpus.size() < 2) {
        GTEST_SKIP() << "a shootdown needs two processors";
    }
    const ShootdownCounts counts = shoot_down(cpus[0], cpus[1]);
    VALUE_OR_SKIP(received, counts.victim_cpu, "tlb_flush_remote_received");
    VALUE_OR_SKIP(interrupts, counts.victim_cpu, "call_function_interrupts");
    EXPECT_EQ(counts.victim_cpu.front().cpu, cpus[1]);
    SKIP_WITHOUT_INTERRUPTS();
    EXPECT_GE(received, 1);
    EXPECT_GE(interrupts, 1);
}

TEST(LiveCounters, faults_and_time_are_counted_for_the_span_alone) {
    // Many more outside the span than within: a sanitizer's own faults must not look like a span that does not end.
    constexpr std::size_t inside = 64;
    constexpr std::size_t outside = 4096;
    auto* const memory = static_cast<volatile char*>(
        ::mmap(nullptr, (inside + outside) * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ::madvise(const_cast<char*>(memory), (inside + outside) * page_size, MADV_NOHUGEPAGE);
    const auto touch = [&](std::size_t first, std::size_t count) {
        for (std::size_t page = first; page < first + count; ++page) {
            memory[page * page_size] = 1;
        }
    };
    auto counters = ThreadCounters::open(CounterSetName::none);
    counters.start();
    touch(0, inside);
    counters.stop();
    touch(inside, outside);
    const auto readings = counters.read();
    ::munmap(const_cast<char*>(memory), (inside + outside) * page_size);
    VALUE_OR_SKIP(faults, readings, "minor_faults");
    VALUE_OR_SKIP(time_ns, readings, "task_clock_ns");
    EXPECT_GE(faults, inside);
    EXPECT_LT(faults, outside);
    EXPECT_GT(time_ns, 0);
    VALUE_OR_SKIP(user_faults, readings, "page_fault_user");
    EXPECT_GE(user_faults, inside);
    EXPECT_LT(user_faults, outside);
}

TEST(LiveCounters, giving_up_the_processor_is_a_context_switch) {
    auto counters = ThreadCounters::open(CounterSetName::none);
    counters.start();
    for (int nap = 0; nap < 3; ++nap) {
        const timespec time{0, 1'000'000};
        ::nanosleep(&time, nullptr);
    }
    counters.stop();
    const auto readings = counters.read();
    VALUE_OR_SKIP(switches, readings, "context_switches");
    EXPECT_GE(switches, 3);
}

TEST(LiveCounters, phases_are_told_apart) {
    auto* const memory = static_cast<volatile char*>(
        ::mmap(nullptr, 64 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    ::madvise(const_cast<char*>(memory), 64 * page_size, MADV_NOHUGEPAGE);
    const auto counters = PhaseCounters::open();
    const PhaseSample begin = counters.sample();
    for (std::size_t page = 0; page < 64; ++page) {
        memory[page * page_size] = 1;
    }
    const PhaseSample border = counters.sample();
    const PhaseSample end = counters.sample();
    ::munmap(const_cast<char*>(memory), 64 * page_size);
    const auto touching = counters.readings(begin, border);
    const auto nothing = counters.readings(border, end);
    VALUE_OR_SKIP(faults, touching, "minor_faults");
    VALUE_OR_SKIP(no_faults, nothing, "minor_faults");
    EXPECT_GE(faults, 64);
    EXPECT_LT(no_faults, 64);
}

TEST(LiveCounters, every_reading_has_a_value_or_a_reason) {
    for (const CounterSetName set : all_counter_sets()) {
        auto counters = ThreadCounters::open(set);
        counters.start();
        counters.stop();
        for (const CounterReading& reading : counters.read()) {
            const bool counted = reading.state == CounterState::ok || reading.state == CounterState::multiplexed;
            EXPECT_EQ(reading.value.has_value(), counted) << reading.name;
            EXPECT_TRUE(counted || !reading.why.empty()) << reading.name;
        }
        EXPECT_EQ(counters.usable(), counters.why_unusable().empty());
        EXPECT_EQ(describe(set).usable, counters.usable());
    }
}

}  // namespace
}  // namespace page_map_lab
