#include "bench/harness/environment.hpp"

#include <cerrno>
#include <new>
#include <random>
#include <stdexcept>

#include <hwloc.h>

#include "impl/core/page_index.hpp"
#include "impl/platform/bitmap.hpp"

namespace page_map_lab::bench {

MemoryScope::MemoryScope(const Topology& topology, const MemoryPolicy& policy, unsigned home_node)
    : topology_(topology) {
    const auto nodes = topology.numa_nodes();
    if (nodes.size() < 2 || !topology.is_this_system()) {
        return;  // there is no choice, or none that we could make
    }
    const bool local = policy.kind() == MemoryPolicy::Kind::local;
    const auto asked = local ? std::vector<unsigned>{home_node} : policy.asked_nodes(topology);
    const Bitmap set = make_bitmap(asked);
    if (!set) {
        throw std::bad_alloc();
    }
    const bool interleave = policy.kind() == MemoryPolicy::Kind::interleave;
    const int failed =
        hwloc_set_membind(topology.native(), set.get(), interleave ? HWLOC_MEMBIND_INTERLEAVE : HWLOC_MEMBIND_BIND,
                          HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
    const int reason = errno;
    if (failed != 0) {
        throw std::runtime_error(Error{ErrorCode::system, reason,
                                       "--memory " + policy.text() + " is refused by the system: use --memory local"}
                                     .text());
    }
    bound_ = true;
}

MemoryScope::~MemoryScope() {
    if (bound_) {
        leave_memory_to_system(topology_);
    }
}

void Environment::place(void* range, std::size_t bytes) {
    if (memory.kind() != MemoryPolicy::Kind::local) {  // local is what the kernel does anyway
        if (const Status applied = memory.apply(topology, range, bytes); !applied) {
            throw std::runtime_error(applied.error().text());
        }
    }
    placed_[range] = bytes;
}

void Environment::forget(const void* range) {
    const auto placed = placed_.find(range);
    if (placed == placed_.end()) {
        return;
    }
    observe(range, placed->second);
    placed_.erase(placed);
}

void Environment::observe(const void* range, std::size_t bytes) {
    if (const auto observed = page_map_lab::observed_pages_by_node(range, bytes)) {
        for (const auto& [node, pages] : *observed) {
            observed_pages_[node] += pages;
        }
    }
}

void Environment::observe(const NodeArena& arena) {
    for (const auto extent : arena.extents()) {
        observe(extent.data(), extent.size());
    }
}

NodeArena::Options Environment::arena_options() const {
    constexpr std::uint64_t lines_in_a_page = page_size / cache_line_size;
    std::mt19937_64 random(seed);
    NodeArena::Options options{.topology = &topology,
                               .displacement_lines = static_cast<unsigned>(random() % lines_in_a_page)};
    const bool is_choice = topology.numa_nodes().size() > 1 && topology.is_this_system();
    if (const auto kind = memory.kind(); kind == MemoryPolicy::Kind::node) {
        options.numa_node = static_cast<int>(memory.asked_nodes(topology).front());
    } else if (is_choice) {
        options.interleave = kind == MemoryPolicy::Kind::interleave;
        options.numa_node = options.interleave ? NodeArena::Options::any_node : static_cast<int>(home_node);
    }
    return options;
}

}  // namespace page_map_lab::bench
