// Victims: threads that use pages while somebody else takes pages away, and what the taking costs them.
//
// A victim increments a word of its own and looks at the clock every sixteen times. A gap between two looks that is
// longer than a microsecond is a stall and goes into a histogram; an undisturbed gap is about 50 ns, most of it the two
// dozen nanoseconds of reading the steady clock. So the method costs the victim about half of its speed, costs the
// initiator nothing, and sees every interrupt (8 us here), every fault and every descheduling.
//
// Thread safety: one log per thread.
// Invariant: the word at the end has grown by exactly the iterations that were counted: no write of a victim is lost.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include <unistd.h>

#include "bench/harness/latency_histogram.hpp"
#include "bench/harness/thread_team.hpp"

namespace page_map_lab::bench {

using VictimClock = std::chrono::steady_clock;

/// From when to when something happened.
struct TimeSpan {
    VictimClock::time_point started;
    VictimClock::time_point ended;

    VictimClock::duration overlap(const TimeSpan& other) const {
        return std::max(VictimClock::duration::zero(), std::min(ended, other.ended) - std::max(started, other.started));
    }
    bool covers(const TimeSpan& other) const { return started <= other.started && other.ended <= ended; }
    std::uint64_t duration_ns() const {
        return static_cast<std::uint64_t>(std::chrono::nanoseconds(ended - started).count());
    }
};

inline constexpr auto stall_threshold = std::chrono::microseconds(1);
/// Longer than interrupts take one after the other: the victim was not running.
inline constexpr auto pause_threshold = std::chrono::microseconds(100);

/// What one victim saw, over one run or several.
struct VictimLog {
    std::uint64_t iterations = 0;
    std::uint64_t stalled_ns = 0;
    std::uint64_t duration_ns = 0;
    LatencyHistogram stalls;
    TimeSpan last_run{};             ///< from its first look at the clock to its last
    std::vector<TimeSpan> pauses{};  ///< of the last run
    bool keep_stalls = false;        ///< whether the next run notes when each stall was, for a timeline
    std::vector<TimeSpan> each_stall{};
    pid_t thread = 0;  ///< the kernel's id, where stalls are kept

    /// Whether the victim was at work from the start of `operation` to its end, but for a twentieth of it at most.
    bool was_running_during(const TimeSpan& operation) const {
        auto paused = VictimClock::duration::zero();
        for (const TimeSpan& pause : pauses) {
            paused += pause.overlap(operation);
        }
        return last_run.covers(operation) && paused <= (operation.ended - operation.started) / 20;
    }
};

/// Increments until the run is over (`run.stopping()`). `word(step)` is where the step-th block of sixteen increments goes.
template <class Run, class Word>
[[gnu::noinline]] void suffer(VictimLog& log, const Run& run, Word&& word) {
    constexpr std::uint64_t increments_per_look = 16;
    constexpr std::size_t most_pauses = 4096;
    log.pauses.clear();
    log.pauses.reserve(most_pauses);
    log.each_stall.clear();
    if (log.keep_stalls) {
        log.each_stall.reserve(most_pauses);
        log.thread = gettid();
    }
    const auto started = VictimClock::now();
    auto last = started;
    std::uint64_t step = 0;
    do {
        volatile std::uint64_t* const counted = word(step++);
        for (std::uint64_t increment = 0; increment < increments_per_look; ++increment) {
            // relaxed: nobody else writes here, and a load and a store are what a plain increment is; atomic, because the
            // initiator may be touching the page.
            __atomic_store_n(counted, __atomic_load_n(counted, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        }
        const auto now = VictimClock::now();
        if (now - last > stall_threshold) {
            const TimeSpan gap{last, now};
            log.stalls.record(gap.duration_ns());
            log.stalled_ns += gap.duration_ns();
            if (log.keep_stalls && log.each_stall.size() < most_pauses) {
                log.each_stall.push_back(gap);
            }
            if (now - last > pause_threshold && log.pauses.size() < most_pauses) {
                log.pauses.push_back(gap);
            }
        }
        last = now;
    } while (!run.stopping());
    log.iterations += step * increments_per_look;
    log.last_run = {started, last};
    log.duration_ns += log.last_run.duration_ns();
}

}  // namespace page_map_lab::bench
