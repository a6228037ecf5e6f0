// Victims: threads that use pages while somebody else takes pages away, and what the taking costs them.
//
// A victim increments a word of its own and looks at the clock every sixteen times. A gap between two looks that is
// longer than a microsecond is a stall and goes into a histogram; an undisturbed gap is about 50 ns, most of it the two
// dozen nanoseconds of reading the steady clock. So the method costs the victim about half of its speed, costs the
// initiator nothing, and sees every interrupt (8 us here), every fault and every descheduling. After a stall the victim
// asks the kernel whether it was switched out (about half a microsecond, which counts as neither stall nor work): however
// short it is, an absence is known as one.
//
// Thread safety: one log per thread.
// Invariant: the word at the end has grown by exactly the iterations that were counted: no write of a victim is lost.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include <unistd.h>

#include "bench/harness/latency_histogram.hpp"
#include "bench/harness/thread_team.hpp"
#include "impl/page_map/faults_served.hpp"
#include "impl/page_map/machine.hpp"

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
    bool holds(VictimClock::time_point moment) const { return started <= moment && moment < ended; }
    std::uint64_t duration_ns() const {
        return static_cast<std::uint64_t>(std::chrono::nanoseconds(ended - started).count());
    }
};

inline constexpr auto stall_threshold = std::chrono::microseconds(1);
/// Longer than asking the kernel takes.
inline constexpr auto asking_threshold = std::chrono::microseconds(3);
/// Longer than an interrupt (up to 13 us here) and the timer's after it, and than usual stalls are: the hypervisor may have
/// had the processor, which the kernel does not count.
inline constexpr auto pause_threshold = std::chrono::microseconds(20);
inline constexpr std::uint64_t usual_stalls_in_a_pause = 3;

/// Tells, from one look to the next, what happened to the calling thread.
class ThreadFate {
public:
    struct SinceLastLook {
        bool switched_out = false;    ///< for whatever reason
        bool by_somebody = false;     ///< one of the reasons was that somebody else got the processor
        bool served_a_fault = false;  ///< a region's, by the SIGSEGV handler
    };

    ThreadFate() { look(); }

    /// Cost: one system call, about half a microsecond.
    SinceLastLook look() noexcept {
        rusage usage{};
        ::getrusage(RUSAGE_THREAD, &usage);
        const bool slept = std::exchange(voluntary_, usage.ru_nvcsw) != usage.ru_nvcsw;
        const bool pushed = std::exchange(involuntary_, usage.ru_nivcsw) != usage.ru_nivcsw;
        const std::uint64_t faults = faults_served_on_this_thread();
        return {slept || pushed, pushed, std::exchange(faults_, faults) != faults};
    }

private:
    long voluntary_ = 0;
    long involuntary_ = 0;
    std::uint64_t faults_ = 0;
};

/// A stall during which the victim was not running, or may not have been.
struct Absence {
    TimeSpan time;
    bool switched_out = false;    ///< the kernel says so; else it was a long stall that nothing explains
    bool slept_in_fault = false;  ///< it waited in a fault of its own that a region served, and nobody took its processor
};

/// What kept a victim from an operation.
struct TimeAway {
    VictimClock::duration switched_out{};  ///< the kernel says so
    VictimClock::duration paused{};        ///< in long stalls that nothing explains
    bool unknown = false;                  ///< its run was shorter, or its absences were too many to be noted

    /// Whether it was nevertheless at work, but for pauses that are as long every time. A flush without its interrupt takes
    /// about a tenth of the time of one with it, so that a two-hundredth of the time, which is what may be missing, is a
    /// twentieth of the interrupts.
    bool is_excused(const TimeSpan& operation, VictimClock::duration usual_pause) const {
        constexpr int share_of_time_missed = 200;
        const auto missed = switched_out + std::max(VictimClock::duration::zero(), paused - usual_pause);
        return !unknown && missed <= (operation.ended - operation.started) / share_of_time_missed;
    }
};

/// How long a repetition of so much time goes on looking for a moment at which its victims are at work: long enough for a
/// neighbour's time slice to end, and no more than some of its own time, or a busy machine would spend a run on waiting.
inline std::chrono::nanoseconds patience_of(std::chrono::nanoseconds at_least) {
    constexpr std::chrono::nanoseconds shortest = std::chrono::milliseconds(50);
    constexpr std::chrono::nanoseconds longest = std::chrono::milliseconds(400);
    return std::max(at_least, std::clamp(10 * at_least, shortest, longest));
}

/// What one victim saw, over one run or several.
struct VictimLog {
    static constexpr std::size_t most_absences = 4096;

    std::uint64_t iterations = 0;
    std::uint64_t stalled_ns = 0;
    std::uint64_t duration_ns = 0;
    LatencyHistogram stalls;
    TimeSpan last_run{};              ///< from its first look at the clock to its last
    std::vector<Absence> absences{};  ///< of the last run, in order
    bool absences_lost = false;       ///< there were more than fit
    bool keep_stalls = false;         ///< whether the next run notes when each stall was, for a timeline
    std::vector<TimeSpan> each_stall{};
    pid_t thread = 0;  ///< the kernel's id, where stalls are kept

    /// Makes room for a run, and touches it: to be called before the run starts, so that it takes no fault of its own.
    void prepare() {
        absences.resize(most_absences);
        absences.clear();
        absences_lost = false;
        each_stall.resize(keep_stalls ? most_absences : 0);
        each_stall.clear();
    }

    /// A stall, and what the kernel says happened during it.
    void note(const TimeSpan& stall, const ThreadFate::SinceLastLook& met) {
        stalls.record(stall.duration_ns());
        stalled_ns += stall.duration_ns();
        if (keep_stalls && each_stall.size() < most_absences) {
            each_stall.push_back(stall);
        }
        const bool paused = stall.ended - stall.started > pause_threshold && !met.served_a_fault;
        if (!met.switched_out && !paused) {
            return;
        }
        absences_lost = absences.size() == most_absences;
        if (!absences_lost) {
            absences.push_back({stall, met.switched_out, met.served_a_fault && !met.by_somebody});
        }
    }

    /// At a run's end: what nothing explains is no absence where stalls are usually that long, as they are where each
    /// flush, or several in a row, stop the victim by way of the hypervisor.
    void forgive_usual_stalls() {
        constexpr std::uint64_t fewest_stalls = 8;
        if (stalls.count() < fewest_stalls) {
            return;
        }
        const std::uint64_t usual_ns = stalls.quantile_ns(0.5);
        std::erase_if(absences, [&](const Absence& absence) {
            return !absence.switched_out && absence.time.duration_ns() <= usual_stalls_in_a_pause * usual_ns;
        });
    }

    /// Whether the victim was at work at that moment: who sent it an interrupt then interrupted it.
    bool was_running_at(VictimClock::time_point moment) const {
        const Absence* const absence = absence_at(moment);
        return last_run.holds(moment) && !absences_lost && absence == nullptr;
    }

    /// The absence that `moment` falls into, or nullptr.
    const Absence* absence_at(VictimClock::time_point moment) const {
        const auto after = std::partition_point(absences.begin(), absences.end(), [&](const Absence& absence) {
            return absence.time.ended <= moment;
        });
        return after != absences.end() && after->time.holds(moment) ? &*after : nullptr;
    }

    /// Sleeping in a fault that the operation itself caused is the policy's price, and not counted.
    TimeAway time_away_from(const TimeSpan& operation) const {
        TimeAway away;
        away.unknown = !last_run.covers(operation) || absences_lost;
        for (const Absence& absence : absences) {
            const bool caused_by_it = absence.slept_in_fault && absence.time.started >= operation.started;
            if (!caused_by_it) {
                (absence.switched_out ? away.switched_out : away.paused) += absence.time.overlap(operation);
            }
        }
        return away;
    }

    /// Adds the sums of another log; runs and their absences stay apart.
    void add(const VictimLog& other) {
        iterations += other.iterations;
        stalled_ns += other.stalled_ns;
        duration_ns += other.duration_ns;
        stalls.merge(other.stalls);
    }
};

/// Waits until the victim at `word` is at work, or `patience` is over: it may be in a fault, or away.
inline void await_increment(const volatile std::uint64_t* word, VictimClock::duration patience) {
    const auto deadline = VictimClock::now() + patience;
    // relaxed: only says that it is at work.
    const std::uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (__atomic_load_n(word, __ATOMIC_RELAXED) == before && VictimClock::now() < deadline) {
        RealMachine::relax();
    }
}

/// Increments until the run is over (`run.stopping()`). `word(step)` is where the step-th block of sixteen increments goes.
/// The log was prepared.
template <class Run, class Word>
[[gnu::noinline]] void suffer(VictimLog& log, const Run& run, Word&& word) {
    constexpr std::uint64_t increments_per_look = 16;
    if (log.keep_stalls) {
        log.thread = gettid();
    }
    ThreadFate fate;
    auto asking = VictimClock::duration::zero();
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
        auto now = VictimClock::now();
        if (now - last > stall_threshold) {
            // Once for the stall, and again for what happened while the kernel was asked about it.
            do {
                log.note({last, now}, fate.look());
                last = std::exchange(now, VictimClock::now());
            } while (now - last > asking_threshold && !run.stopping());
            asking += now - last;
        }
        last = now;
    } while (!run.stopping());
    // Whatever kept it from seeing the end at once belongs to its run.
    const auto ended = VictimClock::now();
    if (ended - last > stall_threshold) {
        log.note({last, ended}, fate.look());
    }
    log.iterations += step * increments_per_look;
    log.last_run = {started, ended};
    log.forgive_usual_stalls();
    log.duration_ns += log.last_run.duration_ns() - static_cast<std::uint64_t>(std::chrono::nanoseconds(asking).count());
}

}  // namespace page_map_lab::bench
