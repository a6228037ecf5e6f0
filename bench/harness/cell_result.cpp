#include "bench/harness/cell_result.hpp"

#include <algorithm>
#include <tuple>

namespace page_map_lab::bench {
namespace {

bool same_counter(const CounterReading& left, const CounterReading& right) {
    const auto key = [](const CounterReading& reading) {
        return std::tie(reading.name, reading.event, reading.scope, reading.mode, reading.cpu);
    };
    return key(left) == key(right);
}

template <class Number>
void add_optional(std::optional<Number>& sum, const std::optional<Number>& value) {
    if (value) {
        sum = sum.value_or(0) + *value;
    }
}

/// ok only where all are; a counter that is missing in one place is missing in the sum.
void fold(CounterReading& sum, const CounterReading& reading) {
    if (sum.value && reading.value) {
        *sum.value += *reading.value;
    } else {
        sum.value.reset();
    }
    add_optional(sum.enabled_ns, reading.enabled_ns);
    add_optional(sum.running_ns, reading.running_ns);
    if (reading.state > sum.state) {  // ordered from best to worst
        sum.state = reading.state;
        sum.why = reading.why;
    }
}

}  // namespace

void CellResult::add_counters(const std::vector<CounterReading>& readings, const std::string& role) {
    for (const auto& reading : readings) {
        const auto known = std::find_if(counters_.begin(), counters_.end(), [&](const CounterTotal& total) {
            return total.role == role && same_counter(total.sum, reading);
        });
        if (known == counters_.end()) {
            counters_.push_back({reading, role});
        } else {
            fold(known->sum, reading);
        }
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
