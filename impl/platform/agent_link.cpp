#include "impl/platform/agent_link.hpp"

#include <algorithm>
#include <cstdio>
#include <thread>

namespace page_map_lab {

namespace {

std::uint64_t number(const std::byte* address) noexcept { return reinterpret_cast<std::uint64_t>(address); }

AgentRequest request_for(AgentRequest::Kind kind, std::span<const AgentRange> ranges) noexcept {
    AgentRequest request;
    request.kind = kind;
    request.range_count = static_cast<std::uint32_t>(ranges.size());
    std::copy(ranges.begin(), ranges.end(), request.ranges.begin());
    return request;
}

AgentRequest request_for(AgentRequest::Kind kind, const std::byte* address, std::size_t bytes) noexcept {
    const AgentRange range{.address = number(address), .bytes = bytes};
    return request_for(kind, std::span(&range, 1));
}

}  // namespace

void AgentLink::note(WorkerState state) noexcept {
    // relaxed: see known_state.
    state_.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
}

WorkerState AgentLink::state() noexcept {
    if (known_state() != WorkerState::ended && process_.has_ended()) {
        note(WorkerState::ended);
    }
    return known_state();
}

AgentLink::Ticket AgentLink::post(std::span<const AgentRange> ranges) noexcept {
    return post(request_for(AgentRequest::Kind::revoke, ranges));
}

std::optional<AgentLink::Ticket> AgentLink::try_post(std::span<const AgentRange> ranges) noexcept {
    return try_post(request_for(AgentRequest::Kind::revoke, ranges), std::nullopt);
}

AgentLink::Ticket AgentLink::post(const AgentRequest& request, std::optional<int> file) noexcept {
    for (;;) {
        if (const std::optional<Ticket> ticket = try_post(request, file)) {
            return *ticket;
        }
        // Full of requests that others wait for, each within its bound, and none of whom waits for a place meanwhile.
        std::this_thread::yield();
        static_cast<void>(state());
    }
}

std::optional<AgentLink::Ticket> AgentLink::try_post(const AgentRequest& request, std::optional<int> file) noexcept {
    Ticket ticket;
    if (known_state() != WorkerState::running) {
        return ticket;
    }
    {
        const std::lock_guard guard(posting_);
        const std::uint32_t sequence = last_posted_ + 1;
        bool& awaited = awaited_[sequence % AgentChannel::ring_length];
        if (awaited) {
            return std::nullopt;
        }
        const char nothing = 0;
        if (file && !socket_.send_object(nothing, std::span(&*file, 1))) {
            return ticket;  // the other end is gone
        }
        awaited = true;
        AgentRequest& place = channel_.place_of(sequence).request;
        place.kind = request.kind;
        place.sharing = request.sharing;
        place.range_count = request.range_count;
        place.file_offset = request.file_offset;
        std::copy_n(request.ranges.begin(), request.range_count, place.ranges.begin());
        last_posted_ = sequence;
        // [agent-request] release: pairs with the acquire in Agent::serve.
        channel_.posted.store(sequence, std::memory_order_release);
        ticket.sequence_ = sequence;
        ticket.sent_ = true;
    }
    wake_all_on(channel_.posted);
    return ticket;
}

Result<AgentAnswer> AgentLink::answer_to(Ticket ticket) noexcept {
    using Clock = std::chrono::steady_clock;
    constexpr unsigned spins_before_sleep = 256;
    constexpr auto between_looks = std::chrono::milliseconds(2);
    const auto bound = answer_within_.load(std::memory_order_relaxed);  // relaxed: see set_answer_within
    const auto deadline = Clock::now() + bound;
    std::optional<AgentAnswer> answer;
    bool ended = !ticket.sent_;
    for (unsigned spins = 0; !answer && !ended;) {
        // [agent-answer] acquire: pairs with the release in Agent::serve.
        const std::uint32_t answered = channel_.answered.load(std::memory_order_acquire);
        if (static_cast<std::int32_t>(answered - ticket.sequence_) >= 0) {
            answer = channel_.place_of(ticket.sequence_).answer;
        } else if (spins < spins_before_sleep) {
            ++spins;
        } else if (state() != WorkerState::running) {
            ended = true;
        } else if (Clock::now() >= deadline) {
            Sentence why;
            std::snprintf(why.data(), why.size(), "it did not answer within %lld ms", static_cast<long long>(bound.count()));
            kill(why.data());
        } else {
            wait_on(channel_.answered, answered,
                    std::min<Clock::duration>(between_looks, deadline - Clock::now()));
        }
    }
    if (ticket.sent_) {
        const std::lock_guard guard(posting_);
        awaited_[ticket.sequence_ % AgentChannel::ring_length] = false;
    }
    if (!answer) {
        if (state() == WorkerState::lost) {
            return fail(ErrorCode::unavailable,
                        of_this_worker("was killed and has not ended: what it could reach stays as it is").data());
        }
        return AgentAnswer{};  // it has no page tables any more
    }
    return *answer;
}

Status AgentLink::await(Ticket ticket, std::uint32_t* fallbacks) noexcept {
    Result<AgentAnswer> answer = answer_to(ticket);
    if (!answer) {
        return tl::unexpected(std::move(answer.error()));
    }
    if (fallbacks != nullptr) {
        *fallbacks += answer->fallbacks;
    }
    if (!answer->succeeded) {
        return fail(answer->code, "a worker's rights could not be changed: raise vm.max_map_count", answer->system_errno);
    }
    return {};
}

Status AgentLink::outcome_of(Ticket ticket, const char* what) noexcept {
    Result<AgentAnswer> answer = answer_to(ticket);
    if (!answer) {
        return tl::unexpected(std::move(answer.error()));
    }
    return answer->succeeded ? Status{} : fail(answer->code, what, answer->system_errno);
}

Status AgentLink::grant(std::byte* base, std::size_t bytes, Access access) noexcept {
    const AgentRange range{.address = number(base), .bytes = bytes, .access = access};
    return await(post(request_for(AgentRequest::Kind::grant, std::span(&range, 1))));
}

Status AgentLink::revoke(std::byte* base, std::size_t bytes, Access left) noexcept {
    const AgentRange range{.address = number(base), .bytes = bytes, .access = left};
    return await(post(std::span(&range, 1)));
}

Result<std::byte*> AgentLink::map(int file, std::uint64_t offset, std::size_t bytes, Sharing sharing,
                                  bool open) noexcept {
    AgentRequest request =
        request_for(open ? AgentRequest::Kind::map_open : AgentRequest::Kind::map_region, nullptr, bytes);
    request.sharing = sharing;
    request.file_offset = offset;
    Result<AgentAnswer> answer = answer_to(post(request, file));
    if (!answer) {
        return tl::unexpected(std::move(answer.error()));
    }
    if (!answer->succeeded) {
        return fail(answer->code, "a worker could not map a region: raise vm.max_map_count or map less",
                    answer->system_errno);
    }
    if (answer->address == 0) {
        return fail(ErrorCode::unavailable, of_this_worker("has ended: it maps nothing").data());
    }
    return reinterpret_cast<std::byte*>(answer->address);  // NOLINT: an address of the worker
}

Status AgentLink::unmap(std::byte* base, std::size_t bytes) noexcept {
    return outcome_of(post(request_for(AgentRequest::Kind::unmap, base, bytes)), "a worker could not unmap a region");
}

Status AgentLink::copy_now(std::byte* page) noexcept {
    return outcome_of(post(request_for(AgentRequest::Kind::copy_now, page, page_size)),
                      "a worker could not make a private copy");
}

void AgentLink::ask_to_leave() noexcept {
    static_cast<void>(post(request_for(AgentRequest::Kind::leave, nullptr, 0)));
}

bool AgentLink::kill(const char* why) noexcept {
    const std::lock_guard guard(killing_);
    if (state() == WorkerState::running) {
        report_ = of_this_worker("was killed: ", why);
        process_.signal(bounds_.kill_signal);
        if (!process_.wait_for_end(bounds_.end_within)) {
            note(WorkerState::lost);
        }
    }
    return state() == WorkerState::ended;
}

std::string AgentLink::report() {
    const std::lock_guard guard(killing_);
    return report_.data();
}

AgentLink::Sentence AgentLink::of_this_worker(const char* what, const char* why) const noexcept {
    Sentence said;
    std::snprintf(said.data(), said.size(), "worker %d %s%s", process_.number(), what, why);
    return said;
}

}  // namespace page_map_lab
