// Workers that come and go, each with its address space: spawning, listing, and clearing away those that have ended.
//
// For whoever keeps several: a workload, a stress run that kills some now and then. A member's regions are added with
// PageMap::add_region(member.space(), ...), its jobs started with member.worker().start(...), and it is killed with
// member.worker().signal(SIGKILL); `reap` then folds what it wrote, frees what it held, and tells how it ended.
//
// Thread safety: one thread at a time; what is done with a member, as Worker and AddressSpace say.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "impl/page_map/address_space.hpp"

namespace page_map_lab {

template <class Machine>
class WorkerPool {
public:
    class Member {
    public:
        explicit Member(std::unique_ptr<Worker> spawned) : worker_(std::move(spawned)), space_(*worker_) {}

        Worker& worker() noexcept { return *worker_; }
        AddressSpace<Machine>& space() noexcept { return space_; }

    private:
        std::unique_ptr<Worker> worker_;
        AddressSpace<Machine> space_;
    };

    /// What is left of a member that has ended.
    struct Departed {
        pid_t process = -1;
        std::optional<ProcessEnd> end;
        std::string report;  ///< why its owner killed it, or empty
    };

    WorkerPool() = default;
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    /// Removes every member's regions and ends it. Members whose regions cannot be removed are left behind whole.
    ~WorkerPool() {
        for (auto& member : members_) {
            if (!member->space().remove_regions()) {
                static_cast<void>(member.release());
            }
        }
    }

    /// One more. Errors: as Worker::spawn; system where the system has no room for its faults.
    Result<Member*> spawn(const WorkerBounds& bounds = {}) {
        Result<std::unique_ptr<Worker>> worker = Worker::spawn(bounds);
        if (!worker) {
            return tl::unexpected(std::move(worker.error()));
        }
        try {
            members_.push_back(std::make_unique<Member>(*std::move(worker)));
        } catch (const std::exception& problem) {
            return fail(ErrorCode::system, problem.what());
        }
        return members_.back().get();
    }

    std::size_t size() const noexcept { return members_.size(); }
    /// Its members, in the order in which they were spawned.
    std::vector<Member*> members() const {
        std::vector<Member*> all;
        for (const auto& member : members_) {
            all.push_back(member.get());
        }
        return all;
    }

    /// Removes the regions of the members that have ended, and forgets them; pointers to them and to their regions are
    /// dead then. Errors, with that member still there: as AddressSpace::remove_regions.
    Result<std::vector<Departed>> reap() {
        std::vector<Departed> departed;
        for (auto position = members_.begin(); position != members_.end();) {
            Worker& worker = (*position)->worker();
            if (worker.state() != WorkerState::ended) {
                ++position;
                continue;
            }
            if (Status removed = (*position)->space().remove_regions(); !removed) {
                return tl::unexpected(std::move(removed.error()));
            }
            departed.push_back({worker.process(), worker.end(), worker.report()});
            position = members_.erase(position);
        }
        return departed;
    }

    /// Has every member run `job` and waits for all. The first failure is returned.
    Status run_everywhere(WorkerJob job) {
        for (const auto& member : members_) {
            member->worker().start(job);
        }
        Status outcome;
        for (const auto& member : members_) {
            Status done = member->worker().wait();
            outcome = outcome ? std::move(done) : std::move(outcome);
        }
        return outcome;
    }

private:
    std::list<std::unique_ptr<Member>> members_;
};

}  // namespace page_map_lab
