// Variants that are not in the catalog: the base's policies over a mechanism or a machine that a test steers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "impl/page_map/page_map_definitions.hpp"
#include "tests/variants/page_map_fixture.hpp"
#include "variants/any_page_map_of.hpp"

namespace page_map_lab::testing {

/// An entry for the typed tests, made of policies that stand in no catalog.
template <class VariantType>
VariantEntry composed_entry() {
    const auto text = [](std::string_view name) { return std::string(name); };
    return {"composed",
            text(VariantType::LayoutTag::name),
            text(VariantType::ReadPathTag::name),
            text(VariantType::ShootdownTag::name),
            [](const AnyPageMap::Options& options) -> std::unique_ptr<AnyPageMap> {
                return std::make_unique<AnyPageMapOf<VariantType>>(options);
            }};
}

}  // namespace page_map_lab::testing
