// Which processors and memory nodes there are, and how they lie to each other: hwloc's answer, in few words.
//
// Thread safety: a Topology does not change after it was made; all its members may be called at once.
//
// Invariants:
//   1. cpus() holds only what this process may run on, in hwloc's logical order: siblings of a core side by side, cores
//      of a package side by side.
//   2. Where is_this_system() is false, nothing may be bound by it: hwloc's binding calls on a foreign topology return
//      success and do nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "impl/core/error.hpp"

struct hwloc_topology;

namespace page_map_lab {

/// A hardware thread. Its place in `Topology::cpus()` is its rank in hwloc's logical order; the system calls want the
/// OS index, which is a different number on most machines.
struct LogicalCpu {
    unsigned os_index = 0;   ///< what sched_setaffinity and /proc/interrupts call it
    unsigned core = 0;       ///< logical index of its core, unique in the machine
    unsigned package = 0;    ///< logical index of its package
    unsigned numa_node = 0;  ///< OS index of the nearest memory node
    unsigned smt_rank = 0;   ///< 0 for the first usable hardware thread of its core, 1 for the next, ...

    friend bool operator==(const LogicalCpu&, const LogicalCpu&) = default;
};

/// The caches of one level and kind, all alike.
struct CacheLevel {
    std::string name;              ///< "L1d", "L2", ...
    std::uint64_t size_bytes = 0;  ///< of one
    unsigned line_bytes = 0;       ///< 0 where unknown
    unsigned instances = 0;        ///< how many there are in the machine

    friend bool operator==(const CacheLevel&, const CacheLevel&) = default;
};

/// Whether what was asked of the system (a pinning, a memory policy) was found to be so.
enum class PlacementState : std::uint8_t {
    ok,          // read back, and as asked
    unverified,  // could not be applied or read back; the reason stands beside it
    mismatch,    // read back, and different
};

/// As records spell it: "ok", "unverified", "mismatch".
std::string_view to_string(PlacementState state) noexcept;

class Topology {
public:
    /// The machine that HWLOC_SYNTHETIC or HWLOC_XMLFILE describes where one is set, else this one.
    ///
    /// Discover before pinning: what the calling thread may run on now (the process's cpuset, as taskset and cgroups set
    /// it, unless the thread was pinned since) is what cpus() will hold.
    /// Errors: usage, for a description that hwloc cannot read; system, where discovery fails; no_memory; unavailable, where
    /// no processor is left. Cost: 5 to 50 ms, more on large machines.
    static Result<Topology> discover();

    /// A made-up machine, for example "package:2 numanode:1 l3:2 core:8 pu:2"; see hwloc's manual for the syntax.
    /// Errors: as discover's.
    static Result<Topology> from_synthetic(const std::string& description);

    /// A machine exported by `lstopo machine.xml`. Errors: as discover's.
    static Result<Topology> from_xml(const std::string& path);

    /// The hardware threads that this process may run on, in logical order; at least one.
    std::span<const LogicalCpu> cpus() const noexcept { return cpus_; }

    /// The hardware thread that the system calls `os_index`, or nothing where this process may not run on it.
    std::optional<LogicalCpu> find_cpu(unsigned os_index) const noexcept;

    /// OS indices of the memory nodes that this process may allocate from, ascending; at least one.
    std::vector<unsigned> numa_nodes() const { return numa_nodes_; }

    /// The firmware's relative distance between two memory nodes (10 is local), or nothing where none is reported.
    std::optional<std::uint64_t> numa_distance(unsigned from_node, unsigned to_node) const;

    /// Whether this describes the running system. If not, plans can be made, but nothing can be bound.
    bool is_this_system() const noexcept { return is_this_system_; }

    /// Nothing where binding by this topology works; else the error to hand on, naming the way out.
    Status bindable() const;

    /// Where the description came from: "this system", "synthetic: ...", "xml: ...".
    const std::string& source() const noexcept { return source_; }

    /// What the whole machine has, also where this process may use less.
    unsigned machine_logical_cpus() const noexcept { return machine_logical_cpus_; }
    unsigned machine_cores() const noexcept { return machine_cores_; }
    unsigned machine_packages() const noexcept { return machine_packages_; }
    unsigned machine_numa_nodes() const noexcept { return machine_numa_nodes_; }
    std::uint64_t machine_memory_bytes() const noexcept { return machine_memory_bytes_; }
    const std::vector<CacheLevel>& caches() const noexcept { return caches_; }

    /// hwloc's own object, for the binding calls of this layer.
    hwloc_topology* native() const noexcept { return native_.get(); }

private:
    using Native = std::shared_ptr<hwloc_topology>;
    static Result<Topology> load(Native native, std::string source);
    void read_machine();
    void read_caches();
    void read_numa_nodes();
    void read_distances();
    Status read_cpus();

    Native native_;
    std::string source_;
    std::vector<LogicalCpu> cpus_;
    std::vector<unsigned> numa_nodes_;
    std::vector<CacheLevel> caches_;
    std::map<std::pair<unsigned, unsigned>, std::uint64_t> distances_;  // by OS indices
    bool is_this_system_ = false;
    unsigned machine_logical_cpus_ = 0;
    unsigned machine_cores_ = 0;
    unsigned machine_packages_ = 0;
    unsigned machine_numa_nodes_ = 0;
    std::uint64_t machine_memory_bytes_ = 0;
};

}  // namespace page_map_lab
