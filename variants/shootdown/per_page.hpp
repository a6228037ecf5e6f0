// Revokes page by page, one call and so one interrupt each, and one message each to a worker process: what evictors without
// a batched interface do.
#pragma once

#include <string_view>

#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

template <class Machine>
struct RevokePageByPage {
    Access left;

    Status operator()(Region<Machine>& region, PageRange pages, ShootdownCost& cost) const {
        for (PageIndex index = pages.first; index != pages.end(); ++index) {
            if (Status revoked = revoke_range(region, {index, 1}, left, cost); !revoked) {
                return revoked;
            }
        }
        return {};
    }
};

struct PerPage {
    static constexpr std::string_view name = "per_page";
    template <class Machine>
    using On = RangeShootdown<Machine, RevokePageByPage<Machine>>;
};

}  // namespace page_map_lab
