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
//   5. A directory's link is what the links of the two top levels lead to. Readers that have the root word of an earlier
//      height walk its directory, which no longer follows: they see the tree as it was when they loaded the word.
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
    using Directory = typename Shape::Directory;
    using Pool = NodePool<Machine, tree_node_bytes, Header>;

    /// What is unlinked and waits for a grace period; freed by free_all, once and after it.
    class [[nodiscard]] Retired {
    public:
        explicit Retired(Tree& tree) noexcept
            : arena_(&tree.arena_), leaves_(tree.leaves_), interiors_(tree.interiors_) {}
        Retired(Retired&& other) noexcept
            : arena_(other.arena_),
              leaves_(std::move(other.leaves_)),
              interiors_(std::move(other.interiors_)),
              directories_(std::exchange(other.directories_, nullptr)),
              directory_count_(std::exchange(other.directory_count_, 0)) {}
        Retired& operator=(Retired&&) = delete;
        ~Retired() { check(directories_ == nullptr, "retired nodes are freed before they are forgotten"); }

        std::size_t size() const noexcept { return leaves_.size() + interiors_.size() + directory_count_; }

        void add(void* node, unsigned height) noexcept { (height == 1 ? leaves_ : interiors_).add(node); }
        void add(Directory* directory) noexcept {
            directory->next_retired = std::exchange(directories_, directory);
            ++directory_count_;
        }

        void free_all() noexcept {
            leaves_.free_all();
            interiors_.free_all();
            while (directories_ != nullptr) {
                Directory* const directory = std::exchange(directories_, directories_->next_retired);
                free_directory(*arena_, directory);
            }
            directory_count_ = 0;
        }

    private:
        NodeArena* arena_;
        typename Pool::Retired leaves_;
        typename Pool::Retired interiors_;
        Directory* directories_ = nullptr;
        std::size_t directory_count_ = 0;
    };

    static constexpr bool stable_under_readers = true;

    Tree(NodeArena& arena, std::uint64_t pages)
        : capacity_(pages), arena_(arena), leaves_(arena), interiors_(arena), retired_(*this) {}
    ~Tree() {
        retired_.free_all();
        if (directory_ != nullptr) {
            free_directory(arena_, directory_);
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
        check(tree_covers(height_, index), "a released slot was claimed");
        std::array<void*, tree_max_height + 1> path{};
        path[height_] = top_;
        for (unsigned height = height_; height > 1; --height) {
            path[height - 1] = child_of(path[height], tree_position(index, height));
            check(path[height - 1] != nullptr, "a released slot was claimed");
        }
        unsigned height = 1;
        for (;; ++height) {
            Header& own = header(path[height]);
            const unsigned position = tree_position(index, height);
            check((own.present & bit(position)) != 0, "a released slot was claimed");
            if (height > 1) {
                Shape::interior(path[height]).links[position].publish(nullptr);
                update_directory(index, height);
                retired_.add(path[height - 1], height - 1);
            }
            own.present &= ~bit(position);
            if (own.present != 0) {
                break;
            }
            if (height == height_) {
                void* const top = top_;
                set_root(nullptr, 0, nullptr);
                retired_.add(top, height);
                return;
            }
        }
        if constexpr (Header::shrinks) {
            shrink();
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
    std::size_t memory_bytes() const noexcept { return leaves_.memory_bytes() + interiors_.memory_bytes() + (directory_ != nullptr ? sizeof(Directory) : 0); }

protected:
    static constexpr std::uint64_t bit(unsigned position) noexcept { return std::uint64_t{1} << position; }
    static Header& header(const void* node) noexcept { return Pool::header(node); }

    void* top() const noexcept { return top_; }

    /// The leaf where `index` lies, or nullptr. Under the map's lock.
    void* leaf_of(PageIndex index) const noexcept {
        void* node = tree_covers(height_, index) ? top_ : nullptr;
        for (unsigned height = height_; node != nullptr && height > 1; --height) {
            node = child_of(node, tree_position(index, height));
        }
        return node;
    }

    /// Visits the slots of the range whose bit is set in `bits_of(header)`, at every level, in ascending order. Bits are
    /// read anew after each visit, so that a visit may clear those of its own slot.
    template <class BitsOf, class Visit>
    void visit_bits(PageRange range, BitsOf bits_of, Visit& visit) const {
        if (range.empty() || top_ == nullptr) {
            return;
        }
        const PageIndex last = range.wraps() ? ~PageIndex{0} : range.end() - 1;
        visit_node(top_, height_, 0, range.first, last, bits_of, visit);
    }

private:
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

    /// One leaf and what else is wanted, taken before anything is changed, so that running out of memory changes nothing.
    class Supply {
    public:
        Supply(Tree& tree, unsigned interiors_wanted, bool directory_wanted) noexcept
            : tree_(tree),
              leaf_(tree.leaves_.allocate()),
              directory_(directory_wanted ? allocate_directory(tree.arena_) : nullptr) {
            while (leaf_ != nullptr && count_ < interiors_wanted) {
                void* const node = tree_.interiors_.allocate();
                if (node == nullptr) {
                    break;
                }
                interiors_[count_++] = node;
            }
            complete_ = leaf_ != nullptr && count_ == interiors_wanted && directory_wanted == (directory_ != nullptr);
        }
        ~Supply() {
            if (leaf_ != nullptr) {
                tree_.leaves_.release(leaf_);
            }
            if (directory_ != nullptr) {
                free_directory(tree_.arena_, directory_);
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

        /// nullptr where none was wanted.
        Directory* take_directory() noexcept { return std::exchange(directory_, nullptr); }

    private:
        Tree& tree_;
        void* leaf_;
        Directory* directory_;
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

    static Directory* allocate_directory(NodeArena& arena) noexcept {
        void* const memory = arena.allocate(sizeof(Directory), alignof(Directory));
        return memory == nullptr ? nullptr : new (memory) Directory;
    }
    static void free_directory(NodeArena& arena, Directory* directory) noexcept {
        arena.release(directory, sizeof(Directory), alignof(Directory));
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
                Supply supply(*this, height - 2, false);
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
        Supply supply(*this, interiors, height >= tree_directory_height);
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

    /// Takes away tops under which only the first link is used. Readers that have the old root word walk on through them.
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
            directory = allocate_directory(arena_);
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

    typename Shape::RootLink root_;  ///< what readers start from; the rest is the writers', under the map's lock
    std::uint64_t capacity_;
    NodeArena& arena_;
    void* top_ = nullptr;
    unsigned height_ = 0;
    Directory* directory_ = nullptr;
    // Apart, so that the interior nodes, which every walk reads, lie close together in few pages.
    Pool leaves_;
    Pool interiors_;
    Retired retired_;
};

}  // namespace page_map_lab
