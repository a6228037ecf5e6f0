// What the mixed workload's threads work on: a page map with fewer frames than pages, and the loop that uses it.
//
// Virtual, so that the workload is compiled once; a whole run of a thread is one call, its loop one instantiation.
//
// Thread safety: `work` from any number of threads at once, each with a plan whose written pages are its own; the rest
// while nobody works.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/harness/thread_team.hpp"
#include "bench/workloads/mapped_object.hpp"
#include "bench/workloads/sweeping_evictor.hpp"
#include "bench/workloads/versioned_pages.hpp"
#include "impl/store/memory_store.hpp"

namespace page_map_lab::bench {

struct MixedShape {
    std::uint64_t pages = 0;
    std::uint64_t frames = 0;
    std::uint64_t run_pages = 0;  ///< how many pages an eviction asks for
};

struct MixedOperation {
    PageIndex page = 0;
    bool write = false;
    bool mapped = false;
};
/// What one thread does, around and around.
using MixedPlan = std::vector<MixedOperation>;

/// What one thread saw.
struct MixedLog {
    std::uint64_t wrong_reads = 0;
    LatencyHistogram read_latencies;
    LatencyHistogram write_latencies;
};

class MixedTarget {
public:
    struct Totals {
        std::uint64_t store_reads = 0;
        EvictionTotals evictions;
    };

    MixedTarget() = default;
    MixedTarget(const MixedTarget&) = delete;
    MixedTarget& operator=(const MixedTarget&) = delete;
    virtual ~MixedTarget() = default;

    /// Maps the object and fills the frames.
    virtual Status prepare() = 0;
    /// A member's whole body: runs its plan until the run is over.
    virtual Status work(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member, MixedLog& log) = 0;
    virtual Totals totals() = 0;
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
          versions_(shape.pages),
          evictor_(std::make_shared<SweepingEvictor<Map>>(shape.pages, shape.run_pages)),
          object_({shape.pages, shape.frames}, store_, environment, [evictor = evictor_] { return (*evictor)(); }) {
        evictor_->serve(object_.map(), object_.frames());
    }

    Status prepare() override {
        const auto attached = object_.attach({.pages = {0, shape_.pages}});
        if (!attached) {
            return tl::unexpected(attached.error());
        }
        region_ = *attached;
        return object_.load({0, std::min(shape_.pages, shape_.frames)});
    }

    Status work(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member, MixedLog& log) override {
        const Thread registration;
        if (Status warmed = warm_up(plan, log); !warmed) {
            return warmed;
        }
        return interval_ns == 0 ? work_closed(plan, member, log) : work_open(plan, interval_ns, member, log);
    }

    Totals totals() override { return {store_->total_reads(), evictor_->totals()}; }

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
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t block = 16;

    /// One operation. Errors: the map's.
    Status operate(const MixedOperation& operation, MixedLog& log) {
        if (operation.mapped) {
            use(operation, region_->address_of(operation.page), log);
            return {};
        }
        const auto page = object_.map().load(operation.page);
        if (!page) {
            return tl::unexpected(page.error());
        }
        use(operation, object_.map().bytes(*page).data(), log);
        if (operation.write) {
            object_.map().mark_dirty(*page);
        }
        Map::put(*page);
        return {};
    }

    /// Turns the resident pages over, so that what is measured is not the filling of a map.
    Status warm_up(const MixedPlan& plan, MixedLog& log) {
        const std::size_t operations = std::min<std::size_t>(plan.size(), 2 * shape_.frames);
        Status outcome;
        for (std::size_t position = plan.size() - operations; position < plan.size() && outcome; ++position) {
            outcome = operate(plan[position], log);
            Map::ReadPath::quiescent();
        }
        return outcome;
    }

    void use(const MixedOperation& operation, std::byte* place, MixedLog& log) noexcept {
        if (operation.write) {
            versions_.write(operation.page, place);
        } else if (!versions_.read(operation.page, place)) [[unlikely]] {
            ++log.wrong_reads;
        }
    }

    static void record(const MixedOperation& operation, Clock::duration taken, MixedLog& log) noexcept {
        const auto taken_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(taken).count());
        (operation.write ? log.write_latencies : log.read_latencies).record(taken_ns);
    }

    /// Blocks of operations, the first of each timed; the plan's length is a multiple of the block's.
    [[gnu::noinline]] Status work_closed(const MixedPlan& plan, TeamMember& member, MixedLog& log) {
        std::uint64_t operations = 0;
        std::size_t position = 0;
        Status outcome;
        member.start();
        do {
            const auto started = Clock::now();
            outcome = operate(plan[position], log);
            record(plan[position], Clock::now() - started, log);
            for (std::size_t next = 1; next < block && outcome; ++next) {
                outcome = operate(plan[position + next], log);
            }
            operations += block;
            position = (position + block) % plan.size();
            Map::ReadPath::quiescent();
        } while (outcome && !member.stopping());
        member.stop(operations);
        return outcome;
    }

    /// Each operation when it is due, or at once where it is late.
    [[gnu::noinline]] Status work_open(const MixedPlan& plan, std::uint64_t interval_ns, TeamMember& member,
                                       MixedLog& log) {
        std::uint64_t operations = 0;
        Status outcome;
        member.start();
        const auto first = Clock::now();
        while (outcome && !member.stopping()) {
            const auto due = first + std::chrono::nanoseconds(operations * interval_ns);
            Map::ReadPath::quiescent();
            while (Clock::now() < due && !member.stopping()) {
                Map::Machine::relax();
                Map::ReadPath::quiescent();
            }
            const MixedOperation& operation = plan[operations % plan.size()];
            outcome = operate(operation, log);
            record(operation, Clock::now() - due, log);
            ++operations;
        }
        member.stop(operations);
        return outcome;
    }

    const MixedShape shape_;
    std::shared_ptr<MemoryStore> store_;
    VersionedPages versions_;
    std::shared_ptr<SweepingEvictor<Map>> evictor_;
    Object object_;
    typename Object::Region* region_ = nullptr;
};

}  // namespace page_map_lab::bench
