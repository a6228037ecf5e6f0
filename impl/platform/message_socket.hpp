// A pair of connected sockets that keep messages whole and can carry open files to another process.
//
// Thread safety: all members; messages of concurrent senders do not mix. Source: unix(7), SOCK_SEQPACKET, SCM_RIGHTS.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "impl/core/error.hpp"
#include "impl/platform/file_descriptor.hpp"

namespace page_map_lab {

class MessageSocket {
public:
    static constexpr std::size_t most_files = 4;  ///< that one message can carry
    /// The files that came with a message, from the first place on; the other places hold none.
    using Files = std::array<FileDescriptor, most_files>;

    MessageSocket() noexcept = default;
    explicit MessageSocket(FileDescriptor socket) noexcept : socket_(std::move(socket)) {}

    /// Both ends; neither is inherited by a program that is executed. Errors: system.
    static Result<std::pair<MessageSocket, MessageSocket>> make_pair();

    int descriptor() const noexcept { return socket_.number(); }
    void close() noexcept { socket_.close(); }

    /// Sends one message, with files where given. Blocks while the other end's queue is full. Errors: unavailable where
    /// the other end is gone, system.
    Status send(std::span<const std::byte> message, std::span<const int> files = {}) const noexcept;

    /// Waits for one message of exactly `message.size()` bytes, and takes the files that came with it. Errors: unavailable
    /// where the other end is gone, malformed; system, with the message still to be received.
    Status receive(std::span<std::byte> message, Files* files = nullptr) const noexcept;

    template <class Message>
    Status send_object(const Message& message, std::span<const int> files = {}) const noexcept {
        static_assert(std::is_trivially_copyable_v<Message>);
        return send(std::as_bytes(std::span(&message, 1)), files);
    }
    template <class Message>
    Status receive_object(Message& message, Files* files = nullptr) const noexcept {
        static_assert(std::is_trivially_copyable_v<Message>);
        return receive(std::as_writable_bytes(std::span(&message, 1)), files);
    }

private:
    FileDescriptor socket_;
};

}  // namespace page_map_lab
