// What the victims of a run prove: that they ran, how often they were interrupted, and what they lost.
//
// A descheduled victim makes a shootdown look ten times cheaper than it is. So an operation whose victims were away does
// not count; and interrupts are expected only of flushes at whose beginning the victim is proven to have been at work, and
// counted where they arrive: tlb:tlb_flush with reason 1, on the victim.
//
// Thread safety: plain functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
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

    /// Whether the victims were at work throughout an operation, but for pauses as long as `usual_pause`.
    static bool supports(const TimeSpan& operation, const std::vector<VictimLog>& logs,
                         VictimClock::duration usual_pause = {}) {
        return std::all_of(logs.begin(), logs.end(), [&](const VictimLog& log) {
            return log.time_away_from(operation).is_excused(operation, usual_pause);
        });
    }

    /// For operations, or a whole repetition of them, that the victims do not support.
    std::string why_nothing_counts() const {
        return "a victim was away (they were switched out " + std::to_string(static_cast<long>(context_switches)) +
               " times): run on a quieter machine, or with fewer threads or pages";
    }
};

/// Tells the pauses that an operation brings its victims from those that befall them, where a hypervisor flushes and stops
/// them meanwhile, or interrupts take long: what every operation brings is its price. What exceeds twice the median is held
/// against the victims, and so is everything until a few operations were seen.
class UsualPause {
public:
    void note(const TimeSpan& operation, const std::vector<VictimLog>& logs) {
        auto longest = VictimClock::duration::zero();
        for (const VictimLog& log : logs) {
            longest = std::max(longest, log.time_away_from(operation).paused);
        }
        pauses_.insert(std::upper_bound(pauses_.begin(), pauses_.end(), longest), longest);
    }

    VictimClock::duration longest_excused() const {
        constexpr std::size_t fewest_operations = 3;
        return pauses_.size() < fewest_operations ? VictimClock::duration::zero() : 2 * pauses_[(pauses_.size() - 1) / 2];
    }

private:
    std::vector<VictimClock::duration> pauses_;  ///< in order
};

/// Whom the flushes of an operation found at work, each victim counted for each flush.
struct FlushProof {
    std::uint64_t met = 0;     ///< at work when the flush began: an interrupt is expected
    std::uint64_t missed = 0;  ///< away, or not proven to be there
    std::uint64_t asleep = 0;  ///< of the missed: in a fault that the operation caused, which is the policy's price

    FlushProof(std::span<const VictimClock::time_point> flushes, const TimeSpan& operation,
               const std::vector<VictimLog>& logs) {
        for (const VictimLog& log : logs) {
            for (const auto flush : flushes) {
                const Absence* const absence = log.absence_at(flush);
                met += log.was_running_at(flush);
                missed += !log.was_running_at(flush);
                asleep += absence != nullptr && absence->slept_in_fault && absence->time.started >= operation.started;
            }
        }
    }

    /// Whether the operation cost what it costs with every victim at work, but for a tenth of the flushes at most.
    bool supports_its_time() const {
        constexpr std::uint64_t one_in = 10;
        return one_in * (missed - asleep) <= met + missed;
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
