// Revokes, in each region, everything from the first page to the last with one call: for pages that lie scattered.
//
// What lies between stays present in its entries, dirty bits and private copies included, and faults back softly: one
// call and one interrupt a region are bought with those faults. Best where the pages are many and close together, and
// never better than batched where they are adjacent. A worker process gets one message with the hulls of all its regions.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class MachineType>
class HullShootdown {
public:
    using Machine = MachineType;

    explicit HullShootdown(Access left, std::size_t most_spaces = default_shootdown_spaces) noexcept
        : left_(left), spaces_(most_spaces) {}
    ~HullShootdown() { check(length_ == 0, "a shootdown was dropped before it was flushed"); }
    HullShootdown(const HullShootdown&) = delete;
    HullShootdown& operator=(const HullShootdown&) = delete;

    void add(Region<Machine>& region, PageRange pages) {
        cost_.pages += pages.count;
        Hull& hull = hull_of(region, pages);
        const PageIndex first = std::min(hull.pages.first, pages.first);
        hull.pages = {first, std::max(hull.pages.end(), pages.end()) - first};
        hull.gathered += pages.count;
    }

    [[nodiscard]] Status flush() {
        revoke_all();
        return std::exchange(outcome_, Status{});
    }

    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    struct Hull {
        Region<Machine>* region;
        PageRange pages;
        std::uint64_t gathered;
    };

    /// The region's hull, a new one of `pages` where it has none. A full list flushes early.
    Hull& hull_of(Region<Machine>& region, PageRange pages) {
        const auto end = hulls_.begin() + length_;
        const auto found = std::find_if(hulls_.begin(), end, [&](const Hull& hull) { return hull.region == &region; });
        if (found != end) {
            return *found;
        }
        if (length_ == hulls_.size() || !spaces_.insert(region.space())) {
            ++cost_.early_flushes;
            revoke_all();
            spaces_.insert(region.space());
        }
        return hulls_[length_++] = Hull{&region, pages, 0};
    }

    void revoke_all() {
        const auto hulls = std::span<const Hull>(hulls_).first(length_);
        // Leaving read access would open the pages in between that are closed (invariant 4).
        const auto left = [&](const Hull& hull) { return hull.gathered == hull.pages.count ? left_ : Access::none; };
        std::optional<AgentRequests> sent;
        post_to_workers(spaces_, hulls, left, sent, cost_);
        for (const Hull& hull : hulls) {
            ++cost_.ranges;
            if (hull.region->space().worker() == nullptr) {
                keep_failure(revoke_range(*hull.region, hull.pages, left(hull), cost_));
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
    SpaceList<Machine> spaces_;
    std::array<Hull, 16> hulls_{};
    std::size_t length_ = 0;
    Status outcome_{};
    ShootdownCost cost_{};
};

struct Hull {
    static constexpr std::string_view name = "hull";
    template <class Machine>
    using On = HullShootdown<Machine>;
};

}  // namespace page_map_lab
