// What an access to a mapping may do, and the system call that decides it.
//
// Thread safety: free functions over the process's address space; the kernel serialises them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "impl/core/error.hpp"

namespace page_map_lab {

/// The rights of a mapping. Ordered: each allows what those before it allow.
enum class Access : std::uint8_t { none, read, write };

/// Sets the rights of [base, base + bytes) with mprotect(2). Both are multiples of the page size.
///
/// Taking rights away has shot down every TLB of this process when it returns; giving rights flushes nothing. Costs one
/// system call and, where rights are taken, one interrupt to every other core that runs this process.
/// Errors: no_memory at vm.max_map_count (a range in the middle of a mapping splits it), system otherwise; the rights of
/// the range are unknown then.
Status protect(std::byte* base, std::size_t bytes, Access access) noexcept;

}  // namespace page_map_lab
