// Revokes everything that an address space has open: the reference's flush of the whole TLB.
//
// Linux has no bare flush, so each region of the space that is not pinned is closed with one call. Pages that were not
// asked for stay present in their entries, dirty bits and private copies included, and fault back softly: that is this
// policy's hidden price, and the fault counters show it. A worker process gets one message for every 64 of its regions.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class MachineType>
class WholeSpaceShootdown {
public:
    using Machine = MachineType;

    // Closing everything also takes the write access that write-back wants taken: readers fault back, too.
    explicit WholeSpaceShootdown(Access, std::size_t most_spaces = default_shootdown_spaces) noexcept
        : spaces_(most_spaces) {}
    ~WholeSpaceShootdown() { check(spaces_.empty(), "a shootdown was dropped before it was flushed"); }
    WholeSpaceShootdown(const WholeSpaceShootdown&) = delete;
    WholeSpaceShootdown& operator=(const WholeSpaceShootdown&) = delete;

    void add(Region<Machine>& region, PageRange pages) {
        const auto end = pinned_.begin() + pinned_count_;
        // Closing a space spares its pinned regions; write-back asks for them by name, page by page.
        const bool first_of_pinned = region.locked && std::find(pinned_.begin(), end, &region) == end;
        if (!spaces_.insert(region.space()) || (first_of_pinned && pinned_count_ == pinned_.size())) {
            ++cost_.early_flushes;
            close_all();
            spaces_.insert(region.space());
        }
        if (first_of_pinned) {
            pinned_[pinned_count_++] = &region;
        }
        cost_.pages += pages.count;
    }

    [[nodiscard]] Status flush() {
        close_all();
        return std::exchange(outcome_, Status{});
    }

    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    void close_all() {
        std::optional<AgentRequests> sent;
        for (AddressSpace<Machine>* const space : spaces_) {
            if (space->worker() != nullptr) {
                post_to_worker(*space, sent.has_value() ? *sent : sent.emplace());
            }
        }
        for (AddressSpace<Machine>* const space : spaces_) {
            if (space->worker() == nullptr) {
                for_each_unpinned_region(*space, [&](Region<Machine>& region) { close(region); });
            }
        }
        for (std::size_t position = 0; position < pinned_count_; ++position) {
            close(*pinned_[position]);
        }
        pinned_count_ = 0;
        if (sent) {
            keep_failure(sent->await(cost_));
        }
        spaces_.clear();
    }

    void post_to_worker(AddressSpace<Machine>& space, AgentRequests& sent) {
        std::array<AgentRange, AgentRequest::most_ranges> ranges;
        std::size_t count = 0;
        const auto post = [&] { sent.post(space.worker()->agent(), std::span(ranges).first(std::exchange(count, 0)), cost_); };
        for_each_unpinned_region(space, [&](Region<Machine>& region) {
            ++cost_.ranges;
            ranges[count++] = agent_range(region, region.pages(), Access::none);
            if (count == ranges.size()) {
                post();
            }
        });
        if (count != 0) {
            post();
        }
    }

    template <class Visit>
    static void for_each_unpinned_region(AddressSpace<Machine>& space, Visit&& visit) {
        Status visited = space.for_each_unpinned_region([&](Region<Machine>& region) {
            visit(region);
            return Status{};
        });
        check(visited.has_value(), "closing keeps its failures for the end");
    }

    void close(Region<Machine>& region) {
        ++cost_.ranges;
        ++cost_.system_calls;
        keep_failure(region.close_hardware());
    }

    void keep_failure(Status done) {
        if (!done && outcome_) {
            outcome_ = std::move(done);
        }
    }

    SpaceList<Machine> spaces_;
    std::array<Region<Machine>*, 16> pinned_{};  ///< to be closed beside the spaces' others
    std::size_t pinned_count_ = 0;
    Status outcome_{};
    ShootdownCost cost_{};
};

struct WholeSpace {
    static constexpr std::string_view name = "whole_space";
    template <class Machine>
    using On = WholeSpaceShootdown<Machine>;
};

}  // namespace page_map_lab
