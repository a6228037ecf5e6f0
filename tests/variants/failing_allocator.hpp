// An allocator for the whole test binary that fails where a test says so.
//
// Thread safety: each thread fails on its own.
#pragma once

#include <cstddef>

namespace page_map_lab::testing {

/// Lets the calling thread allocate so many times for a scope, and then no more.
class Allocations {
public:
    explicit Allocations(std::size_t allowed) noexcept;
    ~Allocations();
    Allocations(const Allocations&) = delete;
    Allocations& operator=(const Allocations&) = delete;
};

}  // namespace page_map_lab::testing
