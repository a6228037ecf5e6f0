// The radix tree: 64-way, as high as its largest index needs, slots in tight leaves of 512 bytes.
//
// Thread safety, progress, invariants: see tree.hpp. The tree grows and never shrinks until it is empty.
// Cost: 8.9 bytes a page in a dense map of 256 Ki pages, the directory's 40 KiB included, and 8.5 where those are spread
// over many more (61 nodes to a slab of 32 KiB); a walk is one dependent load a level and one for the root word.
// Source: the reference's radix tree, whose bound overflows for keys beyond 30 bits; here every 64-bit index has a
// place.
#pragma once

#include <cstdint>
#include <string_view>

#include "variants/layout/tree.hpp"

namespace page_map_lab {

struct RadixHeader {
    static constexpr bool shrinks = false;
    std::uint64_t present = 0;

    void made(unsigned) noexcept {}
    void linked(void*, RadixHeader&, unsigned) noexcept {}
};

struct Radix {
    static constexpr std::string_view name = "radix";
    template <class ReadPath>
    using With = Tree<ReadPath, RadixHeader>;
};

}  // namespace page_map_lab
