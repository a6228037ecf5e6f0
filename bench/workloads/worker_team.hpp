// The worker processes of a workload: as many as it asked for, by their numbers.
//
// Thread safety: as WorkerPool's.
#pragma once

#include <stdexcept>
#include <vector>

#include "impl/page_map/worker_pool.hpp"

namespace page_map_lab::bench {

/// More than any question needs; each is a process with a blackboard.
inline constexpr std::uint64_t most_processes = 255;

template <class Machine>
class WorkerTeam {
public:
    /// Throws std::runtime_error where the nursery was not started or the system has no room.
    explicit WorkerTeam(unsigned processes) {
        for (unsigned number = 0; number < processes; ++number) {
            if (const auto spawned = pool_.spawn(); !spawned) {
                throw std::runtime_error(spawned.error().text());
            }
        }
        members_ = pool_.members();
    }

    unsigned size() const { return static_cast<unsigned>(members_.size()); }
    Worker& worker(unsigned number) { return members_[number]->worker(); }
    AddressSpace<Machine>& space(unsigned number) { return members_[number]->space(); }
    Status run_everywhere(WorkerJob job) { return pool_.run_everywhere(job); }

    /// Of all of them so far.
    std::uint64_t faults_answered() const {
        std::uint64_t faults = 0;
        for (auto* const member : members_) {
            faults += member->worker().faults_answered();
        }
        return faults;
    }

private:
    WorkerPool<Machine> pool_;
    std::vector<typename WorkerPool<Machine>::Member*> members_;
};

}  // namespace page_map_lab::bench
