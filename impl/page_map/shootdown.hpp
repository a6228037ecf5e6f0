// What a shootdown owes: an object that gathers revocations and then makes them true in every TLB at once.
//
// `add(region, pages)` gathers; `flush()` revokes and returns an error that may not be ignored. Destroying one that still
// holds revocations ends the program: that is the bug it exists to prevent. The regions stay alive and their addresses
// reserved in between, because the page map's lock is held.
//
// The regions may lie in several address spaces. A bounded list of them is gathered; when it is full, it is flushed early.
// What is owed in a worker process is sent to its agent: to all of them first, then this process's own part is done, then
// each acknowledgement is waited for, so that a flush takes as long as the slowest and not as all together.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "impl/core/check.hpp"
#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/address_space.hpp"

namespace page_map_lab {

/// What a shootdown cost, and what it expects of the hardware.
struct ShootdownCost {
    std::uint64_t pages = 0;         ///< pages that were to be revoked
    std::uint64_t ranges = 0;        ///< runs of adjacent pages they made
    std::uint64_t system_calls = 0;  ///< each is one flush: one interrupt to every other core that runs the space
    std::uint64_t fallbacks = 0;     ///< times a whole region was closed because the system had no room to split it
    std::uint64_t messages = 0;      ///< requests to agents of worker processes, each acknowledged
    std::uint64_t early_flushes = 0; ///< times the list of address spaces or of ranges was full

    ShootdownCost& operator+=(const ShootdownCost& other) noexcept {
        pages += other.pages;
        ranges += other.ranges;
        system_calls += other.system_calls;
        fallbacks += other.fallbacks;
        messages += other.messages;
        early_flushes += other.early_flushes;
        return *this;
    }
};

/// How many address spaces a shootdown gathers before it flushes early, unless it is told otherwise: as in the reference.
inline constexpr std::size_t default_shootdown_spaces = 10;
inline constexpr std::size_t most_shootdown_spaces = 64;

/// The address spaces that a shootdown concerns so far: a fixed list, so that gathering under a lock allocates nothing.
template <class Machine>
class SpaceList {
public:
    explicit SpaceList(std::size_t limit) noexcept : limit_(std::clamp<std::size_t>(limit, 1, most_shootdown_spaces)) {}

    /// Whether `space` is in the list now; false where it is not and the list is full.
    bool insert(AddressSpace<Machine>& space) noexcept {
        for (AddressSpace<Machine>* const gathered : *this) {
            if (gathered == &space) {
                return true;
            }
        }
        if (length_ == limit_) {
            return false;
        }
        spaces_[length_++] = &space;
        return true;
    }
    void clear() noexcept { length_ = 0; }
    bool empty() const noexcept { return length_ == 0; }
    AddressSpace<Machine>* const* begin() const noexcept { return spaces_.data(); }
    AddressSpace<Machine>* const* end() const noexcept { return spaces_.data() + length_; }

private:
    std::array<AddressSpace<Machine>*, most_shootdown_spaces> spaces_;
    std::size_t length_ = 0;
    const std::size_t limit_;
};

/// The requests of one flush to the agents of worker processes: all are posted before any is waited for, as far as there is room.
class AgentRequests {
public:
    /// Where there is no room, here or in the worker's ring, what was sent is awaited first: who waits for a place in a ring
    /// holds none, so that flushes never wait for each other's.
    void post(AgentLink& agent, std::span<const AgentRange> ranges, ShootdownCost& cost) noexcept {
        std::optional<AgentLink::Ticket> ticket;
        if (length_ < sent_.size()) {
            ticket = agent.try_post(ranges);
        }
        if (!ticket) {
            await_all(cost);
            ticket = agent.post(ranges);
        }
        sent_[length_++] = {&agent, *ticket};
        if (ticket->sent()) {
            ++cost.messages;
            cost.system_calls += ranges.size();
        }
    }

    /// Waits for every acknowledgement; the first failure since the last call is returned.
    Status await(ShootdownCost& cost) noexcept {
        await_all(cost);
        return std::exchange(outcome_, Status{});
    }

private:
    struct Sent {
        AgentLink* agent;
        AgentLink::Ticket ticket;
    };

    void await_all(ShootdownCost& cost) noexcept {
        for (std::size_t position = 0; position < length_; ++position) {
            std::uint32_t fallbacks = 0;
            Status done = sent_[position].agent->await(sent_[position].ticket, &fallbacks);
            cost.fallbacks += fallbacks;
            cost.system_calls += fallbacks;
            if (!done && outcome_) {
                outcome_ = std::move(done);
            }
        }
        length_ = 0;
    }

    std::array<Sent, most_shootdown_spaces> sent_;
    std::size_t length_ = 0;
    Status outcome_{};
};

/// What an agent is asked for in place of revoke_range.
template <class Machine>
AgentRange agent_range(const Region<Machine>& region, PageRange pages, Access left) noexcept {
    return {.address = reinterpret_cast<std::uint64_t>(region.address_of(pages.first)),
            .bytes = pages.count * page_size,
            .whole_address = reinterpret_cast<std::uint64_t>(region.base()),
            .whole_bytes = region.size_bytes(),
            .access = left};
}

/// Sends each worker process among `spaces` one request with all of its `runs`, each of which has a `region` and `pages`;
/// `left(run)` is the access that it leaves. Posts only: `sent` exists afterwards where there is something to wait for.
template <class Machine, class Run, class Left>
void post_to_workers(const SpaceList<Machine>& spaces, std::span<const Run> runs, Left&& left,
                     std::optional<AgentRequests>& sent, ShootdownCost& cost) {
    for (AddressSpace<Machine>* const space : spaces) {
        if (space->worker() == nullptr) {
            continue;
        }
        std::array<AgentRange, AgentRequest::most_ranges> ranges;
        std::size_t count = 0;
        for (const Run& run : runs) {
            if (&run.region->space() == space) {
                ranges[count++] = agent_range(*run.region, run.pages, left(run));
            }
        }
        if (!sent) {
            sent.emplace();
        }
        sent->post(space->worker()->agent(), std::span(ranges).first(count), cost);
    }
}

/// A shootdown on a machine. Constructed with the access that is left: none for a removal, read for write-back.
template <class S>
concept Shootdown = std::constructible_from<S, Access> &&
                    requires(S& shootdown, Region<typename S::Machine>& region, PageRange pages) {
                        shootdown.add(region, pages);
                        { shootdown.flush() } -> std::same_as<Status>;
                        { shootdown.cost() } -> std::convertible_to<ShootdownCost>;
                    };

/// A shootdown that goes by runs of adjacent pages: a fixed list, so that gathering under a lock allocates nothing; a full
/// list flushes early. The first failure is kept for `flush`.
///
/// `Revoke` is the policy: `Revoke{left}` is called as `revoke(region, pages, cost)` for each run and returns a Status. One
/// whose `takes_whole_runs` is true has the runs of each worker process sent there together, in place of calls.
template <class MachineType, class Revoke>
class RangeShootdown {
public:
    using Machine = MachineType;

    explicit RangeShootdown(Access left, std::size_t most_spaces = default_shootdown_spaces) noexcept
        : left_(left), revoke_{left}, spaces_(most_spaces) {}
    ~RangeShootdown() { check(length_ == 0, "a shootdown was dropped before it was flushed"); }
    RangeShootdown(const RangeShootdown&) = delete;
    RangeShootdown& operator=(const RangeShootdown&) = delete;

    void add(Region<MachineType>& region, PageRange pages) {
        cost_.pages += pages.count;
        if (length_ != 0) {
            Run& last = runs_[length_ - 1];
            if (last.region == &region && last.pages.end() == pages.first) {
                last.pages.count += pages.count;
                return;
            }
        }
        if (length_ == runs_.size() || !spaces_.insert(region.space())) {
            ++cost_.early_flushes;
            revoke_all();
            spaces_.insert(region.space());
        }
        runs_[length_++] = Run{&region, pages};
        ++cost_.ranges;
    }

    [[nodiscard]] Status flush() {
        revoke_all();
        return std::exchange(outcome_, Status{});
    }

    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    struct Run {
        Region<MachineType>* region;
        PageRange pages;
    };

    static constexpr bool sends_runs = requires { requires Revoke::takes_whole_runs; };

    void revoke_all() {
        const auto runs = std::span<const Run>(runs_).first(length_);
        std::optional<AgentRequests> sent;
        if constexpr (sends_runs) {
            post_to_workers(spaces_, runs, [&](const Run&) { return left_; }, sent, cost_);
        }
        for (const Run& run : runs) {
            if (!sends_runs || run.region->space().worker() == nullptr) {
                keep_failure(revoke_(*run.region, run.pages, cost_));
            }
        }
        if (sent) {
            keep_failure(sent->await(cost_));
        }
        length_ = 0;
        spaces_.clear();
    }

    void keep_failure(Status done) {
        if (!done && outcome_) {
            outcome_ = std::move(done);
        }
    }

    const Access left_;
    Revoke revoke_;
    SpaceList<MachineType> spaces_;
    std::array<Run, AgentRequest::most_ranges> runs_{};
    std::size_t length_ = 0;
    Status outcome_{};
    ShootdownCost cost_{};
};

/// Revokes one run with one call. A call that fails leaves the hardware unknown, so the whole region is closed instead;
/// what was not to be revoked stays present in its entries and faults back.
template <class Machine>
Status revoke_range(Region<Machine>& region, PageRange pages, Access left, ShootdownCost& cost) {
    const bool asks_an_agent = region.space().worker() != nullptr && region.space().worker()->agent().runs();
    ++cost.system_calls;
    cost.messages += asks_an_agent;
    if (region.space().revoke(region.address_of(pages.first), pages.count * page_size, left)) {
        return {};
    }
    ++cost.fallbacks;
    ++cost.system_calls;
    cost.messages += asks_an_agent;
    return region.close_hardware();
}

}  // namespace page_map_lab
