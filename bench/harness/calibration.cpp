#include "bench/harness/calibration.hpp"

#include <algorithm>
#include <array>
#include <barrier>
#include <cstddef>
#include <iterator>
#include <string>
#include <thread>

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "impl/platform/pinning.hpp"

namespace page_map_lab::bench {
namespace {

constexpr unsigned steps_in_a_round = 16'384;
constexpr unsigned pauses_in_a_round = 1'024;
constexpr std::chrono::milliseconds warm_up{5};
constexpr std::chrono::milliseconds part_of_pair{20};
constexpr std::uint64_t enough_proven_rounds = 50;
constexpr int most_tries = 5;
// Reading the clocks and the timer's tick take some microseconds, another thread's slice takes milliseconds.
constexpr std::int64_t tolerated_absence_ns = 10'000;

std::int64_t now_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Eight independent chains: enough to fill the arithmetic units of a core, so that a sibling is felt.
void work(std::array<std::uint64_t, 8>& chains) {
    for (unsigned step = 0; step < steps_in_a_round; ++step) {
        for (auto& chain : chains) {
            chain ^= chain << 7;
            chain += chain >> 9;
            asm volatile("" : "+r"(chain));  // neither removed nor turned into vector code
        }
    }
}

/// A sibling that pauses takes almost nothing of the core, and keeps others off its processor.
void pause() {
    for (unsigned step = 0; step < pauses_in_a_round; ++step) {
#if defined(__x86_64__)
        asm volatile("pause");
#else
        asm volatile("yield");
#endif
    }
}

CalibrationRounds run_rounds(CalibrationKind kind, std::chrono::milliseconds duration) {
    std::array<std::uint64_t, 8> chains{1, 2, 3, 4, 5, 6, 7, 8};
    CalibrationRounds rounds;
    rounds.reserve(static_cast<std::size_t>(duration.count()) * 64);
    std::int64_t begin = now_ns(CLOCK_MONOTONIC);
    std::int64_t processor = now_ns(CLOCK_THREAD_CPUTIME_ID);
    const std::int64_t last = begin + std::chrono::nanoseconds(duration).count();
    while (begin < last) {
        kind == CalibrationKind::works ? work(chains) : pause();
        const std::int64_t end = now_ns(CLOCK_MONOTONIC);
        const std::int64_t processor_end = now_ns(CLOCK_THREAD_CPUTIME_ID);
        rounds.push_back({begin, end, processor_end - processor});
        begin = end;
        processor = processor_end;
    }
    return rounds;
}

std::optional<double> quantile_of_kept(std::span<const CalibrationRound> rounds, double quantile) {
    std::vector<std::int64_t> times;
    for (const auto& round : rounds) {
        if (round.kept_its_processor()) {
            times.push_back(round.processor_ns);
        }
    }
    if (times.empty()) {
        return std::nullopt;
    }
    const auto place = static_cast<std::ptrdiff_t>(quantile * static_cast<double>(times.size() - 1));
    std::nth_element(times.begin(), times.begin() + place, times.end());
    return static_cast<double>(times[static_cast<std::size_t>(place)]);
}

}  // namespace

bool CalibrationRound::kept_its_processor() const noexcept {
    return end_ns - begin_ns - processor_ns <= tolerated_absence_ns;
}

std::optional<double> undisturbed_ns(std::span<const CalibrationRound> rounds) {
    return quantile_of_kept(rounds, 0.1);
}

std::optional<double> typical_ns(std::span<const CalibrationRound> rounds) {
    return quantile_of_kept(rounds, 0.5);
}

CalibrationRounds proven_rounds(std::span<const CalibrationRound> own, std::span<const CalibrationRound> partner) {
    CalibrationRounds proven;
    auto first = partner.begin();
    for (const auto& round : own) {
        first = std::find_if(first, partner.end(), [&](const auto& other) { return other.end_ns > round.begin_ns; });
        if (first == partner.end()) {
            break;
        }
        if (first->begin_ns > round.begin_ns || partner.back().end_ns < round.end_ns) {
            continue;
        }
        const auto past =
            std::find_if(first, partner.end(), [&](const auto& other) { return other.begin_ns >= round.end_ns; });
        if (std::all_of(first, past, [](const auto& other) { return other.kept_its_processor(); })) {
            proven.push_back(round);
        }
    }
    return proven;
}

Result<std::vector<CalibrationRounds>> measure_rounds(const Topology& topology,
                                                      std::span<const CalibrationThread> together,
                                                      std::chrono::milliseconds duration,
                                                      CalibrationPriority priority) {
    std::vector<CalibrationRounds> rounds(together.size());
    std::vector<PinOutcome> pinned(together.size());
    std::barrier start(static_cast<std::ptrdiff_t>(together.size()));
    {
        std::vector<std::jthread> threads;
        for (std::size_t place = 0; place < together.size(); ++place) {
            threads.emplace_back([&, place] {
                pinned[place] = pin_this_thread(topology, together[place].cpu);
                if (priority == CalibrationPriority::ahead_of_others) {
                    const sched_param lowest_real_time{.sched_priority = 1};
                    // Without the permission it runs as everybody else: fewer rounds are proven then.
                    (void)pthread_setschedparam(pthread_self(), SCHED_FIFO, &lowest_real_time);
                }
                run_rounds(CalibrationKind::works, warm_up);
                start.arrive_and_wait();
                rounds[place] = run_rounds(together[place].kind, duration);
            });
        }
    }
    for (const auto& outcome : pinned) {
        if (outcome.state != PlacementState::ok) {
            return fail(ErrorCode::unavailable, "CPU " + std::to_string(outcome.asked_cpu) +
                                                    " cannot be taken: " + outcome.why + ": leave it out of --cpus");
        }
    }
    return rounds;
}

Result<PairThroughput> measure_pair(const Topology& topology, unsigned first_cpu, unsigned second_cpu) {
    using enum CalibrationKind;
    struct Part {
        std::array<CalibrationKind, 2> kinds;
        std::array<CalibrationRounds, 2> proven{};  ///< of those that work
    };
    std::array parts{Part{{works, pauses}}, Part{{pauses, works}}, Part{{works, works}}};
    PairThroughput pair{.first_cpu = first_cpu, .second_cpu = second_cpu, .proven_rounds = 0, .throughput = {}};
    for (int attempt = 0; attempt < most_tries && pair.proven_rounds < enough_proven_rounds; ++attempt) {
        pair.proven_rounds = UINT64_MAX;
        for (auto& [kinds, proven] : parts) {
            const std::array threads{CalibrationThread{first_cpu, kinds[0]}, CalibrationThread{second_cpu, kinds[1]}};
            const auto rounds = measure_rounds(topology, threads, part_of_pair, CalibrationPriority::ahead_of_others);
            if (!rounds) {
                return tl::unexpected<Error>(rounds.error());
            }
            for (std::size_t place = 0; place < kinds.size(); ++place) {
                if (kinds[place] == works) {
                    std::ranges::copy(proven_rounds((*rounds)[place], (*rounds)[1 - place]),
                                      std::back_inserter(proven[place]));
                    pair.proven_rounds = std::min<std::uint64_t>(pair.proven_rounds, proven[place].size());
                }
            }
        }
    }
    if (pair.proven_rounds < enough_proven_rounds) {
        return pair;
    }
    const double first = *typical_ns(parts[0].proven[0]) / *typical_ns(parts[2].proven[0]);
    const double second = *typical_ns(parts[1].proven[1]) / *typical_ns(parts[2].proven[1]);
    pair.throughput = first + second;
    return pair;
}

}  // namespace page_map_lab::bench
