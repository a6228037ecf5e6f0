#include "bench/harness/cell_result.hpp"

#include <algorithm>

namespace page_map_lab::bench {

void CellResult::add_counters(const std::vector<CounterReading>& readings, const std::string& role) {
    auto known = std::find_if(counters_.begin(), counters_.end(), [&](const auto& sums) { return sums.role == role; });
    if (known == counters_.end()) {
        known = counters_.insert(known, {role, {}});
    }
    for (const auto& reading : readings) {
        add_reading(known->sums, reading);
    }
}

void CellResult::add(unsigned repetition, Sample sample, std::optional<double> beside_score) {
    RepetitionResult result{.index = repetition,
                            .score = sample.score,
                            .threads = std::move(sample.threads),
                            .metrics = std::move(sample.metrics),
                            .beside_score = beside_score,
                            .excluded = std::move(sample.excluded)};
    if (!result.excluded) {
        for (const auto& thread : result.threads) {
            add_counters(thread.counters, thread.role);
        }
        add_counters(sample.counters, "");
        for (auto& histogram : sample.histograms) {
            const auto known = std::find_if(histograms_.begin(), histograms_.end(), [&](const auto& other) {
                return other.name == histogram.name && other.role == histogram.role;
            });
            if (known == histograms_.end()) {
                histograms_.push_back(std::move(histogram));
            } else {
                known->latencies.merge(histogram.latencies);
            }
        }
        for (const auto& phase : sample.phases) {
            const auto known = std::find_if(phases_.begin(), phases_.end(),
                                            [&](const auto& other) { return other.name == phase.name; });
            if (known == phases_.end()) {
                phases_.push_back(phase);
            } else {
                known->duration_ns += phase.duration_ns;
                known->operations += phase.operations;
                for (const auto& reading : phase.counters) {
                    add_reading(known->counters, reading);
                }
                known->counted_operations += phase.counted_operations;
            }
        }
    }
    for (auto& thread : result.threads) {
        thread.counters.clear();
    }
    repetitions_.push_back(std::move(result));
}

double CellResult::operations(const std::string& role) const {
    double sum = 0;
    for (const auto& repetition : repetitions_) {
        if (repetition.excluded || repetition.threads.empty()) {
            continue;
        }
        const std::string& wanted = role.empty() ? repetition.threads.front().role : role;
        for (const auto& thread : repetition.threads) {
            sum += thread.role == wanted ? static_cast<double>(thread.operations) : 0;
        }
    }
    return sum;
}

}  // namespace page_map_lab::bench
