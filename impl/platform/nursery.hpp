// Where worker processes come from: a process forked before this one had any other thread, which forks on request.
//
// A process that is forked while other threads run inherits their locks, held for ever; one that is forked here inherits
// none, and none of the regions and arenas that were made since. The nursery ends with this process, and its children
// with the nursery.
//
// Thread safety: all members. Cost of a child: a fork of a small process and one exchange of messages.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "impl/core/error.hpp"
#include "impl/platform/message_socket.hpp"
#include "impl/platform/process_handle.hpp"

namespace page_map_lab {

/// How a child ended: its exit code, or the number of the signal that killed it.
struct ProcessEnd {
    bool killed = false;
    int code = 0;
};

class Nursery {
public:
    /// What a child runs, with the files that were passed to it; its return ends the child with exit code 0, what it throws
    /// with 1. A function of this program: the nursery has the same ones at the same addresses.
    using Entry = void (*)(MessageSocket::Files files);

    /// Forks the nursery; once a process, before its first thread. Errors: busy where the process has threads already,
    /// system. A second call changes nothing and succeeds.
    static Status start();
    /// The nursery that was started. Errors: unavailable, with the way out.
    static Result<Nursery*> running();

    /// Forks a child that runs `entry` with copies of `files`. Errors: unavailable where the nursery is gone, system.
    Result<ProcessHandle> fork_child(Entry entry, std::span<const int> files);

    /// Forgets a child whose end was reported, and tells how it ended; nothing where it was forgotten before.
    std::optional<ProcessEnd> reap(const ProcessHandle& child);

private:
    explicit Nursery(MessageSocket socket) : socket_(std::move(socket)) {}

    std::mutex exchange_;  // one request and its answer at a time
    MessageSocket socket_;
};

}  // namespace page_map_lab
