#include "impl/page_map/worker.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace page_map_lab {

namespace {

using Clock = std::chrono::steady_clock;

/// Waits until `done()` holds, which `word` changes with, or the worker has ended, or for so long. Whether it holds.
template <class Done>
bool wait_until(const SharedWord& word, std::chrono::milliseconds at_most, Worker& worker, Done&& done) {
    constexpr auto between_looks = std::chrono::milliseconds(5);
    const auto deadline = Clock::now() + at_most;
    for (;;) {
        // relaxed: `done` orders; this is the value that may not have changed when we sleep.
        const std::uint32_t seen = word.load(std::memory_order_relaxed);
        if (done()) {
            return true;
        }
        if (worker.state() == WorkerState::ended || Clock::now() >= deadline) {
            return done();
        }
        wait_on(word, seen, std::min<Clock::duration>(between_looks, deadline - Clock::now()));
    }
}

}  // namespace

Worker::Worker(SharedMemory memory, MessageSocket socket, const WorkerBounds& bounds)
    : bounds_(bounds),
      memory_(std::move(memory)),
      channel_(new (memory_.bytes().data()) AgentChannel),
      socket_(std::move(socket)),
      agent_(*channel_, socket_, handle_, bounds) {}

Result<std::unique_ptr<Worker>> Worker::spawn(const WorkerBounds& bounds) {
    Result<Nursery*> nursery = Nursery::running();
    if (!nursery) {
        return tl::unexpected(std::move(nursery.error()));
    }
    Result<SharedMemory> memory = SharedMemory::make(sizeof(AgentChannel), "page-map-worker");
    if (!memory) {
        return tl::unexpected(std::move(memory.error()));
    }
    auto ends = MessageSocket::make_pair();
    if (!ends) {
        return tl::unexpected(std::move(ends.error()));
    }
    std::unique_ptr<Worker> worker(new Worker(*std::move(memory), std::move(ends->first), bounds));
    const std::array files{worker->memory_.file(), ends->second.descriptor()};
    Result<ProcessHandle> handle = (*nursery)->fork_child(run_worker_process, files);
    if (!handle) {
        return tl::unexpected(std::move(handle.error()));
    }
    worker->handle_ = *std::move(handle);
    AgentChannel& channel = *worker->channel_;
    // relaxed: only says that somebody is there; requests and jobs have orders of their own.
    const auto ready = [&] { return channel.ready.load(std::memory_order_relaxed) != 0; };
    if (!wait_until(channel.ready, bounds.start_within, *worker, ready)) {
        return worker->state() == WorkerState::ended
                   ? worker->fail_as_ended("before it had set itself up")
                   : fail(ErrorCode::unavailable, "worker " + std::to_string(worker->process()) + " did not set itself up within " +
                                                      std::to_string(bounds.start_within.count()) + " ms");
    }
    return worker;
}

Worker::~Worker() {
    check(!attendant_.joinable(), "a worker's address space goes before the worker");
    if (handle_.number() < 0) {
        return;
    }
    if (state() == WorkerState::running) {
        agent_.ask_to_leave();
        constexpr auto patience = std::chrono::milliseconds(500);
        if (!handle_.wait_for_end(std::min(patience, bounds_.answer_within))) {
            handle_.signal(SIGKILL);
        }
    }
    if (handle_.wait_for_end(bounds_.end_within)) {
        static_cast<void>(end());  // or the nursery keeps a process that has ended
    }
}

void Worker::start(WorkerJob job) noexcept {
    channel_->job_entry = reinterpret_cast<std::uint64_t>(job);
    channel_->stop_requested.store(0, std::memory_order_relaxed);  // relaxed: the release below publishes it
    // [job-posted] release: pairs with the acquire in run_worker_process.
    channel_->jobs_posted.fetch_add(1, std::memory_order_release);
    wake_all_on(channel_->jobs_posted);
}

Status Worker::wait(std::chrono::milliseconds at_most) {
    const auto done = [&] {
        // [worker-job] acquire: pairs with the release in run_worker_process.
        return channel_->jobs_done.load(std::memory_order_acquire) ==
               channel_->jobs_posted.load(std::memory_order_relaxed);  // relaxed: only this thread posts
    };
    if (wait_until(channel_->jobs_done, at_most, *this, done)) {
        return channel_->job_failed ? fail(ErrorCode::system, channel_->job_failure.data()) : Status{};
    }
    if (state() != WorkerState::ended) {
        return fail(ErrorCode::try_again);
    }
    return fail_as_ended("during its job");
}

tl::unexpected<Error> Worker::fail_as_ended(std::string_view when) {
    const std::optional<ProcessEnd> ended = end();
    const std::string how = !ended          ? "in an unknown way "
                            : ended->killed ? "by signal " + std::to_string(ended->code) + " "
                                            : "with exit code " + std::to_string(ended->code) + " ";
    return fail(ErrorCode::unavailable, "worker " + std::to_string(process()) + " ended " + how + std::string(when));
}

std::optional<ProcessEnd> Worker::end() {
    if (!end_ && state() == WorkerState::ended) {
        if (Result<Nursery*> nursery = Nursery::running()) {
            end_ = (*nursery)->reap(handle_);
        }
    }
    return end_;
}

void Worker::stop_at(WorkerPoint point) noexcept {
    // relaxed: nothing is passed on by it.
    channel_->stopped_at.store(0, std::memory_order_relaxed);
    channel_->stop_at.store(static_cast<std::uint32_t>(point), std::memory_order_relaxed);  // relaxed: as above
    wake_all_on(channel_->stop_at);
}

bool Worker::wait_until_stopped_at(WorkerPoint point, std::chrono::milliseconds at_most) noexcept {
    return wait_until(channel_->stopped_at, at_most, *this, [&] {
        // [worker-point] acquire: pairs with the release in AgentChannel::pass.
        return channel_->stopped_at.load(std::memory_order_acquire) == static_cast<std::uint32_t>(point);
    });
}

void Worker::begin_service(FaultDomain& domain) {
    check(!attendant_.joinable(), "one address space serves a worker's faults");
    service_over_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
    if (!service_over_) {
        throw std::runtime_error("no eventfd for a worker's faults: raise the limit of open files (ulimit -n)");
    }
    attendant_ = std::thread([this, &domain] { attend(domain); });
}

void Worker::end_service() noexcept {
    if (attendant_.joinable()) {
        ::eventfd_write(service_over_.number(), 1);
        attendant_.join();
    }
}

void Worker::attend(FaultDomain& domain) noexcept {
    std::array<pollfd, 3> watched{{{service_over_.number(), POLLIN, 0},
                                   {handle_.descriptor(), POLLIN, 0},
                                   {socket_.descriptor(), POLLIN, 0}}};
    const auto& [over, ended, asked] = watched;
    for (;;) {
        if (::poll(watched.data(), watched.size(), -1) < 0) {
            if (errno == EINTR) {
                continue;  // what is said of the files is of the last time
            }
            static_cast<void>(agent_.kill("its faults cannot be waited for"));  // or a fault of its would wait for ever
            return;
        }
        if (over.revents != 0 || ended.revents != 0) {
            static_cast<void>(state());  // so that others need not wait to learn of its end
            return;
        }
        FaultMessage fault;
        if (asked.revents == 0 || !socket_.receive_object(fault)) {
            continue;
        }
        ErrorCode why = ErrorCode::system;
        auto* const address = reinterpret_cast<std::byte*>(fault.address);  // NOLINT: an address of the worker
        const FaultOutcome outcome = domain.serve(address, fault.access, why);
        answer(fault, outcome, why);
    }
}

void Worker::answer(const FaultMessage& fault, FaultOutcome outcome, ErrorCode why) noexcept {
    AgentChannel::FaultTurn& turn = channel_->faults[fault.turn % AgentChannel::fault_turns];
    turn.outcome = static_cast<std::uint8_t>(outcome);
    turn.why = why;
    // relaxed: ordered by the answer, so that whoever learns what came of the fault has it counted.
    channel_->faults_answered.fetch_add(1, std::memory_order_relaxed);
    // [fault-answer] release: pairs with the acquire in the worker's handler.
    turn.state.store(AgentChannel::FaultTurn::answered, std::memory_order_release);
    wake_all_on(turn.state);
}

}  // namespace page_map_lab
