// Memory for tree nodes and page descriptors: a jemalloc arena of its own, bound to a NUMA node.
//
// Thread safety: all members. Progress: blocking, on a lock of the arena that is held for a few instructions, or for a
// system call when the arena grows. See node_arena.cpp for the binding.
//
// Invariants:
//   1. What `allocate` returns is zeroed, and lies in extents that were bound to the node before anyone touched them.
//   2. Nothing is purged while the arena lives: giving pages back interrupts other processors inside a run.
//   3. Its pages are of the usual size, whatever the system prefers, unless huge ones are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "impl/core/error.hpp"

namespace page_map_lab {

class Topology;

/// An arena whose memory is its own, so that what a page map costs can be told from its statistics.
///
/// Under AddressSanitizer and ThreadSanitizer the supply is malloc, which they see into; the accounting stays.
class NodeArena {
public:
    /// Where the arena's memory should come from.
    struct Options {
        static constexpr int any_node = -1;
        int numa_node = any_node;                                            ///< OS index; any_node: no binding
        std::size_t budget_bytes = std::numeric_limits<std::size_t>::max();  ///< see set_budget_bytes
        bool huge_pages = false;                                             ///< back the extents with MADV_HUGEPAGE
        bool interleave = false;             ///< extents from all nodes in turn; numa_node is any_node then
        const Topology* topology = nullptr;  ///< to bind with; nullptr: this system's, discovered when first needed
        unsigned displacement_lines = 0;     ///< see displacement_lines()
    };

    /// Throws std::runtime_error, with the way out, where the arena or its binding cannot be had.
    explicit NodeArena(Options options);
    NodeArena() : NodeArena(Options{}) {}
    ~NodeArena();
    NodeArena(const NodeArena&) = delete;
    NodeArena& operator=(const NodeArena&) = delete;

    /// Zeroed memory of `bytes`, aligned to `alignment` (a power of two), or nullptr where the budget or the node's
    /// memory is used up.
    void* allocate(std::size_t bytes, std::size_t alignment) noexcept;
    /// Gives back what `allocate` returned for the same `bytes` and `alignment`. The destructor takes back what is
    /// left; where the supply is malloc it does not, so that LeakSanitizer reports it.
    void release(void* memory, std::size_t bytes, std::size_t alignment) noexcept;

    /// From now on `allocate` returns nullptr where the bytes asked for and still live would exceed `bytes`. Counted as
    /// asked, before any rounding, so that the n-th allocation fails wherever the test for it runs.
    void set_budget_bytes(std::size_t bytes) noexcept;
    /// Bytes asked for and still live.
    std::size_t charged_bytes() const noexcept;

    /// Bytes in live allocations, rounded to jemalloc's size classes: what its statistics for this arena say. Where the
    /// supply is malloc: charged_bytes(). Cost: a merge of jemalloc's statistics, about a microsecond an arena.
    std::size_t allocated_bytes() const;
    /// Bytes of the arena's pages that hold allocations: allocated_bytes() and what is free between them.
    std::size_t active_bytes() const;

    /// By how many cache lines the first object of whoever takes many from this arena should lie further on than it would,
    /// so that the luck of a layout can be varied. A wish: nodes move by whole nodes, and not where the supply is malloc.
    unsigned displacement_lines() const noexcept;

    /// What the arena has mapped so far, whether or not it was touched. Empty where the supply is malloc.
    std::vector<std::span<const std::byte>> extents() const;

    /// Whether the supply is malloc, because a sanitizer is to see each allocation. Nothing is bound then.
    static bool supply_is_malloc() noexcept;

private:
    struct State;
    State* state_;
};

/// The allocator's settings in force, as MALLOC_CONF spells them; empty where the supply is malloc.
std::string allocator_settings();

}  // namespace page_map_lab
