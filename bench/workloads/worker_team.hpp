// The worker processes of a workload, each with an address space of its own.
//
// Thread safety: as Worker's and AddressSpace's; making and ending from one thread.
// Invariant: an object that could not be taken apart leaves regions in these spaces; then the spaces are left behind
// with it, and the workload's check reports it.
#pragma once

#include <memory>
#include <stdexcept>
#include <vector>

#include "impl/page_map/address_space.hpp"

namespace page_map_lab::bench {

/// More than any question needs; each is a process with a blackboard.
inline constexpr std::uint64_t most_processes = 255;

template <class Machine>
class WorkerTeam {
public:
    /// Throws std::runtime_error where the nursery was not started or the system has no room.
    explicit WorkerTeam(unsigned processes) {
        for (unsigned number = 0; number < processes; ++number) {
            Result<std::unique_ptr<Worker>> worker = Worker::spawn();
            if (!worker) {
                throw std::runtime_error(worker.error().text());
            }
            auto member = std::make_unique<Member>(*std::move(worker));
            members_.push_back(std::move(member));
        }
    }
    ~WorkerTeam() {
        for (auto& member : members_) {
            if (!member->space.remove_regions()) {
                static_cast<void>(member.release());
            }
        }
    }
    WorkerTeam(const WorkerTeam&) = delete;
    WorkerTeam& operator=(const WorkerTeam&) = delete;

    unsigned size() const { return static_cast<unsigned>(members_.size()); }
    Worker& worker(unsigned number) { return *members_[number]->worker; }
    AddressSpace<Machine>& space(unsigned number) { return members_[number]->space; }

    /// Has every worker run `job` and waits for all. The first failure is returned.
    Status run_everywhere(WorkerJob job) {
        for (const auto& member : members_) {
            member->worker->start(job);
        }
        Status outcome;
        for (const auto& member : members_) {
            Status done = member->worker->wait();
            outcome = outcome ? std::move(done) : std::move(outcome);
        }
        return outcome;
    }

private:
    struct Member {
        explicit Member(std::unique_ptr<Worker> spawned) : worker(std::move(spawned)), space(*worker) {}
        std::unique_ptr<Worker> worker;
        AddressSpace<Machine> space;
    };
    std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace page_map_lab::bench
