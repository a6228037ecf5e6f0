// hwloc's sets of processors or NUMA nodes, freed with their scope.
//
// Thread safety: plain functions. Source: hwloc 2.9, "The bitmap API".
#pragma once

#include <memory>
#include <vector>

#include <hwloc.h>

namespace page_map_lab {

using Bitmap = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

/// The set of these operating-system indexes. Null where there is no memory for it. Cost: one allocation or a few.
inline Bitmap make_bitmap(const std::vector<unsigned>& members = {}) {
    Bitmap bitmap(hwloc_bitmap_alloc(), &hwloc_bitmap_free);
    for (const unsigned member : members) {
        if (!bitmap || hwloc_bitmap_set(bitmap.get(), member) != 0) {
            return {nullptr, &hwloc_bitmap_free};
        }
    }
    return bitmap;
}

}  // namespace page_map_lab
