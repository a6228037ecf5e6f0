// Contents made from (page, version), so that every byte that is read back says whether it is the right one.
//
// A page's contents are 512 words that depend on the page, on the version and on the place in the page: a page at the
// wrong index, of another version, shifted, torn or zeroed does not match. Version 0 is what a fresh page holds.
// Thread safety: free functions over the caller's bytes. Cost: about a nanosecond per eight bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "impl/core/page_index.hpp"

namespace page_map_lab {

/// Writes the contents of (`page`, `version`) into `bytes`, which stand for the page's bytes from `first_byte` on.
void fill_contents(std::span<std::byte> bytes, PageIndex page, std::uint64_t version, std::size_t first_byte = 0);

/// The place in `bytes` of the first byte that is not that of (`page`, `version`), or nothing where all match.
std::optional<std::size_t> find_mismatch(std::span<const std::byte> bytes, PageIndex page, std::uint64_t version,
                                         std::size_t first_byte = 0);

/// The version a whole page's bytes were made from, or nothing where they are not the contents of `page` at all.
std::optional<std::uint64_t> version_of(std::span<const std::byte, page_size> bytes, PageIndex page);

}  // namespace page_map_lab
