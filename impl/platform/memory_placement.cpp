#include "impl/platform/memory_placement.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

#include <hwloc.h>

#include "impl/core/page_index.hpp"
#include "impl/platform/bitmap.hpp"

namespace page_map_lab {

namespace {

constexpr std::string_view node_prefix = "node:";

std::string joined(const std::vector<unsigned>& numbers) {
    std::string line;
    for (const unsigned number : numbers) {
        line += (line.empty() ? "" : ", ") + std::to_string(number);
    }
    return line;
}

bool contains(const std::vector<unsigned>& numbers, unsigned number) {
    return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

}  // namespace

Result<MemoryPolicy> MemoryPolicy::parse(std::string_view text) {
    MemoryPolicy policy;
    if (text == "local") {
        return policy;
    }
    if (text == "interleave") {
        policy.kind_ = Kind::interleave;
        return policy;
    }
    if (text.starts_with(node_prefix)) {
        const std::string_view number = text.substr(node_prefix.size());
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), policy.node_);
        if (error == std::errc{} && end == number.data() + number.size()) {
            policy.kind_ = Kind::node;
            return policy;
        }
    }
    return fail(ErrorCode::usage,
                "memory policy \"" + std::string(text) +
                    "\" is unknown: use local, interleave, or node: with a node's number such as node:0");
}

MemoryPolicy MemoryPolicy::on_node(unsigned os_node) {
    MemoryPolicy policy;
    policy.kind_ = Kind::node;
    policy.node_ = os_node;
    return policy;
}

std::string MemoryPolicy::text() const {
    switch (kind_) {
        case Kind::local: return "local";
        case Kind::interleave: return "interleave";
        case Kind::node: break;
    }
    return std::string(node_prefix) + std::to_string(node_);
}

Status MemoryPolicy::apply(const Topology& topology, void* memory, std::size_t bytes) const {
    if (Status bindable = topology.bindable(); !bindable) {
        return bindable;
    }
    if (hwloc_topology_get_support(topology.native())->membind->set_area_membind == 0) {
        return fail(ErrorCode::unavailable, "this system lets no memory be bound: use memory policy local");
    }
    const std::vector<unsigned> known = topology.numa_nodes();
    if (kind_ == Kind::node && !contains(known, node_)) {
        return fail(ErrorCode::usage,
                    "memory policy " + text() + " names a node that this process may not use: it has " + joined(known));
    }
    Bitmap nodes = make_bitmap();
    hwloc_membind_policy_t policy = HWLOC_MEMBIND_FIRSTTOUCH;
    int flags = HWLOC_MEMBIND_BYNODESET;
    switch (kind_) {
        case Kind::local:
            // hwloc takes first touch for the complete set only.
            if (nodes && hwloc_bitmap_copy(nodes.get(), hwloc_topology_get_complete_nodeset(topology.native())) != 0) {
                nodes.reset();
            }
            break;
        case Kind::interleave:
            nodes = make_bitmap(known);
            policy = HWLOC_MEMBIND_INTERLEAVE;
            break;
        case Kind::node:
            nodes = make_bitmap({node_});
            policy = HWLOC_MEMBIND_BIND;
            flags |= HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_MIGRATE;  // without STRICT, hwloc only prefers the node
            break;
    }
    if (!nodes) {
        return fail(ErrorCode::no_memory, "no memory to bind memory with: free some");
    }
    if (hwloc_set_area_membind(topology.native(), memory, bytes, nodes.get(), policy, flags) != 0) {
        const int error = errno;
        return fail(error == EPERM ? ErrorCode::denied : ErrorCode::system,
                    "memory policy " + text() +
                        " could not be applied: is memory left on the node (numactl --hardware), and may this process "
                        "bind memory (a container's seccomp profile may forbid it)?",
                    error);
    }
    return {};
}

void leave_memory_to_system(const Topology& topology) noexcept {
    hwloc_set_membind(topology.native(), hwloc_topology_get_topology_nodeset(topology.native()), HWLOC_MEMBIND_DEFAULT,
                      HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
}

std::vector<unsigned> MemoryPolicy::asked_nodes(const Topology& topology) const {
    if (kind_ == Kind::node) {
        return {node_};
    }
    const Bitmap here = make_bitmap();
    if (kind_ == Kind::interleave || !topology.is_this_system() || !here ||
        hwloc_get_cpubind(topology.native(), here.get(), HWLOC_CPUBIND_THREAD) != 0) {
        return topology.numa_nodes();
    }
    std::vector<unsigned> nodes;
    for (const LogicalCpu& cpu : topology.cpus()) {
        if (hwloc_bitmap_isset(here.get(), cpu.os_index) && !contains(nodes, cpu.numa_node)) {
            nodes.push_back(cpu.numa_node);
        }
    }
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

Result<std::map<unsigned, std::uint64_t>> observed_pages_by_node(const void* memory, std::size_t bytes) {
    constexpr std::size_t batch = 1024;
    std::array<const void*, batch> pages;
    std::array<int, batch> places;
    std::map<unsigned, std::uint64_t> by_node;
    const auto begin = reinterpret_cast<std::uintptr_t>(memory) & ~(std::uintptr_t{page_size} - 1);
    const auto end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
    for (std::uintptr_t next = begin; next < end;) {
        std::size_t count = 0;
        for (; count < batch && next < end; next += page_size) {
            pages[count++] = reinterpret_cast<const void*>(next);
        }
        // No target nodes: the call moves nothing and reports where each page is.
        if (syscall(SYS_move_pages, 0, count, pages.data(), nullptr, places.data(), 0) < 0) {
            const int error = errno;
            return fail(error == EPERM || error == EACCES ? ErrorCode::denied : ErrorCode::system,
                        "move_pages could not say where the memory is: a container's seccomp profile may forbid it",
                        error);
        }
        for (std::size_t position = 0; position < count; ++position) {
            if (places[position] >= 0) {  // negative: not there yet, or the shared zero page
                ++by_node[static_cast<unsigned>(places[position])];
            }
        }
    }
    return by_node;
}

MemoryOutcome judge_placement(const MemoryPolicy& policy, std::vector<unsigned> asked_nodes,
                              std::map<unsigned, std::uint64_t> observed_pages_by_node) {
    MemoryOutcome outcome{policy.text(), std::move(asked_nodes), std::move(observed_pages_by_node),
                          PlacementState::ok, {}};
    std::uint64_t total = 0;
    for (const auto& [node, pages] : outcome.observed_pages_by_node) {
        total += pages;
        if (pages != 0 && !contains(outcome.asked_nodes, node)) {
            outcome.state = PlacementState::mismatch;
            outcome.why = std::to_string(pages) + " pages are on node " + std::to_string(node) + ", asked for were " +
                          joined(outcome.asked_nodes);
        }
    }
    if (total == 0) {
        outcome.state = PlacementState::unverified;
        outcome.why = "no page of the range is resident yet";
        return outcome;
    }
    const std::uint64_t share = outcome.asked_nodes.empty() ? 0 : total / outcome.asked_nodes.size();
    if (policy.kind() != MemoryPolicy::Kind::interleave || outcome.state != PlacementState::ok || share == 0) {
        return outcome;
    }
    for (const unsigned node : outcome.asked_nodes) {
        const auto found = outcome.observed_pages_by_node.find(node);
        const std::uint64_t pages = found != outcome.observed_pages_by_node.end() ? found->second : 0;
        if (pages < share / 2 || pages == 0 || pages > share * 2) {
            outcome.state = PlacementState::mismatch;
            outcome.why = std::to_string(pages) + " pages are on node " + std::to_string(node) +
                          ", an even share would be " + std::to_string(share);
        }
    }
    return outcome;
}

MemoryOutcome observe_placement(const MemoryPolicy& policy, const Topology& topology, const void* memory,
                                std::size_t bytes) {
    auto observed = observed_pages_by_node(memory, bytes);
    if (!observed) {
        return {policy.text(), policy.asked_nodes(topology), {}, PlacementState::unverified, observed.error().text()};
    }
    return judge_placement(policy, policy.asked_nodes(topology), std::move(*observed));
}

}  // namespace page_map_lab
