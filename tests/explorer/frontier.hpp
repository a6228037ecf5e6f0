// The schedules that are still to be run systematically, each named by its choices.
//
// Fewest preemptions first: then the first run that reaches a state has spent the fewest on the way to it, and what it may
// still spend covers what any later one may. Among those with as many, in a random order, so that an exploration that is
// stopped has seen a sample.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "tests/explorer/simulation.hpp"

namespace page_map_lab::explorer {

/// A decision that differs from what a scheduler without preemption does.
struct Choice {
    std::uint32_t position;
    std::uint8_t core;
};
using Choices = std::vector<Choice>;

class Frontier {
public:
    /// One schedule is waiting: that without choices.
    Frontier(unsigned most_preemptions, std::uint64_t seed) : waiting_(most_preemptions + 1), seed_(seed) {
        nodes_.push_back({});
        waiting_[0].push_back(0);
    }

    bool empty() const noexcept { return nothing_below() == waiting_.size(); }

    /// Takes a schedule with the fewest preemptions there are; not from an empty one.
    Choices take() {
        std::vector<std::uint32_t>& bucket = waiting_[nothing_below()];
        std::swap(bucket.back(), bucket[mix(seed_, ++taken_) % bucket.size()]);
        last_ = bucket.back();
        bucket.pop_back();
        Choices choices;
        for (std::uint32_t node = last_; node != 0; node = nodes_[node].before) {
            choices.push_back({nodes_[node].position, static_cast<std::uint8_t>(nodes_[node].core)});
        }
        std::ranges::reverse(choices);
        return choices;
    }

    /// Adds what was taken last with one choice more. Where there are more preemptions than the exploration makes, it is none
    /// of its schedules.
    void add(Choice choice, unsigned preemptions) {
        if (preemptions >= waiting_.size()) {
            return;
        }
        if (nodes_.size() == most) {
            dropped_ = true;
            return;
        }
        waiting_[preemptions].push_back(static_cast<std::uint32_t>(nodes_.size()));
        nodes_.push_back({last_, choice.position & 0xff'ffff, choice.core});
    }

    /// Whether there was no room for all.
    bool dropped() const noexcept { return dropped_; }

private:
    struct Node {
        std::uint32_t before = 0;
        std::uint32_t position : 24 = 0;
        std::uint32_t core : 8 = 0;
    };
    static constexpr std::size_t most = std::size_t{1} << 25;

    std::size_t nothing_below() const noexcept {
        return static_cast<std::size_t>(std::ranges::find_if(waiting_, [](const auto& bucket) { return !bucket.empty(); }) -
                                        waiting_.begin());
    }

    std::deque<Node> nodes_;
    std::vector<std::vector<std::uint32_t>> waiting_;  ///< a bucket for each number of preemptions
    std::uint64_t seed_;
    std::uint64_t taken_ = 0;
    std::uint32_t last_ = 0;
    bool dropped_ = false;
};

}  // namespace page_map_lab::explorer
