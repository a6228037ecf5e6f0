// Which schedules are run: all with few preemptions, and random ones; and how one of them is named so that it runs again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/explorer/simulation.hpp"
#include "tests/explorer/world.hpp"

namespace page_map_lab::explorer {

/// A decision that differs from what a scheduler without preemption does.
struct Choice {
    std::uint32_t position;
    std::uint8_t core;
};
using Choices = std::vector<Choice>;

struct Limits {
    std::uint64_t seed = 42;
    unsigned preemptions = 2;
    std::size_t schedules = 1000;         ///< that differ, of which every fourth is random
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

/// What was explored of one scenario on one variant. A broken rule ends the process instead.
struct Explored {
    std::size_t schedules = 0;  ///< that differ in the order of dependent steps
    std::size_t runs = 0;
    bool exhausted = false;  ///< no schedule with that many preemptions is left
};

class Exploration {
public:
    Exploration(const VariantUnderTest& variant, const Scenario& scenario) : variant_(variant), scenario_(scenario) {}

    Explored explore(const Limits& limits);

    /// Runs one schedule again, as a report names it: "choices:12=1,40=0" or "random:17". Whether the name was understood;
    /// prints every step.
    bool replay(const std::string& name);

private:
    void run(Strategy& strategy, const std::string& name);
    void explore_systematically(const Limits& limits);
    void explore_randomly(const Limits& limits, std::size_t schedules);
    bool out_of_time(const Limits& limits) const;

    const VariantUnderTest& variant_;
    const Scenario& scenario_;
    Explored explored_;
    std::size_t longest_ = 0;  ///< decisions of the longest run
    class FingerprintSet {
    public:
        /// Whether it was not there; false for everything once it has as many as it may have.
        bool insert(std::uint64_t fingerprint);

    private:
        void grow();
        static constexpr std::size_t most = std::size_t{1} << 23;
        std::vector<std::uint64_t> places_ = std::vector<std::uint64_t>(1024);
        std::size_t size_ = 0;
    };
    FingerprintSet ended_;    ///< of whole runs
    FingerprintSet visited_;  ///< of states at decisions
};

}  // namespace page_map_lab::explorer
