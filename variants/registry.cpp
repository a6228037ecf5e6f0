#include "variants/registry.hpp"

namespace page_map_lab {

const std::vector<VariantEntry>& all_variants() {
    static const std::vector<VariantEntry> entries = [] {
        std::vector<VariantEntry> list;
        Variants::for_each([&]<class VariantType>() { list.push_back(variant_entry<VariantType>()); });
        return list;
    }();
    return entries;
}

}  // namespace page_map_lab
