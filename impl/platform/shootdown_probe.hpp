// Whether taking rights from a page interrupts the processors that use it, asked of the machine.
//
// What a processor and a kernel say of themselves does not tell how a hypervisor flushes its guests' TLBs: some do it
// themselves, and no interrupt ever arrives in the guest. Interrupts prove nothing there, and count as none.
//
// Thread safety: probe_shootdowns starts, pins and joins its own threads; plain values otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "impl/core/error.hpp"
#include "impl/platform/host_facts.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab {

/// What some revocations did to a processor that was using the address space.
struct ShootdownProbe {
    unsigned revocations = 0;      ///< each beside a thread that had just been seen to run
    std::uint64_t interrupts = 0;  ///< function calls that arrived on that thread's processor meanwhile (CAL row)

    /// Whether there were as good as none: others send a few function calls, too.
    bool interrupts_nobody() const noexcept { return interrupts * 4 < revocations; }
};

/// The one of several attempts that brought the fewest interrupts: what other processes send only adds to them, so that the
/// quietest is nearest to the truth. Asks `attempt` until one interrupts nobody, one fails, or `most` (at least 1) were made.
/// Errors: the first attempt's; a later one's is dropped, for there is an answer.
Result<ShootdownProbe> quietest(unsigned most, const std::function<Result<ShootdownProbe>()>& attempt);

/// Revokes and grants one page of memory some thirty times, beside a thread that spins on another processor, and counts what
/// arrives there in /proc/interrupts; the quietest of a few times. Errors: unavailable, where there is one processor, no such
/// row, or the thread was not seen to run; no_memory and system, of the calls that set it up. Cost: some milliseconds, at
/// most a second where others want the processors; before anything is measured.
Result<ShootdownProbe> probe_shootdowns(const Topology& topology);

/// A mechanism that no processor or kernel tells of: it is what the probe found.
inline constexpr std::string_view without_interrupts = "without_interrupts";

/// What is believed of the mechanism in the light of the probe: where interrupts were expected and none came, it is
/// `without_interrupts`.
TlbMechanism in_the_light_of(const Result<ShootdownProbe>& probe, TlbMechanism believed);

}  // namespace page_map_lab
