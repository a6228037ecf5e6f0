// Whether the hardware lets a mapping be read, asked without faulting on it, and its page-table entries made up front.
//
// Thread safety: plain functions.
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "impl/core/page_index.hpp"

namespace page_map_lab::bench {

/// Whether this process, or another one whose address it is, may read `address` now. The kernel obeys the mapping's rights in our place and answers EFAULT,
/// so that no fault handler opens what is asked about. Cost: one system call.
inline bool is_readable(const std::byte* address, pid_t process = ::getpid()) {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{const_cast<std::byte*>(address), 1};
    return ::process_vm_readv(process, &local, 1, &remote, 1, 0) == 1;
}

/// The first of up to `at_most` evenly spread places of [0, count), first and last included, for which `wrong` holds.
template <class Wrong>
std::optional<std::uint64_t> find_spread(std::uint64_t count, std::uint64_t at_most, Wrong&& wrong) {
    const std::uint64_t probes = std::min(count, at_most);
    for (std::uint64_t probe = 0; probe < probes; ++probe) {
        const std::uint64_t place = probes == 1 ? 0 : probe * (count - 1) / (probes - 1);
        if (wrong(place)) {
            return place;
        }
    }
    return std::nullopt;
}

/// Reads a byte of the page at `address`, so that the processor has it in its page tables and TLB.
/// Atomic, because a victim may be writing there; relaxed: what is read is of no interest.
inline void touch(const std::byte* address) {
    static_cast<void>(__atomic_load_n(reinterpret_cast<const volatile unsigned char*>(address), __ATOMIC_RELAXED));
}

}  // namespace page_map_lab::bench
