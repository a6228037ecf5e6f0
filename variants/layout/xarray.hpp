// The xarray: a 64-way tree whose nodes know their place and carry marks, which propagate to the root; it shrinks
// again.
//
// What a node knows (its place, its marks, which entries are present) lies in its header, beside the node: readers that
// walk never touch it, and a slot's cache line holds slots only.
//
// Thread safety, progress: see tree.hpp; marks under the map's lock.
//
// Invariants, beyond those of tree.hpp:
//   5. A node's mark is set at a position exactly if that slot, or something below that link, is marked.
//   6. The top node has more than its first link in use, or is a leaf.
//
// Cost: 9.2 bytes a page in a dense map of 256 Ki pages, the directory's 40 KiB included, and 8.8 where those are spread
// over many more (59 nodes to a slab of 32 KiB); finding the next present or marked page is one bit scan a level.
// Literature: Matthew Wilcox, "The XArray data structure", linux.conf.au 2018.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "impl/page_map/concepts.hpp"
#include "variants/layout/tree.hpp"

namespace page_map_lab {

struct XArrayHeader {
    static constexpr bool shrinks = true;
    static constexpr std::size_t mark_count = static_cast<std::size_t>(Mark::count);

    std::uint64_t present = 0;
    std::array<std::uint64_t, mark_count> marks{};
    void* parent = nullptr;
    std::uint8_t shift = 0;   ///< how far an index is shifted to give a position in this node
    std::uint8_t offset = 0;  ///< this node's position in its parent

    unsigned count() const noexcept { return static_cast<unsigned>(std::popcount(present)); }

    void made(unsigned height) noexcept { shift = static_cast<std::uint8_t>(tree_shift(height)); }

    void linked(void* node, XArrayHeader& own, unsigned position) noexcept {
        parent = node;
        offset = static_cast<std::uint8_t>(position);
        for (std::size_t mark = 0; mark < mark_count; ++mark) {
            own.marks[mark] |= static_cast<std::uint64_t>(marks[mark] != 0) << position;
        }
    }

    void unlinked() noexcept { parent = nullptr; }
};

template <class ReadPath>
class MarkedTree : public Tree<ReadPath, XArrayHeader> {
    using Base = Tree<ReadPath, XArrayHeader>;
    using Base::bit;
    using Base::header;

public:
    using typename Base::Machine;
    using Base::Base;

    void release(PageIndex index) noexcept {
        for (std::size_t mark = 0; mark < XArrayHeader::mark_count; ++mark) {
            clear_mark(index, static_cast<Mark>(mark));
        }
        Base::release(index);
    }

    /// Marks a claimed slot; no more than one step a level, and none above a node that was marked already.
    void set_mark(PageIndex index, Mark mark) noexcept {
        void* node = claimed_leaf(index);
        check(node != nullptr, "only a claimed slot is marked");
        for (unsigned position = tree_position(index, 1); node != nullptr;) {
            XArrayHeader& own = header(node);
            const std::uint64_t before = marks_of(own, mark);
            marks_of(own, mark) = before | bit(position);
            if (before != 0) {
                return;
            }
            position = own.offset;
            node = own.parent;
        }
    }

    /// Clears the mark of a slot, and of every node above that has no other.
    void clear_mark(PageIndex index, Mark mark) noexcept {
        void* node = claimed_leaf(index);
        for (unsigned position = tree_position(index, 1); node != nullptr;) {
            XArrayHeader& own = header(node);
            const std::uint64_t before = marks_of(own, mark);
            marks_of(own, mark) = before & ~bit(position);
            if (before == 0 || marks_of(own, mark) != 0) {
                return;
            }
            position = own.offset;
            node = own.parent;
        }
    }

    bool has_mark(PageIndex index, Mark mark) const noexcept {
        void* const leaf = claimed_leaf(index);
        return leaf != nullptr && (marks_of(header(leaf), mark) & bit(tree_position(index, 1))) != 0;
    }

    /// Whether any slot is marked: what has reached the top.
    bool any_marked(Mark mark) const noexcept {
        const void* const top = Base::top();
        return top != nullptr && marks_of(header(top), mark) != 0;
    }

    /// As for_each, for marked slots only. `visit` may set and clear marks of the slot it is given.
    template <class Visit>
    void for_each_marked(PageRange range, Mark mark, Visit&& visit) const {
        Base::visit_bits(range, [mark](const XArrayHeader& own) { return marks_of(own, mark); }, visit);
    }

    /// The first claimed index at or after `index`.
    std::optional<PageIndex> next_present(PageIndex index) const {
        std::optional<PageIndex> found;
        Base::for_each(PageRange{index, ~index}, first_into(found));
        return found;
    }

    /// The first marked index at or after `index`.
    std::optional<PageIndex> next_marked(PageIndex index, Mark mark) const {
        std::optional<PageIndex> found;
        for_each_marked(PageRange{index, ~index}, mark, first_into(found));
        return found;
    }

private:
    static std::uint64_t& marks_of(XArrayHeader& own, Mark mark) noexcept {
        return own.marks[static_cast<std::size_t>(mark)];
    }
    static const std::uint64_t& marks_of(const XArrayHeader& own, Mark mark) noexcept {
        return own.marks[static_cast<std::size_t>(mark)];
    }

    static auto first_into(std::optional<PageIndex>& found) noexcept {
        return [&found](PageIndex index, Slot<Machine>&) {
            found = index;
            return false;
        };
    }

    void* claimed_leaf(PageIndex index) const noexcept {
        void* const leaf = Base::leaf_of(index);
        return leaf != nullptr && (header(leaf).present & bit(tree_position(index, 1))) != 0 ? leaf : nullptr;
    }
};

struct XArray {
    static constexpr std::string_view name = "xarray";
    template <class ReadPath>
    using With = MarkedTree<ReadPath>;
};

}  // namespace page_map_lab
