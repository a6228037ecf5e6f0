// A machine that revokes nothing and writes down what was asked of it.
//
// Thread safety: none; one test at a time.
#pragma once

#include <cerrno>
#include <vector>

#include "impl/page_map/machine.hpp"
#include "impl/page_map/shootdown.hpp"

namespace page_map_lab {

/// A machine that writes down which rights are set, and fails those it is told to.
struct NotingMachine : RealMachine {
    struct Call {
        std::byte* base;
        std::size_t bytes;
        Access access;
        friend bool operator==(const Call&, const Call&) = default;
    };
    static inline std::vector<Call> calls;
    static inline std::size_t largest_that_fails = 0;

    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        calls.push_back({base, bytes, access});
        if (bytes <= largest_that_fails) {
            return fail(ErrorCode::no_memory, "no room to split", ENOMEM);
        }
        return {};
    }
};

struct NoServer final : FaultServer<NotingMachine> {
    Status serve_fault(Region<NotingMachine>&, PageIndex, Access) noexcept override { return {}; }
};

/// Where a page of a region that was never mapped would be.
inline std::byte* unmapped_address(std::uintptr_t page) {
    return reinterpret_cast<std::byte*>(page * page_size);  // NOLINT: only compared
}

}  // namespace page_map_lab
