// Which schedules are run: all with few preemptions, and random ones; and how one of them is named so that it runs again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/explorer/fingerprint_set.hpp"
#include "tests/explorer/frontier.hpp"
#include "tests/explorer/simulation.hpp"
#include "tests/explorer/world.hpp"

namespace page_map_lab::explorer {

struct Limits {
    std::uint64_t seed = 42;
    unsigned preemptions = 2;
    std::size_t schedules = 1000;  ///< that differ, of which every fourth is random
    /// States that are remembered; where there are more, nothing is exhausted. With 0 every schedule is run to its end.
    std::size_t states = std::size_t{1} << 23;
    bool random = true;
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

/// What was explored of one scenario on one variant. A broken rule ends the process instead.
struct Explored {
    std::size_t schedules = 0;  ///< that differ in the order of dependent steps
    std::size_t runs = 0;       ///< a run that reaches a visited state counts as one, and ends there
    bool exhausted = false;     ///< no schedule with that many preemptions is left
    bool revokes = false;       ///< something was added to a shootdown
};

class Exploration {
public:
    Exploration(const VariantUnderTest& variant, const Scenario& scenario, const Limits& limits)
        : variant_(variant),
          scenario_(scenario),
          limits_(limits),
          frontier_(limits.preemptions, limits.seed),
          visited_(limits.states) {}

    /// Systematically for three quarters of the schedules and of the time, then randomly, then systematically again for what
    /// is missing.
    Explored explore();

    /// Runs one schedule again, as a report names it: "choices:12=1,40=0" or "random:17/200". Whether the name was
    /// understood; prints every step.
    bool replay(const std::string& name);

private:
    using Clock = std::chrono::steady_clock;

    void run(Strategy& strategy, std::function<std::string()> name);
    void explore_systematically(std::size_t schedules, Clock::time_point deadline);
    void explore_randomly(std::size_t schedules);
    bool out_of_time(Clock::time_point deadline) const;

    const VariantUnderTest& variant_;
    const Scenario& scenario_;
    const Limits limits_;
    Explored explored_;
    std::size_t longest_ = 0;  ///< decisions of the longest run
    Frontier frontier_;
    FingerprintSet visited_;  ///< of states at decisions
    FingerprintSet ended_{std::size_t{1} << 23};  ///< of whole runs
};

}  // namespace page_map_lab::explorer
