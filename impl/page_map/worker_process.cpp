#include "impl/page_map/worker_process.hpp"

#include <algorithm>
#include <exception>
#include <string_view>
#include <thread>

#include "impl/page_map/fault_handler.hpp"
#include "impl/platform/agent.hpp"
#include "impl/platform/shared_memory.hpp"

namespace page_map_lab {

namespace {

/// The owner has waited for the agent before it let this thread go on, so this only tells who knows this process alone.
void see_what_the_agent_did(const AgentChannel& channel) noexcept {
    // [agent-answer] acquire: pairs with the release in Agent::serve.
    static_cast<void>(channel.answered.load(std::memory_order_acquire));
}

/// Sends each fault to the owner and waits for its answer.
class FaultsToTheOwner final : public FaultDomain {
public:
    FaultsToTheOwner(AgentChannel& channel, const MessageSocket& socket) noexcept : channel_(channel), socket_(socket) {}

    FaultOutcome serve(std::byte* address, Access access, ErrorCode& why) noexcept override {
        using Turn = AgentChannel::FaultTurn;
        channel_.pass(WorkerPoint::fault_raised);
        const std::uint32_t number = take_turn();
        Turn& turn = channel_.faults[number];
        if (!socket_.send_object(FaultMessage{reinterpret_cast<std::uint64_t>(address), number, access})) {
            return FaultOutcome::not_ours;  // the owner is gone
        }
        channel_.pass(WorkerPoint::fault_sent);
        // [fault-answer] acquire: pairs with the release in Worker::answer.
        while (turn.state.load(std::memory_order_acquire) == Turn::waiting) {
            wait_on(turn.state, Turn::waiting);
        }
        see_what_the_agent_did(channel_);
        const auto outcome = static_cast<FaultOutcome>(turn.outcome);
        why = turn.why;
        // [fault-turn] release: what the last holder read of the answer precedes what the next one's overwrites.
        turn.state.store(Turn::free, std::memory_order_release);
        channel_.pass(WorkerPoint::fault_answered);
        return outcome;
    }

private:
    std::uint32_t take_turn() noexcept {
        using Turn = AgentChannel::FaultTurn;
        for (std::uint32_t number = 0;; number = (number + 1) % AgentChannel::fault_turns) {
            std::uint32_t free = Turn::free;
            // [fault-turn] acquire: pairs with the release above. relaxed on failure: tries the next one.
            if (channel_.faults[number].state.compare_exchange_strong(free, Turn::waiting, std::memory_order_acquire,
                                                                      std::memory_order_relaxed)) {
                return number;
            }
        }
    }

    AgentChannel& channel_;
    const MessageSocket& socket_;
};

void run_job(AgentChannel& channel, WorkerSide& side) noexcept {
    std::string_view failure;
    channel.job_failed = false;
    try {
        reinterpret_cast<WorkerJob>(channel.job_entry)(side);  // NOLINT: the same program at the same addresses
        return;
    } catch (const std::exception& thrown) {
        failure = std::string_view(thrown.what()).substr(0, channel.job_failure.size() - 1);
        *std::copy(failure.begin(), failure.end(), channel.job_failure.begin()) = '\0';
    }
    channel.job_failed = true;
}

}  // namespace

void run_worker_process(MessageSocket::Files files) {
    if (!files[0] || !files[1]) {
        return;
    }
    const auto memory = SharedMemory::open(std::move(files[0]), sizeof(AgentChannel));
    if (!memory) {
        return;
    }
    auto& channel = *reinterpret_cast<AgentChannel*>(memory->bytes().data());
    const MessageSocket socket(std::move(files[1]));
    FaultHandler::add(*new FaultsToTheOwner(channel, socket));  // asked for the life of the process
    std::thread([&] { Agent(channel, socket).serve(); }).detach();
    WorkerSide side(channel);
    for (std::uint32_t done = 0;; ++done) {
        // [worker-job] release: what the last job did is seen by who waits for it.
        channel.jobs_done.store(done, std::memory_order_release);
        wake_all_on(channel.jobs_done);
        // relaxed: set once; only says that somebody is here.
        if (channel.ready.exchange(1, std::memory_order_relaxed) == 0) {
            wake_all_on(channel.ready);
        }
        // [job-posted] acquire: pairs with the release in Worker::start.
        while (channel.jobs_posted.load(std::memory_order_acquire) == done) {
            wait_on(channel.jobs_posted, done);
        }
        see_what_the_agent_did(channel);
        run_job(channel, side);
    }
}

}  // namespace page_map_lab
