// A worker process under stress: it reads and writes the objects through its own regions, and is killed now and then, in a
// fault, in a write or in a shootdown; then the next one takes its place.
//
// Thread safety: a WorkerParent belongs to its thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>

#include "impl/page_map/worker.hpp"
#include "tests/stress/stressed_object.hpp"
#include "tests/stress/watchdog.hpp"

namespace page_map_lab::stress {

class WorkerParent {
public:
    /// A worker that is silent for `patience` is a finding.
    WorkerParent(unsigned writer, std::deque<StressedObject>& objects, std::chrono::milliseconds patience, ThreadTrace& trace)
        : writer_(writer), objects_(objects), patience_(patience), trace_(trace) {}

    /// Makes a worker, or lets it work for a moment, or ends it. What it saw is added to `outcome`.
    Status step(std::mt19937_64& random, StressOutcome& outcome);

    /// How many operations its workers have done since it was asked last.
    std::uint64_t done_since() noexcept;

    /// Ends the worker in order. Called before the objects are taken apart.
    Status finish(StressOutcome& outcome);

private:
    Status begin(std::uint64_t seed);
    Status kill(std::mt19937_64& random, StressOutcome& outcome);
    Status bury(StressOutcome& outcome);

    const unsigned writer_;
    std::deque<StressedObject>& objects_;
    const std::chrono::milliseconds patience_;
    ThreadTrace& trace_;
    std::unique_ptr<Worker> worker_;
    std::shared_ptr<AnySpace> space_;
    std::uint64_t counted_ = 0;  ///< of the worker's operations, by done_since
};

}  // namespace page_map_lab::stress
