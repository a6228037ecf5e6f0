// A 64-way tree that grows in height, over nodes whose headers lie beside them.
//
// A `Header` gives `present` (a bit per used slot or link), `made(height)`, `linked(node, header, position)` on the
// child that is linked into a node, and `shrinks`: whether the height comes down again while something is in the tree.
//
// Thread safety: find_slot in a section or under the map's lock; everything else under the lock; what take_retired gave
// is freed by any thread. Progress: find_slot is wait-free.
//
// Invariants:
//   1. What a lock-free reader can reach is complete: a new path, and a new top, is built aside and published by one
//      store.
//   2. A node is unlinked before it is retired, and its own links stay as they are: a reader on it goes on unharmed.
//   3. Slots live in leaves only, and a leaf never moves: a slot's address is stable (invariant 5).
//   4. `present` of a node that is in the tree is never zero.
//   5. A directory's link is what the links of the two top levels lead to. Readers that have the root word of an
//      earlier height walk its directory, which no longer follows: they see the tree as it was when they loaded the
//      word.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "impl/core/error.hpp"
#include "variants/layout/tree_memory.hpp"
#include "variants/layout/tree_walk.hpp"

namespace page_map_lab {

template <class ReadPath, class Header>
class Tree {
public:
    using Machine = typename ReadPath::Machine;
    using Shape = TreeShape<ReadPath>;
    using Directory = typename Shape::Directory;
    using Memory = TreeMemory<ReadPath, Header>;
    using Supply = typename Memory::Supply;
    using Retired = typename Memory::Retired;

    static constexpr bool stable_under_readers = true;

    Tree(NodeArena& arena, std::uint64_t pages)
        : capacity_(pages), memory_(arena), retired_(memory_) {}
    ~Tree() {
        retired_.free_all();
        if (directory_ != nullptr) {
            memory_.free_directory(directory_);
        }
        if (top_ != nullptr) {
            release_subtree(top_, height_);
        }
    }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    [[gnu::always_inline]] Slot<Machine>* find_slot(PageIndex index) const noexcept {
        return Shape::find_slot(root_, index);
    }

    Result<Slot<Machine>*> claim(PageIndex index) {
        if (index >= capacity_) {
            return fail(ErrorCode::past_end, "page " + std::to_string(index) + " lies past the map's " +
                                                 std::to_string(capacity_) + " pages: make the map larger");
        }
        void* const leaf = tree_covers(height_, index) ? extend(index) : grow(index);
        if (leaf == nullptr) {
            return fail(ErrorCode::no_memory, "no memory for a tree node: raise the arena's budget");
        }
        const unsigned position = tree_position(index, 1);
        header(leaf).present |= bit(position);
        return &Shape::leaf(leaf).slots[position];
    }

    void release(PageIndex index) noexcept {
        void* const leaf = leaf_of(index);
        check(leaf != nullptr, "a released slot was claimed");
        if (!clear_present(leaf, tree_position(index, 1))) {
            unlink_empty(index);
            if constexpr (Header::shrinks) {
                shrink();
            }
        }
    }

    template <class Visit>
    void for_each(PageRange range, Visit&& visit) const {
        visit_bits(range, [](const Header& own) { return own.present; }, visit);
    }

    std::size_t retired() const noexcept { return retired_.size(); }
    Retired take_retired() noexcept { return std::move(retired_); }
    std::uint64_t capacity() const noexcept { return capacity_; }

    /// The tree's height: 0 when empty, 1 for a lone leaf.
    unsigned height() const noexcept { return height_; }
    /// Bytes of node memory, what is not handed out included.
    std::size_t memory_bytes() const noexcept {
        return memory_.node_bytes() + (directory_ != nullptr ? sizeof(Directory) : 0);
    }

protected:
    static constexpr std::uint64_t bit(unsigned position) noexcept { return std::uint64_t{1} << position; }
    static Header& header(const void* node) noexcept { return Memory::header(node); }

    void* top() const noexcept { return top_; }

    /// The leaf where `index` lies, or nullptr. Under the map's lock.
    void* leaf_of(PageIndex index) const noexcept {
        void* node = tree_covers(height_, index) ? top_ : nullptr;
        for (unsigned height = height_; node != nullptr && height > 1; --height) {
            node = child_of(node, tree_position(index, height));
        }
        return node;
    }

    /// Visits the slots of the range whose bit is set in `bits_of(header)`, at every level, in ascending order. Bits
    /// are read anew after each visit, so that a visit may clear those of its own slot.
    template <class BitsOf, class Visit>
    void visit_bits(PageRange range, BitsOf bits_of, Visit& visit) const {
        if (range.empty() || top_ == nullptr) {
            return;
        }
        const PageIndex last = range.wraps() ? ~PageIndex{0} : range.end() - 1;
        visit_node(top_, height_, 0, range.first, last, bits_of, visit);
    }

private:
    /// Clears one bit of a node's `present`; returns whether others are left.
    static bool clear_present(void* node, unsigned position) noexcept {
        Header& own = header(node);
        check((own.present & bit(position)) != 0, "a released slot was claimed");
        own.present &= ~bit(position);
        return own.present != 0;
    }

    /// Unlinks and retires the leaf of `index`, of which nothing is used any more, and every node above it that only led
    /// there.
    void unlink_empty(PageIndex index) noexcept {
        std::array<void*, tree_max_height + 1> path{};
        path[height_] = top_;
        for (unsigned height = height_; height > 1; --height) {
            path[height - 1] = child_of(path[height], tree_position(index, height));
        }
        for (unsigned height = 1; height < height_; ++height) {
            void* const above = path[height + 1];
            const unsigned position = tree_position(index, height + 1);
            Shape::interior(above).links[position].publish(nullptr);
            update_directory(index, height + 1);
            retired_.add(path[height], height);
            if (clear_present(above, position)) {
                return;
            }
        }
        const unsigned height = height_;
        set_root(nullptr, 0, nullptr);
        retired_.add(path[height], height);
    }

    static void* child_of(void* node, unsigned position) noexcept {
        return Shape::interior(node).links[position].peek();
    }

    template <class Visit>
    static void for_each_child(void* node, Visit visit) noexcept {
        for (std::uint64_t left = header(node).present; left != 0; left &= left - 1) {
            const auto position = static_cast<unsigned>(std::countr_zero(left));
            visit(position, child_of(node, position));
        }
    }

    static void link(void* node, unsigned position, void* child) noexcept {
        Header& own = header(node);
        header(child).linked(node, own, position);
        own.present |= bit(position);
        Shape::interior(node).links[position].publish(child);
    }

    /// A path of new nodes from `height` down to the leaf of `index`.
    struct Path {
        void* top;
        void* leaf;
    };
    static Path make_path(Supply& supply, unsigned height, PageIndex index) noexcept {
        void* const leaf = supply.take_leaf();
        void* top = leaf;
        for (unsigned level = 2; level <= height; ++level) {
            void* const above = supply.take_interior(level);
            link(above, tree_position(index, level), top);
            top = above;
        }
        return {top, leaf};
    }

    /// Enters what lies two levels below `top` into a new directory.
    static void fill_directory(Directory& directory, void* top) noexcept {
        for_each_child(top, [&](unsigned upper, void* node) {
            for_each_child(node, [&](unsigned lower, void* child) {
                directory.links[upper * tree_fanout + lower].publish(child);
            });
        });
    }

    /// After a link of a node of `height` on the way to `index` has changed: readers see what is there now.
    void update_directory(PageIndex index, unsigned height) noexcept {
        if (directory_ != nullptr && height + 1 >= height_) {
            void* const node = child_of(top_, tree_position(index, height_));
            directory_->links[index >> tree_shift(height_ - 1)].publish(
                node == nullptr ? nullptr : child_of(node, tree_position(index, height_ - 1)));
        }
    }

    /// Height and start of every walk change by one store; the old directory is retired.
    void set_root(void* top, unsigned height, Directory* directory) noexcept {
        top_ = top;
        height_ = height;
        Directory* const before = std::exchange(directory_, directory);
        root_.publish(top == nullptr ? TreeRoot{}.bits()
                                     : TreeRoot{directory != nullptr ? directory : top, height}.bits());
        if (before != nullptr) {
            retired_.add(before);
        }
    }

    /// Makes what is missing between the tree and the leaf of `index`, which its height covers.
    void* extend(PageIndex index) noexcept {
        void* node = top_;
        for (unsigned height = height_; height > 1; --height) {
            const unsigned position = tree_position(index, height);
            void* const child = child_of(node, position);
            if (child == nullptr) {
                Supply supply(memory_, height - 2, false);
                if (!supply.complete()) {
                    return nullptr;
                }
                const Path path = make_path(supply, height - 1, index);
                link(node, position, path.top);
                update_directory(index, height);
                return path.leaf;
            }
            node = child;
        }
        return node;
    }

    /// Makes the tree high enough for `index`, and its leaf.
    void* grow(PageIndex index) noexcept {
        unsigned height = height_ + 1;
        while (!tree_covers(height, index)) {
            ++height;
        }
        // An empty tree needs the path, its top included; another one the path below the new top, and the new tops.
        const unsigned interiors = height_ == 0 ? height - 1 : height - height_ + height - 2;
        Supply supply(memory_, interiors, height >= tree_directory_height);
        if (!supply.complete()) {
            return nullptr;
        }
        void* top = top_;
        Path path{};
        if (top == nullptr) {
            path = make_path(supply, height, index);
            top = path.top;
        } else {
            path = make_path(supply, height - 1, index);
            for (unsigned level = height_ + 1; level <= height; ++level) {
                void* const above = supply.take_interior(level);
                link(above, 0, top);
                top = above;
            }
            // The height is the least that covers the index, so that its place in the new top is not the first.
            link(top, tree_position(index, height), path.top);
        }
        Directory* const directory = supply.take_directory();
        if (directory != nullptr) {
            fill_directory(*directory, top);
        }
        set_root(top, height, directory);
        return path.leaf;
    }

    /// Takes away tops under which only the first link is used. Readers that have the old root word walk on through
    /// them.
    void shrink() noexcept {
        void* top = top_;
        unsigned height = height_;
        for (; height > 1 && header(top).present == bit(0); --height) {
            top = child_of(top, 0);
        }
        if (height == height_) {
            return;
        }
        Directory* directory = nullptr;
        if (height >= tree_directory_height) {
            directory = memory_.allocate_directory();
            if (directory == nullptr) {
                return;  // as high as it was, the tree is still right
            }
            fill_directory(*directory, top);
        }
        void* node = top_;
        unsigned node_height = height_;
        set_root(top, height, directory);
        header(top).unlinked();
        for (; node != top; --node_height) {
            void* const below = child_of(node, 0);
            retired_.add(node, node_height);
            node = below;
        }
    }

    void release_subtree(void* node, unsigned height) noexcept {
        if (height > 1) {
            for_each_child(node, [&](unsigned, void* child) { release_subtree(child, height - 1); });
        }
        memory_.free_node(node, height);
    }

    template <class BitsOf, class Visit>
    static bool visit_node(void* node, unsigned height, PageIndex base, PageIndex first, PageIndex last, BitsOf bits_of,
                           Visit& visit) {
        const unsigned shift = tree_shift(height);
        const PageIndex from = first > base ? (first - base) >> shift : 0;
        const PageIndex to = (last - base) >> shift;
        for (PageIndex position = from; position <= to && position < tree_fanout; ++position) {
            const std::uint64_t left = bits_of(header(node)) >> position;
            if (left == 0) {
                return true;
            }
            position += static_cast<unsigned>(std::countr_zero(left));
            if (position > to) {
                return true;
            }
            const PageIndex here = base + (position << shift);
            const bool goes_on = height == 1 ? visit(here, Shape::leaf(node).slots[position])
                                             : visit_node(child_of(node, static_cast<unsigned>(position)), height - 1,
                                                          here, first, last, bits_of, visit);
            if (!goes_on) {
                return false;
            }
        }
        return true;
    }

    // Readers load the root word; what lies beside it changes only with it. The rest is the writers', under the map's
    // lock.
    typename Shape::RootLink root_;
    std::uint64_t capacity_;
    void* top_ = nullptr;
    Directory* directory_ = nullptr;
    unsigned height_ = 0;
    Memory memory_;
    Retired retired_;
};

}  // namespace page_map_lab
