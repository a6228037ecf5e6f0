// Where a tree's nodes and directories come from, and where they wait for their grace period.
//
// Thread safety: allocation and freeing by any threads; a Supply and a Retired belong to one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>

#include "impl/core/check.hpp"
#include "impl/core/page_index.hpp"
#include "impl/platform/node_arena.hpp"
#include "variants/layout/node_pool.hpp"
#include "variants/layout/tree_walk.hpp"

namespace page_map_lab {

template <class ReadPath, class Header>
class TreeMemory {
public:
    using Shape = TreeShape<ReadPath>;
    using Directory = typename Shape::Directory;
    using Pool = NodePool<typename ReadPath::Machine, tree_node_bytes, Header>;

    /// What is unlinked and waits for a grace period; freed by free_all, once and after it.
    class [[nodiscard]] Retired {
    public:
        explicit Retired(TreeMemory& memory) noexcept
            : memory_(&memory), leaves_(memory.leaves_), interiors_(memory.interiors_) {}
        Retired(Retired&& other) noexcept
            : memory_(other.memory_),
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
                memory_->free_directory(directory);
            }
            directory_count_ = 0;
        }

    private:
        TreeMemory* memory_;
        typename Pool::Retired leaves_;
        typename Pool::Retired interiors_;
        Directory* directories_ = nullptr;
        std::size_t directory_count_ = 0;
    };

    /// One leaf and what else is wanted, taken before anything is changed, so that running out of memory changes
    /// nothing.
    class Supply {
    public:
        Supply(TreeMemory& memory, unsigned interiors_wanted, bool directory_wanted) noexcept
            : memory_(memory),
              leaf_(memory.leaves_.allocate()),
              directory_(directory_wanted ? memory.allocate_directory() : nullptr) {
            while (leaf_ != nullptr && count_ < interiors_wanted) {
                void* const node = memory_.interiors_.allocate();
                if (node == nullptr) {
                    break;
                }
                interiors_[count_++] = node;
            }
            complete_ = leaf_ != nullptr && count_ == interiors_wanted && directory_wanted == (directory_ != nullptr);
        }
        ~Supply() {
            if (leaf_ != nullptr) {
                memory_.leaves_.release(leaf_);
            }
            if (directory_ != nullptr) {
                memory_.free_directory(directory_);
            }
            while (count_ > 0) {
                memory_.interiors_.release(interiors_[--count_]);
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
        TreeMemory& memory_;
        void* leaf_;
        Directory* directory_;
        std::array<void*, 2 * tree_max_height> interiors_{};
        unsigned count_ = 0;
        bool complete_ = false;
    };

    explicit TreeMemory(NodeArena& arena) noexcept : arena_(arena), leaves_(arena), interiors_(arena) {}

    static Header& header(const void* node) noexcept { return Pool::header(node); }

    void free_node(void* node, unsigned height) noexcept { (height == 1 ? leaves_ : interiors_).release(node); }

    /// An empty directory, or nullptr where there is no memory for it.
    Directory* allocate_directory() noexcept {
        void* const memory = arena_.allocate(sizeof(Directory), alignof(Directory));
        if (memory == nullptr) {
            return nullptr;
        }
        ReadPath::Machine::begin_life(memory, sizeof(Directory));
        return new (memory) Directory;
    }
    void free_directory(Directory* directory) noexcept {
        ReadPath::Machine::end_life(directory, sizeof(Directory));
        arena_.release(directory, sizeof(Directory), alignof(Directory));
    }

    /// Bytes taken for nodes, what is not handed out included.
    std::size_t node_bytes() const noexcept { return leaves_.memory_bytes() + interiors_.memory_bytes(); }

private:
    NodeArena& arena_;
    // Two pools, so that the interior nodes, which every walk reads, lie close together in few pages; away from the
    // cache line of the tree's root word, because handing out nodes writes to them.
    alignas(cache_line_size) Pool leaves_;
    Pool interiors_;
};

}  // namespace page_map_lab
