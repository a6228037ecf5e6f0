// The worker's side of a worker process: its agent thread, its faults, and the jobs it is given.
//
// The main thread runs jobs, one at a time; another one is the agent. A fault at an address that is no region's of the
// owner is a crash, as in any process. Nothing here calls a page map.
//
// Thread safety: a job may start threads; `stopping`, `pass` and faults from any of them.
#pragma once

#include <cstddef>
#include <type_traits>

#include "impl/core/check.hpp"
#include "impl/platform/agent_channel.hpp"
#include "impl/platform/message_socket.hpp"

namespace page_map_lab {

/// What a job sees of its worker.
class WorkerSide {
public:
    explicit WorkerSide(AgentChannel& channel) noexcept : channel_(channel) {}

    /// The blackboard, as the owner sees it by Worker::blackboard<T>().
    template <class T>
    T& blackboard() const noexcept {
        static_assert(sizeof(T) <= AgentChannel::blackboard_bytes && std::is_trivially_destructible_v<T>);
        return *reinterpret_cast<T*>(channel_.blackboard.data());
    }

    /// Whether the owner wants the job to end. Cost: one relaxed load.
    bool stopping() const noexcept {
        // relaxed: the request carries no data; the job's end orders everything.
        return channel_.stop_requested.load(std::memory_order_relaxed) != 0;
    }

    /// Stops here where the owner asked for it (Worker::stop_at), for as long as it does.
    void pass(WorkerPoint point = WorkerPoint::job) const noexcept { channel_.pass(point); }

private:
    AgentChannel& channel_;
};

/// A function of this program; what it throws is the owner's to hear.
using WorkerJob = void (*)(WorkerSide&);

/// The entry of a worker process, as the nursery takes it: files are the channel's memory and the socket. Returns never.
void run_worker_process(MessageSocket::Files files);

}  // namespace page_map_lab
