// The shape that the 64-way trees share: leaves of 64 slots, interior nodes of 64 links, a directory of the two top
// levels for readers, and a root word that carries the height beside the address where a walk starts.
//
//     height 1:          root word -> leaf
//     height 2:          root word -> node -> leaf
//     height 3:          root word -> directory -> leaf
//     height 4 and more: root word -> directory -> node ... -> leaf
//
// Height and start are one word, so that a lock-free reader never walks a node with another tree's height; 0 is the
// empty tree. The directory holds what lies two levels below the top, 4096 links wide, so that a walk loads one link
// for both levels. The walk is written out per height: the branch on the height is predicted, shifts are
// constants, and the only loads that wait for each other are the links. Where the caches miss, what counts beside those
// is how many instructions a walk has, since that many fewer walks fit the processor's window at once: hence a height
// that is a byte of its own, one compare for the bound, and the heights of ordinary objects asked for first.
//
// Thread safety: find_slot in a section of the read path or under the map's lock. Progress: wait-free.
// Cost: one dependent load for the root word and one a level, the two top levels counting as one from height 3 on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "impl/core/page_index.hpp"
#include "impl/page_map/slot.hpp"

namespace page_map_lab {

inline constexpr unsigned tree_fanout_bits = 6;
inline constexpr unsigned tree_fanout = 1U << tree_fanout_bits;
inline constexpr unsigned tree_max_height = 11;  ///< the top level's shift is then 60: every index has a place
inline constexpr std::size_t tree_node_bytes = 512;
inline constexpr unsigned tree_directory_height = 3;  ///< from this height on, walks start in a directory

/// The shift that brings the part of an index that a node of `height` looks at to the lowest bits.
constexpr unsigned tree_shift(unsigned height) noexcept { return tree_fanout_bits * (height - 1); }

/// Where `index` lies in a node of `height`.
constexpr unsigned tree_position(PageIndex index, unsigned height) noexcept {
    return static_cast<unsigned>(index >> tree_shift(height)) & (tree_fanout - 1);
}

/// Whether a tree of `height` has a place for `index`. Never shifts by the width of the index or more.
constexpr bool tree_covers(unsigned height, PageIndex index) noexcept {
    return height >= tree_max_height || (height > 0 && index >> tree_shift(height) < tree_fanout);
}

/// The root word: where a walk starts, whose low bits its alignment leaves free, and the height in those.
class TreeRoot {
public:
    static constexpr std::uintptr_t height_mask = 255;

    constexpr TreeRoot() noexcept = default;
    constexpr explicit TreeRoot(std::uintptr_t bits) noexcept : bits_(bits) {}
    TreeRoot(void* start, unsigned height) noexcept : bits_(reinterpret_cast<std::uintptr_t>(start) + height) {}

    constexpr std::uintptr_t bits() const noexcept { return bits_; }
    /// Compares one byte.
    constexpr bool has_height(unsigned height) const noexcept {
        return static_cast<std::uint8_t>(bits_ & height_mask) == height;
    }
    /// Where to start in a tree whose height is known: a constant folds into the addressing of the links.
    template <unsigned height>
    void* start_at() const noexcept {
        return reinterpret_cast<void*>(bits_ - height);
    }

private:
    std::uintptr_t bits_ = 0;
};

template <class ReadPath>
struct TreeShape {
    using Machine = typename ReadPath::Machine;
    using RootLink = typename ReadPath::template Link<std::uintptr_t>;

    struct alignas(cache_line_size) Leaf {
        Slot<Machine> slots[tree_fanout]{};
    };
    struct alignas(cache_line_size) Interior {
        typename ReadPath::template Link<void*> links[tree_fanout]{};
    };
    /// What lies two levels below the top, by the part of the index above that level.
    struct alignas(TreeRoot::height_mask + 1) Directory {
        typename ReadPath::template Link<void*> links[tree_fanout * tree_fanout]{};
        Directory* next_retired = nullptr;
    };
    static_assert(sizeof(Leaf) == tree_node_bytes && sizeof(Interior) == tree_node_bytes);

    static Leaf& leaf(void* node) noexcept { return *static_cast<Leaf*>(node); }
    static Interior& interior(void* node) noexcept { return *static_cast<Interior*>(node); }

    [[gnu::always_inline]] static Slot<Machine>* find_slot(const RootLink& link, PageIndex index) noexcept {
        const TreeRoot root{link.walk()};
        // Heights 4, 3 and 2 end at 64 GiB, 1 GiB and 16 MiB; the others are kept out of the caller's loop.
        return find_at<4, 3, 2>(root, index, find_other);
    }

private:
    [[gnu::noinline]] static Slot<Machine>* find_other(TreeRoot root, PageIndex index) noexcept {
        const auto nothing = [](TreeRoot, PageIndex) -> Slot<Machine>* { return nullptr; };
        return find_at<5, 6, 7, 1, 8, 9, 10, 11>(root, index, nothing);
    }

    template <unsigned height, unsigned... others, class Otherwise>
    [[gnu::always_inline]] static Slot<Machine>* find_at(TreeRoot root, PageIndex index, Otherwise otherwise) noexcept {
        if (root.has_height(height)) [[likely]] {
            return tree_covers(height, index) ? start<height>(root.template start_at<height>(), index) : nullptr;
        }
        if constexpr (sizeof...(others) > 0) {
            return find_at<others...>(root, index, otherwise);
        } else {
            return otherwise(root, index);
        }
    }

    template <unsigned height>
    [[gnu::always_inline]] static Slot<Machine>* start(void* from, PageIndex index) noexcept {
        if constexpr (height < tree_directory_height) {
            return descend<height>(from, index);
        } else {
            // The height covers the index: no mask is needed.
            void* const node = static_cast<Directory*>(from)->links[index >> tree_shift(height - 1)].walk();
            return node == nullptr ? nullptr : descend<height - 2>(node, index);
        }
    }

    template <unsigned height>
    [[gnu::always_inline]] static Slot<Machine>* descend(void* node, PageIndex index) noexcept {
        if constexpr (height == 1) {
            return &leaf(node).slots[tree_position(index, 1)];
        } else {
            void* const child = interior(node).links[tree_position(index, height)].walk();
            return child == nullptr ? nullptr : descend<height - 1>(child, index);
        }
    }
};

}  // namespace page_map_lab
