// Revokes, in each region, everything from the first page to the last with one call: for pages that lie scattered.
//
// What lies between stays present in its entries, dirty bits and private copies included, and faults back softly: one
// call and one interrupt a region are bought with those faults. Best where the pages are many and close together, and
// never better than batched where they are adjacent.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class MachineType>
class HullShootdown {
public:
    using Machine = MachineType;

    explicit HullShootdown(Access left) noexcept : left_(left) {}
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
        if (length_ == hulls_.size()) {
            revoke_all();
        }
        return hulls_[length_++] = Hull{&region, pages, 0};
    }

    void revoke_all() {
        for (const Hull& hull : std::span(hulls_).first(length_)) {
            ++cost_.ranges;
            // Leaving read access would open the pages in between that are closed (invariant 4).
            const Access left = hull.gathered == hull.pages.count ? left_ : Access::none;
            if (Status revoked = revoke_range(*hull.region, hull.pages, left, cost_); !revoked && outcome_) {
                outcome_ = std::move(revoked);
            }
        }
        length_ = 0;
    }

    const Access left_;
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
