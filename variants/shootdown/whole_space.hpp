// Revokes everything that an address space has open: the reference's flush of the whole TLB.
//
// Linux has no bare flush, so each region of the space that is not pinned is closed with one call. Pages that were not
// asked for stay present in their entries, dirty bits and private copies included, and fault back softly: that is this
// policy's hidden price, and the fault counters show it.
#pragma once

#include <string_view>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class MachineType>
class WholeSpaceShootdown {
public:
    using Machine = MachineType;

    // Closing everything also takes the write access that write-back wants taken: readers fault back, too.
    explicit WholeSpaceShootdown(Access) noexcept {}
    ~WholeSpaceShootdown() { check(space_ == nullptr, "a shootdown was dropped before it was flushed"); }
    WholeSpaceShootdown(const WholeSpaceShootdown&) = delete;
    WholeSpaceShootdown& operator=(const WholeSpaceShootdown&) = delete;

    void add(Region<Machine>& region, PageRange pages) {
        check(space_ == nullptr || space_ == &region.space(), "the regions of one removal share an address space");
        space_ = &region.space();
        cost_.pages += pages.count;
        // Closing spares pinned regions; write-back asks for them by name.
        if (region.locked) {
            close(region);
        }
    }

    [[nodiscard]] Status flush() {
        if (space_ != nullptr) {
            Status closed = std::exchange(space_, nullptr)->for_each_unpinned_region([&](Region<Machine>& region) {
                close(region);
                return Status{};
            });
            check(closed.has_value(), "closing keeps its failures for the end");
        }
        return std::exchange(outcome_, Status{});
    }

    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    void close(Region<Machine>& region) {
        ++cost_.ranges;
        ++cost_.system_calls;
        if (Status closed = region.close_hardware(); !closed && outcome_) {
            outcome_ = std::move(closed);
        }
    }

    AddressSpace<Machine>* space_ = nullptr;
    Status outcome_{};
    ShootdownCost cost_{};
};

struct WholeSpace {
    static constexpr std::string_view name = "whole_space";
    template <class Machine>
    using On = WholeSpaceShootdown<Machine>;
};

}  // namespace page_map_lab
