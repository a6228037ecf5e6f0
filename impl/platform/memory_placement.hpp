// Where memory comes from: a policy applied to a range with hwloc, and where its pages really are, as the kernel says.
//
// Thread safety: policies are plain values; apply and the observers may be called at once on different ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab {

/// - `local`: each page comes from the node of the thread that touches it first.
/// - `interleave`: pages come from all nodes in turn.
/// - `node:N`: all pages come from the node with OS index N; where it is full, none.
class MemoryPolicy {
public:
    enum class Kind : std::uint8_t { local, interleave, node };

    /// Local.
    MemoryPolicy() = default;

    /// A policy by its text, as above. Errors: usage, naming what is accepted.
    static Result<MemoryPolicy> parse(std::string_view text);
    static MemoryPolicy on_node(unsigned os_node);

    /// Sets the policy of [memory, memory + bytes): anonymous memory, or a shared mapping, whose object then keeps it.
    /// Pages that are there already move for `node:N` only. `memory` is page-aligned; `bytes` is rounded up to pages.
    /// Errors: unavailable on a foreign topology; usage for a node that does not exist; no_memory; denied where this
    /// process may not bind memory; system where mbind fails otherwise.
    Status apply(const Topology& topology, void* memory, std::size_t bytes) const;

    /// The nodes that pages may come from: for `local`, those nearest to where the calling thread may run.
    std::vector<unsigned> asked_nodes(const Topology& topology) const;

    Kind kind() const noexcept { return kind_; }

    /// The text that parses to this policy.
    std::string text() const;

private:
    Kind kind_ = Kind::local;
    unsigned node_ = 0;
};

/// From now on memory that the calling thread touches first comes from where the system chooses.
void leave_memory_to_system(const Topology& topology) noexcept;

/// How many resident pages of [memory, memory + bytes) each node holds, by move_pages; pages that are not there yet are
/// not counted. Errors: system or denied, with the call that failed. Cost: about 100 ns a page.
Result<std::map<unsigned, std::uint64_t>> observed_pages_by_node(const void* memory, std::size_t bytes);

/// What became of a memory policy: the words of the record's placement.memory.
struct MemoryOutcome {
    std::string policy;
    std::vector<unsigned> asked_nodes;
    std::map<unsigned, std::uint64_t> observed_pages_by_node;
    PlacementState state = PlacementState::unverified;
    std::string why;  ///< empty where state is ok
};

/// Holds what was observed against what was asked: every page on an asked node, and for `interleave` none of them with
/// less than half or more than twice its share. Nothing resident is `unverified`.
MemoryOutcome judge_placement(const MemoryPolicy& policy, std::vector<unsigned> asked_nodes,
                              std::map<unsigned, std::uint64_t> observed_pages_by_node);

/// Observes the range and judges it. To be called by the thread that touched it, or one that may run where it did.
MemoryOutcome observe_placement(const MemoryPolicy& policy, const Topology& topology, const void* memory,
                                std::size_t bytes);

}  // namespace page_map_lab
