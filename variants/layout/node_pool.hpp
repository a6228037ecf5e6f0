// Tree nodes in slabs: nodes are tight blocks, what is known about each lies beside them, and so a slot shares its
// cache line with slots only.
//
//     | slab: free map, neighbours | header 0, header 1, ... | node 0 | node 1 | ...
//
// A slab is aligned to its size, so that a node finds its header without being told.
//
// Thread safety: allocate, release and free_all by any threads; a header belongs to whoever owns its node.
// Progress: allocate and release block while another thread is in them.
// Cost: a slab of 32 KiB holds about sixty nodes of 512 bytes; a node in a size class of its own with its header would
// take 640 bytes. Under sanitizers each node is an allocation of its own, so that they see its life.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "impl/core/check.hpp"
#include "impl/page_map/map_lock.hpp"
#include "impl/platform/node_arena.hpp"

namespace page_map_lab {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool nodes_one_by_one = true;
#else
inline constexpr bool nodes_one_by_one = false;
#endif

/// Blocks of `node_bytes` (a power of two, also their alignment), each with a `Header` that starts value-initialised.
template <class Machine, std::size_t node_bytes, class Header>
class NodePool {
public:
    explicit NodePool(NodeArena& arena) noexcept : arena_(arena) {}
    /// Every node has been released. What is still there goes back to the arena with the pool.
    ~NodePool() {
        while (slabs_ != nullptr) {
            give_back(slabs_);
        }
    }
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;

    /// Memory for one node, its content undefined, or nullptr where the arena has none.
    void* allocate() noexcept {
        Guard guard(lock_);
        if (open_ == nullptr && !add_slab()) {
            return nullptr;
        }
        Slab& slab = *open_;
        const int first = first_position();
        const int position = (std::countr_zero(std::rotr(slab.free, first)) + first) % 64;
        slab.free &= ~(std::uint64_t{1} << position);
        if (slab.free == 0) {
            unlink(open_, slab, &Slab::open);
        }
        new (&slab.entries[position]) Entry{};
        Machine::begin_life(slab.nodes[position].bytes, node_bytes);
        return slab.nodes[position].bytes;
    }

    void release(void* node) noexcept {
        Guard guard(lock_);
        Slab& slab = slab_of(node);
        const std::uint64_t bit = std::uint64_t{1} << position_in(slab, node);
        check((slab.free & bit) == 0, "a node is released once");
        Machine::end_life(node, node_bytes);
        if (slab.free == 0) {
            link(open_, slab, &Slab::open);
        }
        slab.free |= bit;
        if (slab.free == all_free && (nodes_one_by_one || slab.open.next != nullptr || open_ != &slab)) {
            // The last open slab stays for the next node; any other goes back.
            unlink(open_, slab, &Slab::open);
            give_back(&slab);
        }
    }

    static Header& header(const void* node) noexcept {
        Slab& slab = slab_of(node);
        return slab.entries[position_in(slab, node)].header;
    }

    /// Bytes taken from the arena.
    std::size_t memory_bytes() const noexcept { return slab_count_ * slab_bytes; }

    /// Nodes that are unlinked and wait for a grace period; freed by free_all, once and after it.
    class [[nodiscard]] Retired {
    public:
        explicit Retired(NodePool& pool) noexcept : pool_(&pool) {}
        Retired(Retired&& other) noexcept
            : pool_(other.pool_),
              first_(std::exchange(other.first_, nullptr)),
              count_(std::exchange(other.count_, 0)) {}
        Retired& operator=(Retired&&) = delete;
        ~Retired() { check(first_ == nullptr, "retired nodes are freed before they are forgotten"); }

        std::size_t size() const noexcept { return count_; }
        bool empty() const noexcept { return count_ == 0; }

        /// Takes a node that no link leads to any more. Readers may still be on it: only its header is touched.
        void add(void* node) noexcept {
            entry_of(node).next_retired = std::exchange(first_, node);
            ++count_;
        }

        void free_all() noexcept {
            while (first_ != nullptr) {
                void* const node = std::exchange(first_, entry_of(first_).next_retired);
                pool_->release(node);
            }
            count_ = 0;
        }

    private:
        NodePool* pool_;
        void* first_ = nullptr;
        std::size_t count_ = 0;
    };

private:
    struct Entry {
        Header header{};
        void* next_retired = nullptr;
    };
    struct alignas(node_bytes) Node {
        std::byte bytes[node_bytes];
    };
    struct Slab;
    struct Neighbours {
        Slab* previous = nullptr;
        Slab* next = nullptr;
    };
    struct SlabHead {
        std::uint64_t free;  ///< a bit per node
        Neighbours open;     ///< among the slabs that have a free node
        Neighbours all;
    };

    static constexpr std::size_t bytes_before_nodes(std::size_t count) {
        const std::size_t bytes = sizeof(SlabHead) + count * sizeof(Entry);
        return (bytes + node_bytes - 1) / node_bytes * node_bytes;
    }
    static constexpr std::size_t wanted_slab_bytes = 64 * node_bytes;
    static constexpr std::size_t nodes_per_slab = [] {
        std::size_t count = 1;
        while (!nodes_one_by_one && count < 64 &&
               bytes_before_nodes(count + 1) + (count + 1) * node_bytes <= wanted_slab_bytes) {
            ++count;
        }
        return count;
    }();
    static constexpr std::size_t slab_bytes =
        std::bit_ceil(bytes_before_nodes(nodes_per_slab) + nodes_per_slab * node_bytes);
    static constexpr std::uint64_t all_free = ~std::uint64_t{0} >> (64 - nodes_per_slab);

    struct Slab : SlabHead {
        Entry entries[nodes_per_slab];
        Node nodes[nodes_per_slab];
    };
    static_assert(sizeof(Slab) <= slab_bytes);

    struct Guard {
        explicit Guard(MapLock<Machine>& taken) noexcept : lock(taken) { lock.lock(); }
        ~Guard() { lock.unlock(); }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        MapLock<Machine>& lock;
    };

    /// Where in a slab the search for a free node begins, around its end: the arena's displacement, in nodes.
    int first_position() const noexcept {
        return static_cast<int>(arena_.displacement_lines() * cache_line_size / node_bytes % nodes_per_slab);
    }

    static Slab& slab_of(const void* node) noexcept {
        return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(node) & ~std::uintptr_t{slab_bytes - 1});
    }
    static std::size_t position_in(const Slab& slab, const void* node) noexcept {
        return static_cast<std::size_t>(static_cast<const Node*>(node) - slab.nodes);
    }
    static Entry& entry_of(const void* node) noexcept {
        Slab& slab = slab_of(node);
        return slab.entries[position_in(slab, node)];
    }

    static void link(Slab*& first, Slab& slab, Neighbours SlabHead::* list) noexcept {
        slab.*list = Neighbours{nullptr, first};
        if (first != nullptr) {
            (first->*list).previous = &slab;
        }
        first = &slab;
    }
    static void unlink(Slab*& first, Slab& slab, Neighbours SlabHead::* list) noexcept {
        const Neighbours neighbours = slab.*list;
        (neighbours.previous != nullptr ? (neighbours.previous->*list).next : first) = neighbours.next;
        if (neighbours.next != nullptr) {
            (neighbours.next->*list).previous = neighbours.previous;
        }
    }

    bool add_slab() noexcept {
        void* const memory = arena_.allocate(slab_bytes, slab_bytes);
        if (memory == nullptr) {
            return false;
        }
        // Only the head is written: nodes and headers are when they are handed out.
        Slab* const slab = static_cast<Slab*>(memory);
        new (static_cast<SlabHead*>(slab)) SlabHead{all_free, {}, {}};
        link(open_, *slab, &Slab::open);
        link(slabs_, *slab, &Slab::all);
        ++slab_count_;
        return true;
    }
    void give_back(Slab* slab) noexcept {
        unlink(slabs_, *slab, &Slab::all);
        --slab_count_;
        arena_.release(slab, slab_bytes, slab_bytes);
    }

    NodeArena& arena_;
    MapLock<Machine> lock_;
    Slab* open_ = nullptr;
    Slab* slabs_ = nullptr;
    std::size_t slab_count_ = 0;
};

}  // namespace page_map_lab
