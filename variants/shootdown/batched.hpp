// Revokes each run of adjacent pages with one call: the kernel flushes once a run, and everything above 33 pages.
#pragma once

#include <string_view>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class MachineType>
class BatchedShootdown {
public:
    using Machine = MachineType;

    explicit BatchedShootdown(Access left) noexcept : gather_(Revoke{left}) {}

    void add(Region<Machine>& region, PageRange pages) { gather_.add(region, pages); }
    [[nodiscard]] Status flush() { return gather_.flush(); }
    const ShootdownCost& cost() const noexcept { return gather_.cost(); }

private:
    struct Revoke {
        Access left;
        Status operator()(Region<Machine>& region, PageRange pages, ShootdownCost& cost) const {
            return revoke_range(region, pages, left, cost);
        }
    };
    RangeGather<Machine, Revoke> gather_;
};

struct Batched {
    static constexpr std::string_view name = "batched";
    template <class Machine>
    using On = BatchedShootdown<Machine>;
};

}  // namespace page_map_lab
