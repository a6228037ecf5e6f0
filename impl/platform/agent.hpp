// A worker's agent: the one thread that changes the worker's page tables, in the order of the requests' numbers.
//
// It takes no lock but the kernel's, touches no region and waits for nothing but the next request, so whoever waits for
// it waits for system calls only: that is why the owner may wait under its own locks.
//
// Thread safety: `serve` on one thread of the worker. Progress: each request is answered after a bounded number of
// system calls.
#pragma once

#include "impl/platform/agent_channel.hpp"
#include "impl/platform/message_socket.hpp"

namespace page_map_lab {

class Agent {
public:
    Agent(AgentChannel& channel, const MessageSocket& socket) noexcept : channel_(channel), socket_(socket) {}

    /// Serves requests until one ends the process.
    [[noreturn]] void serve() noexcept;

private:
    AgentAnswer perform(const AgentRequest& request) noexcept;
    AgentAnswer map(const AgentRequest& request) noexcept;
    AgentAnswer set_access(const AgentRequest& request) noexcept;

    AgentChannel& channel_;
    const MessageSocket& socket_;
};

}  // namespace page_map_lab
