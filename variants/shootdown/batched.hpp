// Revokes each run of adjacent pages with one call: the kernel flushes once a run, and everything above 33 pages. All runs
// in one worker process go there in one message.
#pragma once

#include <string_view>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class Machine>
struct RevokeRun {
    static constexpr bool takes_whole_runs = true;
    Access left;

    Status operator()(Region<Machine>& region, PageRange pages, ShootdownCost& cost) const {
        return revoke_range(region, pages, left, cost);
    }
};

struct Batched {
    static constexpr std::string_view name = "batched";
    template <class Machine>
    using On = RangeShootdown<Machine, RevokeRun<Machine>>;
};

}  // namespace page_map_lab
