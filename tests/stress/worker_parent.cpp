#include "tests/stress/worker_parent.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

namespace page_map_lab::stress {
namespace {

constexpr std::size_t most_objects = 4;

/// What a worker is told, and what it tells: its blackboard.
struct Assignment {
    struct Object {
        std::uint64_t stamps = 0;  ///< addresses in the worker
        std::uint64_t region = 0;
        std::uint64_t pages = 0;
    };
    std::array<Object, most_objects> objects;
    std::uint64_t object_count = 0;
    std::uint64_t seed = 0;
    unsigned writer = 0;
    std::atomic<std::uint64_t> operations{0};
    std::atomic<std::uint64_t> stale{0};
    std::array<char, 256> first_stale{};
};

/// Reads and writes at random until it is stopped or killed.
void work(WorkerSide& side) {
    auto& assignment = side.blackboard<Assignment>();
    std::mt19937_64 random(assignment.seed);
    while (!side.stopping()) {
        const std::uint64_t number = random() % assignment.object_count;
        const Assignment::Object& object = assignment.objects[number];
        StampedPages stamps(static_cast<unsigned>(number), object.pages, reinterpret_cast<std::byte*>(object.stamps));
        const PageIndex page = random() % object.pages;
        auto* bytes = reinterpret_cast<std::byte*>(object.region) + page * page_size;
        if (random() % 2 == 0) {
            stamps.begin_write(page, assignment.writer, bytes);
            side.pass();  // here a kill is in the middle of a write
            stamps.confirm_write(page, assignment.writer);
        } else {
            for (unsigned writer = 0; writer < StampedPages::most_writers; ++writer) {
                const std::string wrong = stamps.read(page, writer, bytes);
                // relaxed, all: read by the owner after this process has ended.
                if (!wrong.empty() && assignment.stale.fetch_add(1, std::memory_order_relaxed) == 0) {
                    wrong.copy(assignment.first_stale.data(), assignment.first_stale.size() - 1);
                }
            }
        }
        assignment.operations.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above
    }
}

}  // namespace

Status WorkerParent::step(std::mt19937_64& random, StressOutcome& outcome) {
    if (worker_ == nullptr) {
        return begin(random());
    }
    if (random() % 4 == 0) {
        return kill(random, outcome);
    }
    trace_.begin("let a worker work", 0, 0);
    const auto offline = objects_.front().map().offline_scope();
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + random() % 8));
    return {};
}

Status WorkerParent::begin(std::uint64_t seed) {
    trace_.begin("make a worker", 0, 0);
    Result<std::unique_ptr<Worker>> worker = Worker::spawn({.start_within = patience_, .answer_within = patience_, .end_within = patience_});
    if (!worker) {
        return tl::unexpected(std::move(worker.error()));
    }
    worker_ = *std::move(worker);
    counted_ = 0;
    space_ = objects_.front().map().space_of(*worker_);
    auto& assignment = worker_->blackboard<Assignment>();
    assignment.object_count = objects_.size();
    assignment.seed = seed;
    assignment.writer = writer_;
    for (StressedObject& object : objects_) {
        Result<AnyRegion*> region = object.map().add_region_in(*space_, {.pages = {0, object.pages()}});
        if (!region) {
            return tl::unexpected(std::move(region.error()));
        }
        Result<std::byte*> stamps = worker_->share(object.stamps_memory());
        if (!stamps) {
            return tl::unexpected(std::move(stamps.error()));
        }
        assignment.objects[object.number()] = {
            .stamps = reinterpret_cast<std::uint64_t>(*stamps),
            .region = reinterpret_cast<std::uint64_t>(object.map().address_of(*region, 0)),
            .pages = object.pages()};
    }
    worker_->start(work);
    return {};
}

/// Kills the worker where it comes to a point of one of three kinds. One that does not come there is killed where it is, and
/// counts for none of them.
Status WorkerParent::kill(std::mt19937_64& random, StressOutcome& outcome) {
    using enum WorkerPoint;
    constexpr std::array in_a_fault{fault_raised, fault_sent, grant, fault_answered};
    constexpr std::array in_a_shootdown{revocation, revoked};
    constexpr std::array names{"kill a worker in a fault", "kill a worker in a write", "kill a worker in a shootdown"};
    const std::uint64_t kind = random() % names.size();
    trace_.begin(names[kind], 0, 0);
    const WorkerPoint point = kind == 0   ? in_a_fault[random() % in_a_fault.size()]
                              : kind == 1 ? job
                                          : in_a_shootdown[random() % in_a_shootdown.size()];
    {
        const auto offline = objects_.front().map().offline_scope();
        worker_->stop_at(point);
        const bool stopped = worker_->wait_until_stopped_at(point, std::chrono::seconds(2));
        worker_->signal(SIGKILL);
        if (!worker_->wait_for_end(patience_)) {
            return fail(ErrorCode::system, "a worker that was killed does not end");
        }
        ++outcome.kills;
        if (stopped) {
            ++(kind == 0 ? outcome.kills_in_faults : kind == 1 ? outcome.kills_in_writes : outcome.kills_in_shootdowns);
        }
    }
    return bury(outcome);
}

Status WorkerParent::finish(StressOutcome& outcome) {
    if (worker_ == nullptr) {
        return {};
    }
    trace_.begin("end a worker", 0, 0);
    {
        const auto offline = objects_.front().map().offline_scope();
        worker_->request_stop();
        if (Status ended = worker_->wait(patience_); !ended) {
            return ended;
        }
    }
    return bury(outcome);
}

std::uint64_t WorkerParent::done_since() noexcept {
    if (worker_ == nullptr) {
        return 0;
    }
    // relaxed: a count to look at.
    const std::uint64_t done = worker_->blackboard<Assignment>().operations.load(std::memory_order_relaxed);
    return done - std::exchange(counted_, done);
}

Status WorkerParent::bury(StressOutcome& outcome) {
    trace_.begin("remove the regions of a worker", 0, 0);
    const auto& assignment = worker_->blackboard<Assignment>();
    // relaxed, both: the worker's job has ended.
    outcome.operations += assignment.operations.load(std::memory_order_relaxed);
    const std::uint64_t stale = assignment.stale.load(std::memory_order_relaxed);
    outcome.stale += stale;
    std::string seen = stale == 0 ? "" : std::string("in a worker: ") + assignment.first_stale.data();
    std::string report = worker_->report();
    if (Status removed = objects_.front().map().remove_regions(*space_); !removed) {
        return removed;
    }
    space_.reset();
    worker_.reset();
    if (!seen.empty() || !report.empty()) {
        return fail(ErrorCode::malformed, seen + report);
    }
    return {};
}

}  // namespace page_map_lab::stress
