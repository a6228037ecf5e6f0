// Counters of the calling thread, of one processor, and of the phases of an operation, through perf_event.
//
// Hardware events are encoded by libpfm4 and counted twice, in user and in kernel mode. Software events and the
// tracepoints of TLB flushes, function-call interrupts and page faults come with every set, so that a machine without a
// PMU still answers. Opening never fails as a whole: each counter carries its own state and reason.
//
// Thread safety: an object belongs to the thread that opened it: open, start, stop and sample are that thread's.
// read() may be called by any thread after stop(), ordered by the caller (joining the thread will do).
// Invariants:
//   1. A counter that the kernel opened without being able to see its events is reported denied, never 0.
//   2. Counters of one group start, stop and are read together: their ratios are of the same span of time.
// Cost: start and stop are two system calls a group, 3 us each for the software and tracepoint counters; sample() is
// one or two, about 1 us. Read at the borders of phases, not per operation. The first opening in a process takes about
// 15 ms (libpfm4's tables, and the kernel patches its tracepoints in), a later one 0.1 to 0.3 ms; the process's end
// waits about 0.15 s until the kernel has taken them out again. Shared virtual machine, two processors, Linux 6.18.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "impl/platform/counters_reading.hpp"

namespace page_map_lab {

class CounterSystem;

/// The operating system as the counters see it.
CounterSystem& real_counter_system() noexcept;

/// The calling thread's counters: the software and tracepoint counters, and the hardware events of a set.
///
///     auto counters = ThreadCounters::open(CounterSetName::tlb);
///     counters.start();  ...work...  counters.stop();
///     for (const CounterReading& reading : counters.read()) ...
class ThreadCounters {
public:
    /// Opens what can be opened. Never fails; see usable().
    static ThreadCounters open(CounterSetName set, CounterSystem& system = real_counter_system());
    ThreadCounters(ThreadCounters&&) noexcept;
    ThreadCounters& operator=(ThreadCounters&&) noexcept;
    ~ThreadCounters();

    /// Begins a new span; what was counted before is forgotten.
    void start() noexcept;
    /// Ends the span that start() began.
    void stop() noexcept;
    /// What the last finished span counted, one reading per counter and mode, in a fixed order.
    std::vector<CounterReading> read() const;

    /// Whether the set answers its question here. `none` asks nothing; `interrupts` needs the tracepoints of received
    /// flushes and function-call interrupts; each other set needs one hardware event at least, and none denied.
    bool usable() const { return why_unusable().empty(); }
    /// The first reason why not, with the way out; empty where usable.
    std::string why_unusable() const;

private:
    struct Body;
    explicit ThreadCounters(std::unique_ptr<Body> body) noexcept;
    std::unique_ptr<Body> body_;
};

/// What one processor saw, whoever ran there: TLB flushes by reason and function-call interrupts. Scope cpu.
///
/// Needs perf_event_paranoid 0 or less, or CAP_PERFMON; otherwise every reading is denied. Any thread may use it, one
/// at a time.
class CpuCounters {
public:
    /// `cpu` is the number that the operating system gives the processor.
    static CpuCounters open(unsigned cpu, CounterSystem& system = real_counter_system());
    CpuCounters(CpuCounters&&) noexcept;
    CpuCounters& operator=(CpuCounters&&) noexcept;
    ~CpuCounters();

    void start() noexcept;
    void stop() noexcept;
    std::vector<CounterReading> read() const;

private:
    struct Body;
    explicit CpuCounters(std::unique_ptr<Body> body) noexcept;
    std::unique_ptr<Body> body_;
};

/// What a PhaseCounters had counted at one moment. Meaningful only as a difference to another of the same object.
struct PhaseSample {
    static constexpr std::size_t value_capacity = 16;
    static constexpr std::size_t group_capacity = 3;
    std::array<std::uint64_t, value_capacity> values{};
    std::array<GroupTimes, group_capacity> times{};
};

/// A few counters of the calling thread for the borders between phases. They count from open() to destruction; a sample
/// is one system call, two where there is a PMU (about 1 us each).
///
///     auto counters = PhaseCounters::open();
///     PhaseSample mark_total;
///     const PhaseSample before = counters.sample();  ...mark...  accumulate(mark_total, before, counters.sample());
///     counters.readings(mark_total)
class PhaseCounters {
public:
    /// Opens task_clock_ns, page_faults, minor_faults, tlb_flush_*, call_function_interrupts, cycles and instructions.
    static PhaseCounters open(CounterSystem& system = real_counter_system());
    PhaseCounters(PhaseCounters&&) noexcept;
    PhaseCounters& operator=(PhaseCounters&&) noexcept;
    ~PhaseCounters();

    /// The counters now; zeros where nothing could be opened.
    PhaseSample sample() const noexcept;
    /// What was counted between two samples of this object, or in a total of such differences, with names and states.
    std::vector<CounterReading> readings(const PhaseSample& before, const PhaseSample& after) const;
    std::vector<CounterReading> readings(const PhaseSample& total) const { return readings(PhaseSample{}, total); }

private:
    struct Body;
    explicit PhaseCounters(std::unique_ptr<Body> body) noexcept;
    std::unique_ptr<Body> body_;
};

/// Adds what was counted between two samples to `total`: a phase that comes many times, summed without allocating.
void accumulate(PhaseSample& total, const PhaseSample& before, const PhaseSample& after) noexcept;

/// What a set would count here, without counting: for a diagnosis.
struct CounterDescription {
    CounterReading counter;  ///< name, event, scope, mode, state and why; never a value
    bool always = false;     ///< comes with every set
    std::string meaning;     ///< one sentence for users
};

struct CounterSetDescription {
    CounterSetName set = CounterSetName::none;
    std::string processor;  ///< whose table of events is used: "AMD Zen 4"
    bool usable = false;
    std::string why_unusable{};
    std::vector<CounterDescription> counters{};
};

/// Opens every counter of the set for the calling thread, notes its state and closes it again.
CounterSetDescription describe(CounterSetName set, CounterSystem& system = real_counter_system());

}  // namespace page_map_lab
