#include "impl/platform/message_socket.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace page_map_lab {

Result<std::pair<MessageSocket, MessageSocket>> MessageSocket::make_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail(ErrorCode::system, "no sockets to another process: raise the limit of open files (ulimit -n)", errno);
    }
    return std::pair(MessageSocket(FileDescriptor(ends[0])), MessageSocket(FileDescriptor(ends[1])));
}

Status MessageSocket::send(std::span<const std::byte> message, std::span<const int> files) const noexcept {
    iovec part{const_cast<std::byte*>(message.data()), message.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(most_files * sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!files.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(files.size_bytes());
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(files.size_bytes());
        std::memcpy(CMSG_DATA(rights), files.data(), files.size_bytes());
    }
    while (::sendmsg(socket_.number(), &header, MSG_NOSIGNAL) < 0) {
        if (errno == EPIPE || errno == ECONNRESET) {
            return fail(ErrorCode::unavailable, "the other process is gone", errno);
        }
        if (errno != EINTR) {
            return fail(ErrorCode::system, "a message to another process could not be sent", errno);
        }
    }
    return {};
}

Status MessageSocket::receive(std::span<std::byte> message, Files* files) const noexcept {
    iovec part{message.data(), message.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(most_files * sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t length = 0;
    while ((length = ::recvmsg(socket_.number(), &header, MSG_CMSG_CLOEXEC)) < 0) {
        if (errno == ECONNRESET) {
            return fail(ErrorCode::unavailable, "the other process is gone", errno);
        }
        if (errno != EINTR) {
            return fail(ErrorCode::system, "a message from another process could not be received", errno);
        }
    }
    for (cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr; rights = CMSG_NXTHDR(&header, rights)) {
        if (rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
            const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);  // the buffer has room for most_files
            for (std::size_t position = 0; position < count; ++position) {
                int number = -1;
                std::memcpy(&number, CMSG_DATA(rights) + position * sizeof number, sizeof number);
                FileDescriptor received(number);
                if (files != nullptr) {
                    (*files)[position] = std::move(received);
                }
            }
        }
    }
    if (length == 0) {
        return fail(ErrorCode::unavailable);
    }
    if (static_cast<std::size_t>(length) != message.size()) {
        return fail(ErrorCode::malformed, "a message from another process is of another size");
    }
    return {};
}

}  // namespace page_map_lab
