#include "impl/platform/protection.hpp"

#include <sys/mman.h>

#include <cerrno>

namespace page_map_lab {

Status protect(std::byte* base, std::size_t bytes, Access access) noexcept {
    const int rights = access == Access::none   ? PROT_NONE
                       : access == Access::read ? PROT_READ
                                                : PROT_READ | PROT_WRITE;
    if (::mprotect(base, bytes, rights) == 0) {
        return {};
    }
    const int failure = errno;
    if (failure == ENOMEM) {
        return fail(ErrorCode::no_memory, "mprotect found no room for another mapping: raise vm.max_map_count", failure);
    }
    return fail(ErrorCode::system, "mprotect failed", failure);
}

}  // namespace page_map_lab
