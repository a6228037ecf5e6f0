#include "bench/harness/sample.hpp"

#include <algorithm>
#include <tuple>

#include "impl/core/check.hpp"

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

}  // namespace

void add_reading(std::vector<CounterReading>& sums, const CounterReading& reading) {
    const auto known =
        std::find_if(sums.begin(), sums.end(), [&](const CounterReading& sum) { return same_counter(sum, reading); });
    if (known == sums.end()) {
        sums.push_back(reading);
        return;
    }
    if (known->value && reading.value) {
        *known->value += *reading.value;
    } else {
        known->value.reset();  // missing in one place is missing in the sum
    }
    add_optional(known->enabled_ns, reading.enabled_ns);
    add_optional(known->running_ns, reading.running_ns);
    if (reading.state > known->state) {  // ordered from best to worst
        known->state = reading.state;
        known->why = reading.why;
    }
}

double ns_per_operation(const std::vector<ThreadReport>& threads, const std::string& role) {
    double duration_ns = 0;
    double operations = 0;
    for (const auto& thread : threads) {
        if (thread.role == role) {
            duration_ns += static_cast<double>(thread.duration_ns);
            operations += static_cast<double>(thread.operations);
        }
    }
    return operations == 0 ? 0 : duration_ns / operations;
}

double operations_per_second(const std::vector<ThreadReport>& threads, const std::string& role) {
    double sum = 0;
    for (const auto& thread : threads) {
        if (thread.role == role && thread.duration_ns != 0) {
            sum += 1e9 * static_cast<double>(thread.operations) / static_cast<double>(thread.duration_ns);
        }
    }
    return sum;
}

void add_run(std::vector<ThreadReport>& total, std::vector<ThreadReport> more) {
    if (total.empty()) {
        total = std::move(more);
        return;
    }
    check(total.size() == more.size(), "runs that are added up have the same roles");
    for (std::size_t index = 0; index < more.size(); ++index) {
        ThreadReport& sum = total[index];
        const ThreadReport& part = more[index];
        sum.operations += part.operations;
        sum.duration_ns += part.duration_ns;
        sum.cpu_ns += part.cpu_ns;
        if (part.pinned.state > sum.pinned.state) {
            sum.pinned = part.pinned;
        }
        for (const auto& reading : part.counters) {
            add_reading(sum.counters, reading);
        }
    }
}

double fairness(const std::vector<ThreadReport>& threads, const std::string& role) {
    double slowest = 0;
    double fastest = 0;
    bool first = true;
    for (const auto& thread : threads) {
        if (thread.role == role && thread.duration_ns != 0) {
            const double speed = static_cast<double>(thread.operations) / static_cast<double>(thread.duration_ns);
            slowest = first ? speed : std::min(slowest, speed);
            fastest = first ? speed : std::max(fastest, speed);
            first = false;
        }
    }
    return fastest == 0 ? 1.0 : slowest / fastest;
}

}  // namespace page_map_lab::bench
