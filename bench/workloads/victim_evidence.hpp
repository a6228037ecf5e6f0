// What the victims of a run prove: that they ran, how often they were interrupted, and what they lost.
//
// A descheduled victim makes a shootdown look ten times cheaper than it is, so a run in which one did not stay on its
// processor does not count, and interrupts are counted where they arrive: tlb:tlb_flush with reason 1, on the victim.
//
// Thread safety: plain functions.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/harness/sample.hpp"
#include "bench/workloads/victim.hpp"

namespace page_map_lab::bench {

/// A counter's sum over the threads of one role, or why there is none.
inline Metric sum_counter(const std::vector<ThreadReport>& threads, std::string_view role, std::string_view counter) {
    Metric sum{std::string(counter), 0.0, {}};
    bool counted = false;
    for (const ThreadReport& thread : threads) {
        if (thread.role != role) {
            continue;
        }
        counted = true;
        const CounterReading* reading = find_reading(thread.counters, counter);
        if (reading == nullptr || !reading->value) {
            return {sum.name, std::nullopt, reading == nullptr ? sum.name + " was not counted" : reading->why};
        }
        *sum.value += *reading->value;
    }
    return counted ? sum : Metric{sum.name, std::nullopt, "there is no " + std::string(role)};
}

/// All victims of one run, or of several that were added up.
struct VictimEvidence {
    explicit VictimEvidence(const std::vector<ThreadReport>& threads)
        : shootdowns(sum_counter(threads, "victim", "tlb_flush_remote_received")),
          function_calls(sum_counter(threads, "victim", "call_function_interrupts")),
          context_switches(sum_counter(threads, "victim", "context_switches").value.value_or(0)),
          page_faults(sum_counter(threads, "victim", "page_faults").value.value_or(0)) {
        double initiator_ns = 0;
        for (const ThreadReport& thread : threads) {
            initiator_ns = thread.role == "initiator" ? static_cast<double>(thread.duration_ns) : initiator_ns;
        }
        for (const ThreadReport& thread : threads) {
            if (thread.role == "victim" && initiator_ns != 0) {
                const auto ran_ns = static_cast<double>(std::min(thread.cpu_ns, thread.duration_ns));
                processor_share = std::min(processor_share, ran_ns / initiator_ns);
            }
        }
    }

    Metric shootdowns;
    Metric function_calls;
    double context_switches;
    double page_faults;
    double processor_share = 1;  ///< of the victim that had least: its processor time over the initiator's wall time

    /// Why the run may not be used. A victim that faults may sleep in its fault: that is the policy's price, not noise.
    std::optional<std::string> why_it_does_not_count() const {
        // A victim that waits for its processor when the run begins is switched out without being counted, so the time
        // decides. That of short runs is exact to a few microseconds only, hence not simply 1.
        const double least_share = page_faults == 0 ? 0.9 : 0.5;
        if (processor_share < least_share) {
            return "a victim was switched out " + std::to_string(static_cast<long>(context_switches)) +
                   " times and ran " + std::to_string(static_cast<int>(processor_share * 100)) +
                   " % of the time: run on a quieter machine, or with fewer threads";
        }
        return std::nullopt;
    }
};

/// The victims' share of a repetition in numbers, per operation of the initiator.
inline std::vector<Metric> victim_metrics(const VictimEvidence& evidence, const std::vector<VictimLog>& logs,
                                          std::uint64_t operations, double expected_interrupts) {
    const auto each = static_cast<double>(operations);
    const auto per_operation = [&](std::string name, const Metric& counter) {
        return counter.value ? Metric{std::move(name), *counter.value / each, {}}
                             : Metric{std::move(name), std::nullopt, counter.why};
    };
    double iterations = 0;
    double stalled_ns = 0;
    double duration_ns = 0;
    for (const VictimLog& log : logs) {
        iterations += static_cast<double>(log.iterations);
        stalled_ns += static_cast<double>(log.stalled_ns);
        duration_ns += static_cast<double>(log.duration_ns);
    }
    std::vector<Metric> metrics{per_operation("interrupts_per_operation", evidence.shootdowns),
                                {"expected_interrupts_per_operation", expected_interrupts / each, {}},
                                per_operation("function_call_interrupts_per_operation", evidence.function_calls)};
    if (logs.empty()) {
        for (const char* name : {"victim_iterations_per_second", "victim_stall_ns_per_operation",
                                 "victim_lost_iterations_per_operation", "victim_faults_per_operation"}) {
            metrics.push_back({name, std::nullopt, "there is no victim"});
        }
        return metrics;
    }
    const double undisturbed_ns = duration_ns - stalled_ns;
    const double lost = undisturbed_ns <= 0 ? 0 : iterations * stalled_ns / undisturbed_ns;
    metrics.push_back({"victim_iterations_per_second", duration_ns == 0 ? 0 : 1e9 * iterations / duration_ns, {}});
    metrics.push_back({"victim_stall_ns_per_operation", stalled_ns / each, {}});
    metrics.push_back({"victim_lost_iterations_per_operation", lost / each, {}});
    metrics.push_back({"victim_faults_per_operation", evidence.page_faults / each, {}});
    return metrics;
}

}  // namespace page_map_lab::bench
