// The variants that this program was built with.
#pragma once

#include <vector>

#include "tests/explorer/map_under_test.hpp"

namespace page_map_lab::explorer {

std::vector<VariantUnderTest> variants_under_test();

}  // namespace page_map_lab::explorer
