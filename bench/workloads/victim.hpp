// Victims: threads that use pages while somebody else takes pages away, and what the taking costs them.
//
// A victim increments a word of its own and looks at the clock every sixteen times. A gap between two looks that is longer
// than a microsecond is a stall and goes into a histogram; an undisturbed gap is about 50 ns, most of it the two
// dozen nanoseconds of reading the steady clock. So the method costs the victim about half of its speed, costs the
// initiator nothing, and sees every interrupt (8 us here), every fault and every descheduling.
//
// Thread safety: one log per thread.
// Invariant: the word at the end has grown by exactly the iterations that were counted: no write of a victim is lost.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/harness/latency_histogram.hpp"
#include "bench/harness/thread_team.hpp"

namespace page_map_lab::bench {

inline constexpr std::uint64_t stall_threshold_ns = 1000;

/// What one victim saw.
struct VictimLog {
    std::uint64_t iterations = 0;
    std::uint64_t stalled_ns = 0;
    std::uint64_t duration_ns = 0;
    LatencyHistogram stalls;
};

/// Increments until the run is over. `word(step)` is where the step-th block of sixteen increments goes.
template <class Word>
[[gnu::noinline]] void suffer(VictimLog& log, const TeamMember& member, Word&& word) {
    using Clock = std::chrono::steady_clock;
    constexpr std::uint64_t increments_per_look = 16;
    const auto started = Clock::now();
    auto last = started;
    std::uint64_t step = 0;
    do {
        volatile std::uint64_t* const counted = word(step++);
        for (std::uint64_t increment = 0; increment < increments_per_look; ++increment) {
            *counted = *counted + 1;
        }
        const auto now = Clock::now();
        const auto gap_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(now - last).count());
        if (gap_ns > stall_threshold_ns) {
            log.stalls.record(gap_ns);
            log.stalled_ns += gap_ns;
        }
        last = now;
    } while (!member.stopping());
    log.iterations += step * increments_per_look;
    log.duration_ns += static_cast<std::uint64_t>(std::chrono::nanoseconds(last - started).count());
}

}  // namespace page_map_lab::bench
