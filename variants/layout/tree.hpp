// A 64-way tree that grows in height, over nodes whose headers lie beside them.
//
// A `Header` gives `present` (a bit per used slot or link), `made(height)`, `linked(node, header, position)` on the child
// that is linked into a node, and `shrinks`: whether the height comes down again while something is in the tree.
//
// Thread safety: find_slot in a section or under the map's lock; everything else under the lock; what take_retired gave is
// freed by any thread. Progress: find_slot is wait-free.
//
// Invariants:
//   1. What a lock-free reader can reach is complete: a new path, and a new top, is built aside and published by one store.
//   2. A node is unlinked before it is retired, and its own links stay as they are: a reader on it goes on unharmed.
//   3. Slots live in leaves only, and a leaf never moves: a slot's address is stable (SEMANTICS invariant 5).
//   4. `present` of a node that is in the tree is never zero.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "impl/core/error.hpp"
#include "variants/layout/node_pool.hpp"
#include "variants/layout/tree_walk.hpp"

namespace page_map_lab {

template <class ReadPath, class Header>
class Tree {
public:
    using Machine = typename ReadPath::Machine;
    using Shape = TreeShape<ReadPath>;
    using Pool = NodePool<Machine, tree_node_bytes, Header>;

    /// Nodes that are unlinked and wait for a grace period; freed by free_all, once and after it.
    class [[nodiscard]] Retired {
    public:
        Retired(Pool& leaves, Pool& interiors) noexcept : leaves_(leaves), interiors_(interiors) {}

        std::size_t size() const noexcept { return leaves_.size() + interiors_.size(); }
        void add(void* node, unsigned height) noexcept { (height == 1 ? leaves_ : interiors_).add(node); }
        void free_all() noexcept {
            leaves_.free_all();
            interiors_.free_all();
        }

    private:
        typename Pool::Retired leaves_;
        typename Pool::Retired interiors_;
    };

    static constexpr bool stable_under_readers = true;

    Tree(NodeArena& arena, std::uint64_t pages)
        : capacity_(pages), leaves_(arena), interiors_(arena), retired_(leaves_, interiors_) {}
    ~Tree() {
        retired_.free_all();
        const TreeRoot root = peek_root();
        if (root.height() > 0) {
            release_subtree(root.top(), root.height());
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
        const TreeRoot root = peek_root();
        const bool grows = !tree_covers(root.height(), index);
        void* const leaf = grows ? grow(root, index) : extend(root, index);
        if (leaf == nullptr) {
            return fail(ErrorCode::no_memory, "no memory for a tree node: raise the arena's budget");
        }
        const unsigned position = tree_position(index, 1);
        header(leaf).present |= bit(position);
        return &Shape::leaf(leaf).slots[position];
    }

    void release(PageIndex index) noexcept {
        std::array<void*, tree_max_height + 1> path{};
        TreeRoot root = peek_root();
        check(tree_covers(root.height(), index), "a released slot was claimed");
        path[root.height()] = root.top();
        for (unsigned height = root.height(); height > 1; --height) {
            path[height - 1] = child_of(path[height], tree_position(index, height));
            check(path[height - 1] != nullptr, "a released slot was claimed");
        }
        for (unsigned height = 1;; ++height) {
            Header& own = header(path[height]);
            const unsigned position = tree_position(index, height);
            check((own.present & bit(position)) != 0, "a released slot was claimed");
            if (height > 1) {
                Shape::interior(path[height]).links[position].publish(nullptr);
                retired_.add(path[height - 1], height - 1);
            }
            own.present &= ~bit(position);
            if (own.present != 0) {
                break;
            }
            if (height == root.height()) {
                root_.publish(TreeRoot{}.bits());
                retired_.add(root.top(), height);
                return;
            }
        }
        if constexpr (Header::shrinks) {
            shrink(root);
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
    unsigned height() const noexcept { return peek_root().height(); }
    /// Bytes of node memory, what is not handed out included.
    std::size_t memory_bytes() const noexcept { return leaves_.memory_bytes() + interiors_.memory_bytes(); }

protected:
    static constexpr std::uint64_t bit(unsigned position) noexcept { return std::uint64_t{1} << position; }
    static Header& header(const void* node) noexcept { return Pool::header(node); }

    void* top() const noexcept { return peek_root().top(); }

    /// The leaf where `index` lies, or nullptr. Under the map's lock.
    void* leaf_of(PageIndex index) const noexcept {
        const TreeRoot root = peek_root();
        void* node = tree_covers(root.height(), index) ? root.top() : nullptr;
        for (unsigned height = root.height(); node != nullptr && height > 1; --height) {
            node = child_of(node, tree_position(index, height));
        }
        return node;
    }

    /// Visits the slots of the range whose bit is set in `bits_of(header)`, at every level, in ascending order. Bits are
    /// read anew after each visit, so that a visit may clear those of its own slot.
    template <class BitsOf, class Visit>
    void visit_bits(PageRange range, BitsOf bits_of, Visit& visit) const {
        const TreeRoot root = peek_root();
        if (range.empty() || root.height() == 0) {
            return;
        }
        const PageIndex last = range.wraps() ? ~PageIndex{0} : range.end() - 1;
        visit_node(root.top(), root.height(), 0, range.first, last, bits_of, visit);
    }

private:
    TreeRoot peek_root() const noexcept { return TreeRoot{root_.peek()}; }
    static void* child_of(void* node, unsigned position) noexcept {
        return Shape::interior(node).links[position].peek();
    }

    /// One leaf and what interior nodes are wanted, taken before anything is changed, so that running out of memory changes
    /// nothing.
    class Supply {
    public:
        Supply(Tree& tree, unsigned interiors_wanted) noexcept : tree_(tree), leaf_(tree.leaves_.allocate()) {
            while (leaf_ != nullptr && count_ < interiors_wanted) {
                void* const node = tree_.interiors_.allocate();
                if (node == nullptr) {
                    break;
                }
                interiors_[count_++] = node;
            }
            complete_ = leaf_ != nullptr && count_ == interiors_wanted;
        }
        ~Supply() {
            if (leaf_ != nullptr) {
                tree_.leaves_.release(leaf_);
            }
            while (count_ > 0) {
                tree_.interiors_.release(interiors_[--count_]);
            }
        }
        Supply(const Supply&) = delete;
        Supply& operator=(const Supply&) = delete;

        bool complete() const noexcept { return complete_; }

        void* take_leaf() noexcept {
            void* const node = std::exchange(leaf_, nullptr);
            new (node) typename Shape::Leaf;
            header(node).made(1);
            return node;
        }
        void* take_interior(unsigned height) noexcept {
            void* const node = interiors_[--count_];
            new (node) typename Shape::Interior;
            header(node).made(height);
            return node;
        }

    private:
        Tree& tree_;
        void* leaf_;
        std::array<void*, 2 * tree_max_height> interiors_{};
        unsigned count_ = 0;
        bool complete_ = false;
    };

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

    /// Makes what is missing between the tree and the leaf of `index`, which its height covers.
    void* extend(TreeRoot root, PageIndex index) noexcept {
        void* node = root.top();
        for (unsigned height = root.height(); height > 1; --height) {
            const unsigned position = tree_position(index, height);
            void* const child = child_of(node, position);
            if (child == nullptr) {
                Supply supply(*this, height - 2);
                if (!supply.complete()) {
                    return nullptr;
                }
                const Path path = make_path(supply, height - 1, index);
                link(node, position, path.top);
                return path.leaf;
            }
            node = child;
        }
        return node;
    }

    /// Makes the tree high enough for `index`, and its leaf. Height and top node change by one store.
    void* grow(TreeRoot root, PageIndex index) noexcept {
        unsigned height = root.height() + 1;
        while (!tree_covers(height, index)) {
            ++height;
        }
        if (root.height() == 0) {
            Supply supply(*this, height - 1);
            if (!supply.complete()) {
                return nullptr;
            }
            const Path path = make_path(supply, height, index);
            root_.publish(TreeRoot{path.top, height}.bits());
            return path.leaf;
        }
        Supply supply(*this, height - root.height() + height - 2);
        if (!supply.complete()) {
            return nullptr;
        }
        const Path path = make_path(supply, height - 1, index);
        void* top = root.top();
        for (unsigned level = root.height() + 1; level <= height; ++level) {
            void* const above = supply.take_interior(level);
            link(above, 0, top);
            top = above;
        }
        // The height is the least that covers the index, so that its place in the new top is not the first.
        link(top, tree_position(index, height), path.top);
        root_.publish(TreeRoot{top, height}.bits());
        return path.leaf;
    }

    /// Takes away tops under which only the first link is used. Readers that have the old root word walk on through it.
    void shrink(TreeRoot root) noexcept {
        void* top = root.top();
        unsigned height = root.height();
        while (height > 1 && header(top).present == bit(0)) {
            void* const child = child_of(top, 0);
            header(child).unlinked();
            --height;
            root_.publish(TreeRoot{child, height}.bits());
            retired_.add(top, height + 1);
            top = child;
        }
    }

    void release_subtree(void* node, unsigned height) noexcept {
        if (height > 1) {
            for (std::uint64_t left = header(node).present; left != 0; left &= left - 1) {
                release_subtree(child_of(node, static_cast<unsigned>(std::countr_zero(left))), height - 1);
            }
        }
        (height == 1 ? leaves_ : interiors_).release(node);
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

    typename Shape::RootLink root_;
    std::uint64_t capacity_;
    // Apart, so that the interior nodes, which every walk reads, lie close together in few pages.
    Pool leaves_;
    Pool interiors_;
    Retired retired_;
};

}  // namespace page_map_lab
