#include "impl/page_map/page_map.hpp"

#include <sstream>

namespace page_map_lab {

std::string PageMapInfo::text() const {
    const auto rights = [](Access access) {
        return access == Access::none ? "none" : access == Access::read ? "read" : "write";
    };
    std::ostringstream lines;
    lines << "page map: " << pages << " pages, " << regions.size() << " regions\n";
    for (const RegionInfo& region : regions) {
        lines << "  space " << region.space << ": " << static_cast<const void*>(region.base) << " + "
              << region.pages.count << " pages at page " << region.pages.first << ", " << rights(region.protection)
              << (region.sharing == Sharing::shared ? ", shared" : ", private") << (region.locked ? ", locked" : "")
              << '\n';
    }
    return lines.str();
}

}  // namespace page_map_lab
