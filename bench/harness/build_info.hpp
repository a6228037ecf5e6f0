// What this binary was made of: revision, preset, compiler, flags, libraries.
//
// Thread safety: a plain function.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace page_map_lab::bench {

/// The record's "build". The revision and the dirty flag are those of the tree when the binary was built; changes under
/// results/ do not count as dirty.
nlohmann::ordered_json build_info();

}  // namespace page_map_lab::bench
