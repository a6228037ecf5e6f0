#include "impl/platform/agent.hpp"

#include <sys/mman.h>

#include <cerrno>

namespace page_map_lab {

namespace {

AgentAnswer failed(ErrorCode code, int system_errno) noexcept {
    return {.succeeded = false, .code = code, .system_errno = system_errno};
}

AgentAnswer answer_of(const Status& status) noexcept {
    return status ? AgentAnswer{} : failed(status.error().code, status.error().system_errno);
}

std::byte* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<std::byte*>(address);  // NOLINT: an address of this process, as it told its owner
}

}  // namespace

void Agent::serve() noexcept {
    for (std::uint32_t next = 1;; ++next) {
        // [agent-request] acquire: pairs with the release in AgentLink::post; the request is whole.
        while (channel_.posted.load(std::memory_order_acquire) == next - 1) {
            wait_on(channel_.posted, next - 1);
        }
        AgentChannel::Place& place = channel_.place_of(next);
        place.answer = perform(place.request);
        // [agent-answer] release: pairs with the acquire in AgentLink::answer_to.
        channel_.answered.store(next, std::memory_order_release);
        wake_all_on(channel_.answered);
    }
}

AgentAnswer Agent::perform(const AgentRequest& request) noexcept {
    switch (request.kind) {
        case AgentRequest::Kind::map_region:
        case AgentRequest::Kind::map_open: return map(request);
        case AgentRequest::Kind::unmap:
            return answer_of(ObjectMemory::unmap(pointer(request.ranges[0].address), request.ranges[0].bytes / page_size));
        case AgentRequest::Kind::grant:
        case AgentRequest::Kind::revoke: return set_access(request);
        case AgentRequest::Kind::copy_now: return answer_of(ObjectMemory::copy_now(pointer(request.ranges[0].address)));
        case AgentRequest::Kind::leave: ::_exit(0);
    }
    return failed(ErrorCode::malformed, 0);
}

AgentAnswer Agent::map(const AgentRequest& request) noexcept {
    MessageSocket::Files files;
    char nothing = 0;
    // Sent before the request was posted, and nobody else receives here.
    if (!socket_.receive_object(nothing, &files)) {
        ::_exit(1);  // it is still there, and the next request would map it
    }
    if (!files.front()) {
        return failed(ErrorCode::system, EMFILE);  // the file was lost on the way, for want of room for it
    }
    const bool open = request.kind == AgentRequest::Kind::map_open;
    const int flags = (request.sharing == Sharing::shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE;
    void* mapping = ::mmap(nullptr, request.ranges[0].bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE, flags,
                           files.front().number(), static_cast<off_t>(request.file_offset));
    if (mapping == MAP_FAILED) {
        return failed(ErrorCode::no_memory, errno);
    }
    AgentAnswer answer;
    answer.address = reinterpret_cast<std::uint64_t>(mapping);
    return answer;
}

AgentAnswer Agent::set_access(const AgentRequest& request) noexcept {
    const bool grants = request.kind == AgentRequest::Kind::grant;
    channel_.pass(grants ? WorkerPoint::grant : WorkerPoint::revocation);
    AgentAnswer answer;
    for (std::uint32_t position = 0; position < request.range_count; ++position) {
        const AgentRange& range = request.ranges[position];
        Status set = protect(pointer(range.address), range.bytes, range.access);
        if (!set && range.whole_bytes != 0) {
            // The call left the hardware unknown; closing the whole merges it, and needs no further mapping.
            ++answer.fallbacks;
            set = protect(pointer(range.whole_address), range.whole_bytes, Access::none);
        }
        if (!set && answer.succeeded) {
            answer.succeeded = false;
            answer.code = set.error().code;
            answer.system_errno = set.error().system_errno;
        }
    }
    if (!grants) {
        channel_.pass(WorkerPoint::revoked);
    }
    return answer;
}

}  // namespace page_map_lab
