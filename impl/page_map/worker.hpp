// A worker process as its owner sees it: making it, giving it jobs, serving its faults, and its end.
//
// An AddressSpace<Machine> made of a worker puts regions into it; the worker's faults are served on a thread of the
// owner, the attendant, in that space. A worker that dies loses nothing but itself: its regions stay in their page maps,
// with what was written through them, until AddressSpace::remove_regions folds and frees them.
//
// Who may wait for whom: an owner's thread, under whatever locks, for the agent; a thread of the worker for the
// attendant; the attendant, as any owner's thread, for locks, pages and agents. The agent waits for nobody.
//
// Thread safety: all members, but `start`, `wait` and `run` from one thread at a time.
#pragma once

#include <csignal>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "impl/page_map/fault_handler.hpp"
#include "impl/page_map/worker_process.hpp"
#include "impl/platform/agent_link.hpp"
#include "impl/platform/nursery.hpp"
#include "impl/platform/shared_memory.hpp"

namespace page_map_lab {

class Worker {
public:
    /// A worker from the nursery, which was started at the beginning of main. Errors: unavailable, no_memory, system.
    static Result<std::unique_ptr<Worker>> spawn(const WorkerBounds& bounds = {});

    /// Ends the worker: asks it to leave, and kills it where it does not. Its address spaces are gone before.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    pid_t process() const noexcept { return handle_.number(); }
    AgentLink& agent() noexcept { return agent_; }
    WorkerState state() noexcept { return agent_.state(); }
    /// Why the worker was killed by its owner, or empty.
    std::string report() { return agent_.report(); }

    // --- Jobs --------------------------------------------------------------------------------------------------------

    /// Has the worker's main thread run `job` and returns at once; the last job has been waited for.
    void start(WorkerJob job) noexcept;
    /// Waits for the job's end. Errors: try_again after `at_most`; system with what the job threw; unavailable where the
    /// worker has ended.
    Status wait(std::chrono::milliseconds at_most = std::chrono::minutes(1));
    /// start, then wait.
    Status run(WorkerJob job) {
        start(job);
        return wait();
    }
    /// Asks the running job to end (WorkerSide::stopping).
    void request_stop() noexcept {
        // relaxed: the request carries no data; the job's end orders everything.
        channel_->stop_requested.store(1, std::memory_order_relaxed);
    }

    /// Memory that the jobs see, too: WorkerSide::blackboard<T>(). Zero at first; written here before `start`, read after
    /// `wait`, or made of atomics.
    template <class T>
    T& blackboard() noexcept {
        static_assert(sizeof(T) <= AgentChannel::blackboard_bytes && std::is_trivially_destructible_v<T>);
        return *reinterpret_cast<T*>(channel_->blackboard.data());
    }

    /// Maps more memory that both see. Returns where in the worker. Errors: unavailable, no_memory, system.
    Result<std::byte*> share(const SharedMemory& memory) noexcept {
        return agent_.map(memory.file(), 0, memory.bytes().size(), Sharing::shared, /*open=*/true);
    }

    // --- Ends --------------------------------------------------------------------------------------------------------

    /// Sends a signal, for tests and stress: SIGKILL, SIGSTOP. Returns at once; `state` tells what became of it.
    void signal(int signal_number) noexcept { handle_.signal(signal_number); }
    /// Waits until its end was reported; whether it was.
    bool wait_for_end(std::chrono::milliseconds at_most) const noexcept { return handle_.wait_for_end(at_most); }
    /// How it ended, once that was reported.
    std::optional<ProcessEnd> end();

    /// From now on, a thread of the worker that comes to `point` stops there; WorkerPoint::none lets it go on.
    void stop_at(WorkerPoint point) noexcept;
    /// Waits until a thread has stopped at `point`; whether it has.
    bool wait_until_stopped_at(WorkerPoint point, std::chrono::milliseconds at_most = std::chrono::minutes(1)) noexcept;

    // --- Faults ------------------------------------------------------------------------------------------------------

    /// Has the attendant serve the worker's faults by `domain`, until `end_service`; once a worker at a time.
    void begin_service(FaultDomain& domain);
    /// Returns when no fault is being served and none will be.
    void end_service() noexcept;
    /// How many faults were answered so far.
    std::uint32_t faults_answered() const noexcept {
        return channel_->faults_answered.load(std::memory_order_relaxed);  // relaxed: a count to look at
    }

private:
    Worker(SharedMemory memory, MessageSocket socket, const WorkerBounds& bounds);

    /// The error of a worker whose end was reported: how it ended, and `when`.
    tl::unexpected<Error> fail_as_ended(std::string_view when);

    void attend(FaultDomain& domain) noexcept;
    void answer(const FaultMessage& fault, FaultOutcome outcome, ErrorCode why) noexcept;

    const WorkerBounds bounds_;
    SharedMemory memory_;
    AgentChannel* const channel_;
    MessageSocket socket_;
    ProcessHandle handle_;
    AgentLink agent_;
    std::optional<ProcessEnd> end_;
    FileDescriptor service_over_;  // an eventfd that wakes the attendant
    std::thread attendant_;
};

}  // namespace page_map_lab
