// What the record keeps of one cell: its repetitions one by one, and counters, histograms and phases summed over them.
//
// Thread safety: none.
// Invariant: an excluded repetition is listed, but adds nothing to the sums.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/harness/sample.hpp"
#include "bench/harness/selection.hpp"

namespace page_map_lab::bench {

/// One role's counters, summed over its threads and over repetitions; of no thread where the role is empty.
struct RoleCounters {
    std::string role;
    std::vector<CounterReading> sums;
};

struct RepetitionResult {
    unsigned index = 0;
    double score = 0;
    std::vector<ThreadReport> threads{};
    std::vector<Metric> metrics{};
    std::optional<double> beside_score{};
    std::optional<std::string> excluded{};
};

class CellResult {
public:
    explicit CellResult(CellPlan plan) : plan_(std::move(plan)) {}

    /// Takes one repetition in.
    void add(unsigned repetition, Sample sample, std::optional<double> beside_score);

    const CellPlan& plan() const { return plan_; }
    const std::vector<RepetitionResult>& repetitions() const { return repetitions_; }
    const std::vector<RoleCounters>& counters() const { return counters_; }
    const std::vector<NamedHistogram>& histograms() const { return histograms_; }
    const std::vector<Phase>& phases() const { return phases_; }

    /// Operations that threads of `role` did in the repetitions that count; the first role's where `role` is empty.
    double operations(const std::string& role) const;

    std::vector<Metric> metrics{};  ///< of the cell as a whole
    CheckOutcome check{};
    std::optional<std::string> failed;  ///< why it could not be set up or measured

private:
    void add_counters(const std::vector<CounterReading>& readings, const std::string& role);

    CellPlan plan_;
    std::vector<RepetitionResult> repetitions_;
    std::vector<RoleCounters> counters_;
    std::vector<NamedHistogram> histograms_;
    std::vector<Phase> phases_;
};

}  // namespace page_map_lab::bench
