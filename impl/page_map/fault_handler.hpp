// The process's SIGSEGV handler: serves faults at addresses of regions, and passes every other one on.
//
// A fault at an address of no region goes to the handler that was there before: a real crash stays a crash. The handler
// runs in the faulting thread and may allocate and lock, because these faults are synchronous and nobody touches a region
// while holding a lock that serving needs.
//
// Thread safety: all members. Source: sigaction(2); the error code of x86 page faults, Intel SDM volume 3, 4.7.
#pragma once

#include <cstddef>
#include <cstdint>

#include "impl/core/error.hpp"
#include "impl/platform/protection.hpp"

namespace page_map_lab {

enum class FaultOutcome : std::uint8_t { not_ours, served, failed };

/// Who serves the faults of one address space.
class FaultDomain {
public:
    virtual ~FaultDomain() = default;

    /// Serves a fault at `address` that wanted `access`. On `failed`, `why` holds the code of docs/semantics.md, Faults.
    virtual FaultOutcome serve(std::byte* address, Access access, ErrorCode& why) noexcept = 0;
};

class FaultHandler {
public:
    /// Asks `domain` about faults from now on, for the life of the process; the first call installs the handler. It runs on
    /// an alternate stack (sigaltstack) only where the handler before it asked for one.
    /// Throws std::runtime_error where sigaction fails or there are too many domains.
    static void add(FaultDomain& domain);

    /// Why the calling thread's last fault on one of our regions could not be served. For handlers installed before ours,
    /// which are given such a fault.
    static ErrorCode last_failure() noexcept;
};

}  // namespace page_map_lab
