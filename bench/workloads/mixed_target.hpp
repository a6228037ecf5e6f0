// What the mixed workload's threads work on: a page map with fewer frames than pages, and the loop that uses it.
//
// Virtual, so that the workload is compiled once; a whole run of a thread is one call, its loop one instantiation. With
// processes, each thread's work is done by a worker process of its own, through its mapping alone: a worker has no page map.
//
// Thread safety: `work` from any number of threads at once, each with a plan whose written pages are its own; the rest
// while nobody works.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/harness/thread_team.hpp"
#include "bench/workloads/mapped_object.hpp"
#include "bench/workloads/sweeping_evictor.hpp"
#include "bench/workloads/mixed_loop.hpp"
#include "bench/workloads/mixed_worker.hpp"
#include "bench/workloads/versioned_pages.hpp"
#include "bench/workloads/worker_team.hpp"
#include "impl/store/memory_store.hpp"

namespace page_map_lab::bench {

struct MixedShape {
    std::uint64_t pages = 0;
    std::uint64_t frames = 0;
    std::uint64_t run_pages = 0;  ///< how many pages an eviction asks for
    unsigned processes = 0;       ///< 0: the threads work here
};

/// What a target did so far, warm-ups included.
struct MixedTotals {
    std::uint64_t store_reads = 0;
    EvictionTotals evictions;
};

/// Where the members of a run meet: whoever warms up last takes the totals, before anybody can start.
struct MixedStart {
    std::atomic<unsigned> still_warming_up;
    MixedTotals totals;
};

class MixedTarget {
public:
    MixedTarget() = default;
    MixedTarget(const MixedTarget&) = delete;
    MixedTarget& operator=(const MixedTarget&) = delete;
    virtual ~MixedTarget() = default;

    /// Maps the object and fills the frames.
    virtual Status prepare() = 0;
    /// A member's whole body: runs its plan until the run is over.
    virtual Status work(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member, MixedLog& log,
                        MixedStart& start) = 0;
    virtual MixedTotals totals() = 0;
    /// Unmaps the object until the next repetition.
    virtual Status rest() = 0;
    /// Writes everything back and compares the store with what was written. What is wrong, or empty.
    virtual std::string finish(Digest& digest) = 0;
};

template <class Variant>
class MapMixedTarget final : public MixedTarget {
public:
    using Object = MappedObject<Variant>;
    using Map = typename Object::Map;
    using Thread = typename Map::Thread;

    /// Throws std::runtime_error where the system has no room.
    MapMixedTarget(const MixedShape& shape, Environment& environment)
        : shape_(shape),
          store_(std::make_shared<MemoryStore>(shape.pages, MemoryStore::Fresh::versioned)),
          shared_versions_(share_versions(shape)),
          versions_(shared_versions_ ? VersionedPages(shape.pages, shared_versions_->bytes().data())
                                     : VersionedPages(shape.pages)),
          workers_(shape.processes),
          evictor_(std::make_shared<SweepingEvictor<Map>>(shape.pages, shape.run_pages)),
          object_({shape.pages, shape.frames}, store_, environment, [evictor = evictor_] { return (*evictor)(); }) {
        evictor_->serve(object_.map(), object_.frames());
        for (unsigned number = 0; number < workers_.size(); ++number) {
            const auto shared = workers_.worker(number).share(*shared_versions_);
            if (!shared) {
                throw std::runtime_error(shared.error().text());
            }
            worker_versions_.push_back(reinterpret_cast<std::uint64_t>(*shared));
        }
    }

    Status prepare() override {
        regions_.clear();
        for (unsigned space = 0; space < std::max(1U, shape_.processes); ++space) {
            const auto attached = object_.attach(
                shape_.processes == 0 ? Map::Space::this_process() : workers_.space(space), {.pages = {0, shape_.pages}});
            if (!attached) {
                return tl::unexpected(attached.error());
            }
            regions_.push_back(*attached);
        }
        return object_.load({0, std::min(shape_.pages, shape_.frames)});
    }

    Status work(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member, MixedLog& log,
                MixedStart& start) override {
        if (shape_.processes != 0) {
            return work_in_a_worker(plan, interval_ns, member, log, start);
        }
        const Thread registration;
        const auto operate_here = [&](const MixedOperation& operation) { return operate(operation, log); };
        const auto rest_between = [] { Map::ReadPath::quiescent(); };
        if (Status warmed = warm_up(plan, 2 * shape_.frames, operate_here, rest_between); !warmed) {
            return warmed;
        }
        {
            // Others may still warm up, and wait for a grace period on the way (invariant 8).
            const typename Thread::OfflineScope offline;
            note_warm(start);
            member.start();
        }
        const Result<std::uint64_t> operations = work_through(plan, interval_ns, member, log, operate_here, rest_between);
        member.stop(operations.value_or(0));
        return operations ? Status{} : tl::unexpected(operations.error());
    }

    MixedTotals totals() override { return {store_->total_reads(), evictor_->totals()}; }

    Status rest() override { return object_.detach(); }

    std::string finish(Digest& digest) override {
        if (std::string failure = evictor_->failure(); !failure.empty()) {
            return failure;
        }
        {
            const typename Object::Online online;
            if (Status sound = object_.map().audit(); !sound) {
                return sound.error().text();
            }
        }
        if (Status retired = object_.retire(); !retired) {
            return retired.error().text();
        }
        const auto lost = versions_.find_lost(*store_, digest);
        if (!lost) {
            return lost.error().text();
        }
        return *lost ? "the store does not hold what was written last to page " + std::to_string(**lost)
                     : std::string();
    }

private:
    /// The calling member has warmed up.
    void note_warm(MixedStart& start) {
        // [mixed-warm] release: what this member counted is seen by whoever is last; [mixed-warm] acquire, too.
        if (start.still_warming_up.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            start.totals = totals();
        }
    }

    /// One operation. Errors: the map's.
    Status operate(const MixedOperation& operation, MixedLog& log) {
        if (operation.mapped) {
            use(versions_, operation, regions_.front()->address_of(operation.page), log);
            return {};
        }
        const auto page = object_.map().load(operation.page);
        if (!page) {
            return tl::unexpected(page.error());
        }
        use(versions_, operation, object_.map().bytes(*page).data(), log);
        if (operation.write) {
            object_.map().mark_dirty(*page);
        }
        Map::put(*page);
        return {};
    }

    Status work_in_a_worker(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member, MixedLog& log,
                            MixedStart& start) {
        Worker& worker = workers_.worker(member.index());
        if (worker_versions_.size() <= member.index()) {
            return fail(ErrorCode::system, "a worker was not told where the versions are");
        }
        auto& board = worker.blackboard<MixedBoard>();
        board.region_address = reinterpret_cast<std::uint64_t>(regions_[member.index()]->base());
        board.versions_address = worker_versions_[member.index()];
        board.pages = shape_.pages;
        board.warm_up_operations = 2 * shape_.frames;
        board.interval_ns = interval_ns;
        board.processor = ::sched_getcpu();
        board.length = std::min(plan.size(), board.plan.size());
        std::copy_n(plan.begin(), board.length, board.plan.begin());
        if (Status warmed = worker.run(warm_up_in_worker); !warmed) {
            return warmed;
        }
        note_warm(start);
        member.start();
        worker.start(work_in_worker);
        Status ended = stand_by(worker, member);
        member.stop(ended ? board.operations : 0);
        if (ended) {
            log = board.log;
        }
        return ended;
    }

    static std::optional<SharedMemory> share_versions(const MixedShape& shape) {
        if (shape.processes == 0) {
            return std::nullopt;
        }
        auto memory = SharedMemory::make(VersionedPages::bytes_for(shape.pages), "page-map-versions");
        return memory ? std::optional(*std::move(memory)) : throw std::runtime_error(memory.error().text());
    }

    const MixedShape shape_;
    std::shared_ptr<MemoryStore> store_;
    std::optional<SharedMemory> shared_versions_;
    VersionedPages versions_;
    WorkerTeam<typename Map::Machine> workers_;     // outlives the object, whose regions are in their spaces
    std::vector<std::uint64_t> worker_versions_;    // where each has the versions
    std::shared_ptr<SweepingEvictor<Map>> evictor_;
    Object object_;
    std::vector<typename Object::Region*> regions_;  // this process's, or each worker's
};

}  // namespace page_map_lab::bench
