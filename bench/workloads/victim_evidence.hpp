// What the victims of a run prove: that they ran, how often they were interrupted, and what they lost.
//
// A descheduled victim makes a shootdown look ten times cheaper than it is, so an operation during which one paused,
// began late or had ended does not count; and interrupts are counted where they arrive: tlb:tlb_flush with reason 1, on
// the victim.
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
          page_faults(sum_counter(threads, "victim", "page_faults").value.value_or(0)) {}

    Metric shootdowns;
    Metric function_calls;
    double context_switches;
    double page_faults;

    /// Whether the victims were at work throughout an operation. A victim that faults may sleep in its fault: that is
    /// the policy's price, so nothing can be said against it.
    bool supports(const TimeSpan& operation, const std::vector<VictimLog>& logs) const {
        return page_faults != 0 || std::all_of(logs.begin(), logs.end(), [&](const VictimLog& log) {
                   return log.was_running_during(operation);
               });
    }

    /// For a repetition that no operation supports.
    std::string why_nothing_counts() const {
        return "no operation had its victims at work throughout (they were switched out " +
               std::to_string(static_cast<long>(context_switches)) +
               " times): run on a quieter machine, or with fewer threads or pages";
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
