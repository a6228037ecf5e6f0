#include "bench/harness/sample.hpp"

#include <algorithm>

namespace page_map_lab::bench {

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
