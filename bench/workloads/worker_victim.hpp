// Victims in worker processes: the same loop and the same log as a thread's, with a thread of the team standing by for
// each, which starts it, ends it and brings its log home.
//
// Counters are the team's threads' own, and these only wait: what a victim in another process met is not counted there,
// and its readings say so. Its log needs no counter.
//
// Thread safety: one thread of the team a worker.
#pragma once

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "bench/workloads/victim.hpp"
#include "impl/page_map/worker.hpp"

namespace page_map_lab::bench {

/// What a victim is told, and what it tells.
struct VictimBoard {
    std::uint64_t word_address = 0;
    std::uint64_t words = 1;         ///< it takes them in turn
    std::uint64_t stride_pages = 1;  ///< how far apart they are
    int processor = 0;
    std::atomic<std::uint32_t> at_work{0};

    std::uint64_t iterations = 0;
    std::uint64_t stalled_ns = 0;
    std::uint64_t duration_ns = 0;
    LatencyHistogram stalls;
    TimeSpan last_run{};
    std::size_t absence_count = 0;
    bool absences_lost = false;
    std::array<Absence, VictimLog::most_absences> absences{};
};
static_assert(std::is_trivially_destructible_v<VictimBoard>);

/// Binds the calling thread to one processor; a worker's agent stays free, so that it is found by whoever waits for it.
inline void stay_on(int processor) {
    cpu_set_t processors;
    CPU_ZERO(&processors);
    CPU_SET(processor, &processors);
    ::sched_setaffinity(0, sizeof processors, &processors);
}

/// The worker's part: a victim until the owner stops it.
inline void suffer_in_worker(WorkerSide& side) {
    auto& board = side.blackboard<VictimBoard>();
    stay_on(board.processor);
    const auto word = [&](std::uint64_t step) {
        return reinterpret_cast<volatile std::uint64_t*>(board.word_address +
                                                          step % board.words * board.stride_pages * page_size);
    };
    *word(0) = *word(0);  // a fault here is not the measured thing's
    VictimLog log;
    log.prepare();
    // relaxed: only says that it is at work.
    board.at_work.store(1, std::memory_order_relaxed);
    suffer(log, side, word);
    board.iterations = log.iterations;
    board.stalled_ns = log.stalled_ns;
    board.duration_ns = log.duration_ns;
    board.stalls = log.stalls;
    board.last_run = log.last_run;
    board.absence_count = std::min(log.absences.size(), board.absences.size());
    board.absences_lost = log.absences_lost;
    std::copy_n(log.absences.begin(), board.absence_count, board.absences.begin());
}

/// Waits for the end of the run, then for the end of the worker's job, which is asked to end. Errors: as Worker::wait.
/// Cost: a look every two milliseconds, a few microseconds each, on the processor that this thread shares with the worker.
inline Status stand_by(Worker& worker, const TeamMember& member) {
    constexpr auto between_looks = std::chrono::milliseconds(2);
    Status ended = fail(ErrorCode::try_again);
    while (!member.stopping() && !ended && ended.error().code == ErrorCode::try_again) {
        ended = worker.wait(between_looks);  // early where it died
    }
    worker.request_stop();
    return !ended && ended.error().code == ErrorCode::try_again ? worker.wait() : ended;
}

/// The words of a victim, at addresses of its worker.
struct WorkerWords {
    std::uint64_t address = 0;  ///< of the first
    std::uint64_t count = 1;
    std::uint64_t stride_pages = 1;
};

/// The team's part: between `start` and `stop` of `member`, the worker suffers at `words`, on this thread's processor.
/// What it saw is added to `log`.
inline Status stand_by_a_victim(Worker& worker, const WorkerWords& words, TeamMember& member, VictimLog& log) {
    auto& board = worker.blackboard<VictimBoard>();
    board.word_address = words.address;
    board.words = words.count;
    board.stride_pages = words.stride_pages;
    board.processor = ::sched_getcpu();
    board.at_work.store(0, std::memory_order_relaxed);  // relaxed: the start of the job publishes it
    member.start();
    worker.start(suffer_in_worker);
    Status ended = stand_by(worker, member);
    member.stop(ended ? board.iterations : 0);
    if (!ended) {
        return ended;
    }
    log.iterations += board.iterations;
    log.stalled_ns += board.stalled_ns;
    log.duration_ns += board.duration_ns;
    log.stalls.merge(board.stalls);
    log.last_run = board.last_run;
    log.absences.assign(board.absences.begin(),
                        board.absences.begin() + static_cast<std::ptrdiff_t>(board.absence_count));
    log.absences_lost = board.absences_lost;
    return {};
}

/// Waits until the victim that was started last is at work, or its worker has ended.
inline void await_victim(Worker& worker) {
    // relaxed: only says that it is at work.
    while (worker.blackboard<VictimBoard>().at_work.load(std::memory_order_relaxed) == 0 &&
           worker.state() == WorkerState::running) {
        std::this_thread::yield();
    }
}

/// What the standing-by threads counted was their own: in its place, why there is nothing, and the faults that the owner
/// answered. `faults` are the victims', all together.
inline void disown_counters(std::vector<ThreadReport>& threads, std::uint64_t faults) {
    bool first = true;
    for (ThreadReport& thread : threads) {
        if (thread.role != "victim") {
            continue;
        }
        for (CounterReading& reading : thread.counters) {
            reading.value.reset();
            reading.state = CounterState::absent;
            reading.why = "the victim is another process, whose counters this one does not open";
            if (reading.name == "page_faults") {
                reading.value = first ? static_cast<double>(faults) : 0.0;
                reading.state = CounterState::ok;
                reading.why.clear();
            }
        }
        first = false;
    }
}

}  // namespace page_map_lab::bench
