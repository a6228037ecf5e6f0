#include "bench/harness/environment.hpp"

namespace page_map_lab::bench {

Status Environment::place(void* range, std::size_t bytes) {
    if (memory.kind() != MemoryPolicy::Kind::local) {  // local is what the kernel does anyway
        if (auto applied = memory.apply(topology, range, bytes); !applied) {
            return applied;
        }
    }
    placed_[range] = bytes;
    return {};
}

void Environment::forget(const void* range) { placed_.erase(range); }

Result<std::map<unsigned, std::uint64_t>> Environment::observed_pages_by_node() const {
    std::map<unsigned, std::uint64_t> total;
    for (const auto& [range, bytes] : placed_) {
        const auto observed = page_map_lab::observed_pages_by_node(range, bytes);
        if (!observed) {
            return observed;
        }
        for (const auto& [node, pages] : *observed) {
            total[node] += pages;
        }
    }
    return total;
}

}  // namespace page_map_lab::bench
