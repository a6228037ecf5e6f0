// Revokes and grants with mprotect(2).
//
// Data stays where it is; a range inside a mapping splits it, so scattered pages run into vm.max_map_count.
#pragma once

#include <string_view>

#include "impl/platform/protection.hpp"

namespace page_map_lab {

struct Mprotect {
    static constexpr std::string_view name = "mprotect";

    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        return protect(base, bytes, access);
    }
};

}  // namespace page_map_lab
