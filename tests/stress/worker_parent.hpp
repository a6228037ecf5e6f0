// A worker process under stress: it reads and writes the objects through its own regions, and is killed now and then, in a
// fault, in a write or in a shootdown; then the next one takes its place.
//
// Thread safety: a WorkerParent belongs to its thread.
#pragma once

#include <array>
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
    WorkerParent(unsigned writer, std::deque<StressedObject>& objects, ThreadTrace& trace)
        : writer_(writer), objects_(objects), trace_(trace) {}

    /// Makes a worker, or lets it work for a moment, or ends it. What it saw is added to `outcome`.
    Status step(std::mt19937_64& random, StressOutcome& outcome);

    /// Ends the worker in order. Called before the objects are taken apart.
    Status finish(StressOutcome& outcome);

private:
    Status begin(std::uint64_t seed);
    Status kill(std::mt19937_64& random, StressOutcome& outcome);
    Status bury(StressOutcome& outcome);

    const unsigned writer_;
    std::deque<StressedObject>& objects_;
    ThreadTrace& trace_;
    std::unique_ptr<Worker> worker_;
    std::shared_ptr<AnySpace> space_;
};

}  // namespace page_map_lab::stress
