// Instantiates variants on the simulated machine. Included by the sources that the build makes, and by nothing else.
#pragma once

#include <string_view>
#include <vector>

#include "tests/explorer/map_under_test_of.hpp"
#include "tests/explorer/read_paths.hpp"
#include "tests/explorer/variants_under_test.hpp"

namespace page_map_lab::explorer {

/// Adds the variants of the catalog with these policies; every shootdown where `shootdown` is "every".
template <FixedString layout, FixedString read_path, FixedString shootdown>
void add_variants(std::vector<VariantUnderTest>& variants) {
    Layouts::for_each([&]<class LayoutPolicy>() {
        if constexpr (LayoutPolicy::name == layout.view()) {
            StandIns::for_each([&]<class ReadPathPolicy>() {
                if constexpr (ReadPathPolicy::name == read_path.view()) {
                    Shootdowns::for_each([&]<class ShootdownPolicy>() {
                        if constexpr (Composable<LayoutPolicy, typename ReadPathPolicy::template On<SimulatedMachine>> &&
                                      (shootdown.view() == "every" || ShootdownPolicy::name == shootdown.view())) {
                            variants.push_back(variant_under_test<LayoutPolicy, ReadPathPolicy, ShootdownPolicy>());
                        }
                    });
                }
            });
        }
    });
}

}  // namespace page_map_lab::explorer
