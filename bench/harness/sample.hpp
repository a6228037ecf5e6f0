// What one repetition of one cell gave: its score, its threads, and whatever else the workload measured.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/harness/latency_histogram.hpp"
#include "impl/platform/counters_reading.hpp"
#include "impl/platform/pinning.hpp"

namespace page_map_lab::bench {

/// One member of the team over one run, on its own clock.
struct ThreadReport {
    std::string role;
    PinOutcome pinned;  ///< where it was asked to run, and where it was found
    std::uint64_t operations = 0;
    std::uint64_t duration_ns = 0;           ///< wall time between TeamMember::start and stop
    std::uint64_t cpu_ns = 0;                ///< this thread's processor time in between: less means it was descheduled
    std::vector<CounterReading> counters{};  ///< of this thread, between start and stop

    /// 0 where nothing was done.
    double ns_per_operation() const {
        return operations == 0 ? 0.0 : static_cast<double>(duration_ns) / static_cast<double>(operations);
    }
};

/// A number with a name that says its unit ("bytes_per_page"); `why` says why there is none, or what made it what it is.
struct Metric {
    std::string name;
    std::optional<double> value;
    std::string why{};
};

/// The time and the operations that one phase of the measured thing took, summed.
struct Phase {
    std::string name;
    std::uint64_t duration_ns = 0;
    std::uint64_t operations = 0;
    std::vector<CounterReading> counters{};  ///< read at the phase's borders, over other operations than those timed
    std::uint64_t counted_operations = 0;    ///< how many those were
};

/// Latencies of one kind, by one role. Those of the same name and role are merged over the repetitions.
struct NamedHistogram {
    std::string name;
    std::string role;
    LatencyHistogram latencies;
};

/// What one repetition gave.
struct Sample {
    double score = 0;  ///< in the unit of the workload's score
    std::vector<ThreadReport> threads;
    std::vector<Metric> metrics{};
    std::vector<NamedHistogram> histograms{};
    std::vector<Phase> phases{};             ///< summed over the repetitions, by name
    std::vector<CounterReading> counters{};  ///< of no single thread (scope cpu or system); role stays empty
    std::optional<std::string> excluded{};   ///< why this repetition may not be used, for example "the victim slept"
};

/// What a cell's check at the end says.
struct CheckOutcome {
    bool passed = false;
    std::string digest;     ///< hexadecimal; equal work on equal data has equal digests
    std::string message{};  ///< what was wrong, or empty
};

/// Mean nanoseconds an operation over the threads of `role`: total time / total operations. 0 where nothing was done.
double ns_per_operation(const std::vector<ThreadReport>& threads, const std::string& role);

/// Operations a second by all threads of `role` together, each by its own clock. 0 where nothing was done.
double operations_per_second(const std::vector<ThreadReport>& threads, const std::string& role);

/// Adds a reading to the one of the same counter, or appends it. The sum is as good as its worst part.
void add_reading(std::vector<CounterReading>& sums, const CounterReading& reading);

/// Adds a further run of the same roles to `total`, thread by thread; an empty `total` becomes `more`.
void add_run(std::vector<ThreadReport>& total, std::vector<ThreadReport> more);

/// Slowest over fastest thread of `role` by operations a second, in [0, 1]; 1 for a single thread.
double fairness(const std::vector<ThreadReport>& threads, const std::string& role);

}  // namespace page_map_lab::bench
