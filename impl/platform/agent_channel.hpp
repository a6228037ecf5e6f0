// What a worker process and its owner share: requests to the worker's agent, faults of its threads, and its job.
//
// Requests lie in a ring; each has a sequence number, and the agent performs and acknowledges them in that order. A page
// fault goes to the owner as a message on a socket and is answered here. Every wait has its word here, so that either
// side can be looked at while the other one is stopped or dead.
//
// Thread safety: each field by the two sides that its comment names; words are atomic, the rest is ordered by them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/platform/object_memory.hpp"
#include "impl/platform/protection.hpp"
#include "impl/platform/shared_word.hpp"

namespace page_map_lab {

/// Rights to be set for a run of pages; where that fails and `whole_bytes` is not 0, all access to the whole is closed.
struct AgentRange {
    std::uint64_t address = 0;  ///< in the worker
    std::uint64_t bytes = 0;
    std::uint64_t whole_address = 0;
    std::uint64_t whole_bytes = 0;
    Access access = Access::none;
};

struct AgentRequest {
    enum class Kind : std::uint8_t {
        map_region,    ///< maps a part of the file that was sent on the socket, with no access
        map_open,      ///< the same, readable and writable
        unmap,         ///< the one range
        grant,         ///< gives rights: all ranges
        revoke,        ///< takes rights, all or some: all ranges
        copy_now,      ///< the one page
        leave,         ///< ends the worker
    };
    static constexpr std::size_t most_ranges = 64;

    Kind kind = Kind::leave;
    Sharing sharing = Sharing::shared;
    std::uint32_t range_count = 0;
    std::uint64_t file_offset = 0;
    std::array<AgentRange, most_ranges> ranges{};
};

/// How a request ended. Its message stays on the worker's side; the owner words its own.
struct AgentAnswer {
    bool succeeded = true;
    ErrorCode code = ErrorCode::system;
    std::int32_t system_errno = 0;
    std::uint32_t fallbacks = 0;  ///< wholes that were closed
    std::uint64_t address = 0;    ///< map_region, map_open: where
};

/// A fault as it goes over the socket: whose turn it takes, and what was wanted.
struct FaultMessage {
    std::uint64_t address = 0;
    std::uint32_t turn = 0;
    Access access = Access::none;
};

/// Places where a worker stops for a test that asked it to: that thread of it, for as long as it is asked.
enum class WorkerPoint : std::uint32_t {
    none,
    fault_raised,       ///< before the owner hears of a fault
    fault_sent,         ///< the owner was told
    fault_answered,     ///< served, and the instruction not yet run again
    grant,              ///< the agent, before it gives rights
    revocation,         ///< the agent, before it takes rights
    revoked,            ///< the agent, before it acknowledges that rights are taken
    job,                ///< wherever a job says so
};

struct AgentChannel {
    static constexpr std::uint32_t ring_length = 16;
    static constexpr std::uint32_t fault_turns = 64;  ///< threads of a worker whose faults wait at a time
    static constexpr std::size_t blackboard_bytes = std::size_t{4} << 20;

    struct Place {
        AgentRequest request;  ///< the owner's, until `posted` has passed it
        AgentAnswer answer;    ///< the agent's, until `answered` has passed it
    };

    struct FaultTurn {
        static constexpr std::uint32_t free = 0;
        static constexpr std::uint32_t waiting = 1;
        static constexpr std::uint32_t answered = 2;
        SharedWord state{free};
        std::uint8_t outcome = 0;  ///< the owner's, until `answered`
        ErrorCode why = ErrorCode::system;
    };

    alignas(cache_line_size) SharedWord posted{0};    ///< the last request's sequence number; they begin at 1
    alignas(cache_line_size) SharedWord answered{0};  ///< the last one acknowledged
    alignas(cache_line_size) SharedWord ready{0};     ///< the worker has set itself up

    alignas(cache_line_size) SharedWord stop_at{0};     ///< a WorkerPoint: the owner's
    SharedWord stopped_at{0};                           ///< the point that a thread waits at: the worker's

    alignas(cache_line_size) SharedWord jobs_posted{0};
    SharedWord jobs_done{0};
    SharedWord stop_requested{0};
    std::uint64_t job_entry = 0;         ///< a function of this program; the owner's, until `jobs_posted`
    bool job_failed = false;             ///< the worker's, until `jobs_done`
    std::array<char, 256> job_failure{};

    std::array<Place, ring_length> ring{};
    SharedWord faults_answered{0};  ///< the owner's count
    std::array<FaultTurn, fault_turns> faults{};

    /// A job's own; zero at first. Whoever uses it makes both sides agree on what lies there.
    alignas(page_size) std::array<std::byte, blackboard_bytes> blackboard;

    Place& place_of(std::uint32_t sequence) noexcept { return ring[sequence % ring_length]; }

    /// Stops the calling thread of the worker where a test asked for it.
    void pass(WorkerPoint point) noexcept;
};

}  // namespace page_map_lab
