// Instantiates the variants of one layout and one read path, whole. Included by the sources that the build makes, one per
// pair, and by nothing else.
#pragma once

#include "impl/page_map/page_map_definitions.hpp"
#include "variants/any_page_map_of.hpp"
#include "variants/registry.hpp"

namespace page_map_lab {

/// What the build asks for and the catalog does not list is nothing.
template <FixedString... policies>
class PageMap<registry_detail::NotListed<policies...>> {};

template <class VariantType>
VariantEntry variant_entry() {
    if constexpr (registry_detail::is_listed<VariantType>) {
        constexpr FeltAxes every_axis{.layout = true, .read = true, .shootdown = true, .mechanism = true};
        return {variant_name<VariantType>(every_axis),
                std::string(VariantType::LayoutTag::name),
                std::string(VariantType::ReadPathTag::name),
                std::string(VariantType::ShootdownTag::name),
                [](const AnyPageMap::Options& options) -> std::unique_ptr<AnyPageMap> {
                    return std::make_unique<AnyPageMapOf<VariantType>>(options);
                }};
    } else {
        return {};
    }
}

}  // namespace page_map_lab
