#include "tests/variants/failing_allocator.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
thread_local std::size_t allocations_left = unlimited;

void* allocate(std::size_t bytes, std::size_t alignment) {
    if (allocations_left == 0) {
        throw std::bad_alloc();
    }
    if (allocations_left != unlimited) {
        --allocations_left;
    }
    const std::size_t whole = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, whole);
    return memory != nullptr ? memory : throw std::bad_alloc();
}

}  // namespace

// The other forms are defined in terms of these.
void* operator new(std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace page_map_lab::testing {

Allocations::Allocations(std::size_t allowed) noexcept { allocations_left = allowed; }
Allocations::~Allocations() { allocations_left = unlimited; }

}  // namespace page_map_lab::testing
