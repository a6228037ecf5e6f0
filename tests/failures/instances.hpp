// The variants that the sweep runs.
#pragma once

#include <vector>

#include "variants/any_page_map.hpp"

namespace page_map_lab::failures {

std::vector<VariantEntry> swept_variants();

}  // namespace page_map_lab::failures
