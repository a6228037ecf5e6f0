// The owner's end of a worker's agent: requests, and waiting for their acknowledgement, but never for ever.
//
// A worker that has ended has no page tables: what was to be revoked there is revoked, and the owner acknowledges for it,
// but only after its end was reported by the kernel, never after kill(). A worker that does not answer within a bound is
// reported, killed, and waited for within another bound; one that does not end even then is lost: its access is unknown,
// nothing that it could reach may be used again, and every revocation there fails until its end is reported.
//
// Thread safety: all members. Progress: blocking, within the bounds. Cost of a request: two futex calls and two switches
// of context; several ranges in one request cost one of each.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "impl/platform/agent_channel.hpp"
#include "impl/platform/message_socket.hpp"
#include "impl/platform/process_handle.hpp"

namespace page_map_lab {

/// How long a worker is waited for, and what ends it.
struct WorkerBounds {
    std::chrono::milliseconds start_within{30000};  ///< until it has set itself up
    std::chrono::milliseconds answer_within{5000};  ///< a request
    std::chrono::milliseconds end_within{5000};     ///< its end after it was killed
    int kill_signal = 9;                            ///< SIGKILL; tests of what does not end take another
};

/// What has become of a worker.
enum class WorkerState : std::uint8_t {
    running,
    ended,  ///< its end was reported: it has no page tables any more
    lost,   ///< it was killed for not answering, and its end was not reported within the bound
};

class AgentLink {
public:
    /// A request that was posted. One that was not, because the worker has ended, is done.
    class [[nodiscard]] Ticket {
    public:
        bool sent() const noexcept { return sent_; }

    private:
        friend class AgentLink;
        std::uint32_t sequence_ = 0;
        bool sent_ = false;
    };

    AgentLink(AgentChannel& channel, const MessageSocket& socket, const ProcessHandle& process,
              const WorkerBounds& bounds) noexcept
        : channel_(channel), socket_(socket), process_(process), bounds_(bounds), answer_within_(bounds.answer_within) {}
    AgentLink(const AgentLink&) = delete;
    AgentLink& operator=(const AgentLink&) = delete;

    /// Asks the kernel where that may have changed. Cost where the worker runs: one system call.
    WorkerState state() noexcept;

    /// What was noticed last, without asking: a worker that has just ended may still be said to run.
    bool runs() const noexcept { return known_state() == WorkerState::running; }
    bool lost() noexcept { return known_state() == WorkerState::lost && state() == WorkerState::lost; }

    /// How long a request that is awaited from now on is waited for, instead of WorkerBounds::answer_within.
    void set_answer_within(std::chrono::milliseconds bound) noexcept {
        answer_within_.store(bound, std::memory_order_relaxed);  // relaxed: a number that stands for itself
    }

    /// Posts a revocation, at most AgentRequest::most_ranges ranges; `await` must follow. Waits for a place in the worker's
    /// ring, where each is somebody's until they have awaited it: who holds a ticket uses `try_post`, or two who hold some
    /// could wait for each other.
    Ticket post(std::span<const AgentRange> ranges) noexcept;
    /// As post, but waits for nothing: no ticket where the ring is full.
    std::optional<Ticket> try_post(std::span<const AgentRange> ranges) noexcept;
    /// Waits for the acknowledgement. Errors: no_memory, system: the worker could not; unavailable: it is lost.
    Status await(Ticket ticket, std::uint32_t* fallbacks = nullptr) noexcept;

    /// Gives one range rights and waits. Errors: as await.
    Status grant(std::byte* base, std::size_t bytes, Access access) noexcept;
    /// Takes one range's rights but for those that are left, and waits. Errors: as await.
    Status revoke(std::byte* base, std::size_t bytes, Access left) noexcept;
    /// Maps a part of `file`, with no access, or (`open`) readable and writable. Errors: unavailable where the worker has
    /// ended, no_memory, system.
    Result<std::byte*> map(int file, std::uint64_t offset, std::size_t bytes, Sharing sharing, bool open) noexcept;
    Status unmap(std::byte* base, std::size_t bytes) noexcept;
    /// As ObjectMemory::copy_now, in the worker.
    Status copy_now(std::byte* page) noexcept;
    /// Asks the worker to end by itself, and does not wait.
    void ask_to_leave() noexcept;

    /// Kills the worker and waits for its end within the bound; whether it ended.
    bool kill(const char* why) noexcept;

    /// Why the worker was killed, or empty.
    std::string report();

private:
    /// A sentence, cut where it is longer: who must not throw can say it without memory.
    using Sentence = std::array<char, 128>;

    WorkerState known_state() const noexcept {
        // relaxed: a worker's end is noticed by asking the kernel; what is seen here saves asking.
        return static_cast<WorkerState>(state_.load(std::memory_order_relaxed));
    }
    Ticket post(const AgentRequest& request, std::optional<int> file = std::nullopt) noexcept;
    std::optional<Ticket> try_post(const AgentRequest& request, std::optional<int> file) noexcept;
    Result<AgentAnswer> answer_to(Ticket ticket) noexcept;
    Status outcome_of(Ticket ticket, const char* what) noexcept;
    void note(WorkerState state) noexcept;
    /// "worker NUMBER " and what is to be said of it.
    Sentence of_this_worker(const char* what, const char* why = "") const noexcept;

    AgentChannel& channel_;
    const MessageSocket& socket_;
    const ProcessHandle& process_;
    const WorkerBounds bounds_;

    std::atomic<std::chrono::milliseconds> answer_within_;
    std::atomic<std::uint8_t> state_{0};
    std::mutex posting_;   // the ring's producing end
    std::uint32_t last_posted_ = 0;                               // posting
    std::array<bool, AgentChannel::ring_length> awaited_{};       // posting: the place's answer is still wanted
    std::mutex killing_;
    Sentence report_{};    // killing
};

}  // namespace page_map_lab
