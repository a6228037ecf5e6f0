// The vocabulary of places: a page's index in its object, a run of pages, and the size of a page.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace page_map_lab {

/// A page's number in its object: byte offset / page_size.
using PageIndex = std::uint64_t;

/// A page frame's number: an index into the frame table. Zero is never handed out and means "no page".
using FrameNumber = std::uint64_t;

inline constexpr std::size_t page_size = 4096;
inline constexpr unsigned page_shift = std::countr_zero(page_size);

/// The bytes that one core's cache moves at once; what must not share a line is aligned to it.
inline constexpr std::size_t cache_line_size = 64;

/// The pages [first, first + count) of an object.
struct PageRange {
    PageIndex first = 0;
    std::uint64_t count = 0;

    constexpr PageIndex end() const noexcept { return first + count; }
    constexpr bool empty() const noexcept { return count == 0; }
    constexpr bool wraps() const noexcept { return first + count < first; }
    constexpr bool contains(PageIndex index) const noexcept { return index - first < count; }

    /// The pages that both ranges hold; empty when they are apart. Neither may wrap around.
    constexpr PageRange intersection(PageRange other) const noexcept {
        const PageIndex from = first > other.first ? first : other.first;
        const PageIndex to = end() < other.end() ? end() : other.end();
        return from < to ? PageRange{from, to - from} : PageRange{};
    }

    friend constexpr bool operator==(PageRange, PageRange) noexcept = default;
};

}  // namespace page_map_lab
