// A small fixed piece of arithmetic, timed: how steady a processor is, and whether two of them share one core.
//
// The arithmetic keeps a core's units busy and touches no memory, so that two siblings of one core get about half of it
// each, and two cores all of it. Topologies of virtual machines are often made up; this asks the hardware.
//
// Thread safety: plain functions; measure_* start and join their own threads, which pin themselves.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab::bench {

/// One round of the fixed work. The rounds of a thread follow each other without a gap.
struct CalibrationRound {
    std::int64_t begin_ns = 0;      ///< steady clock
    std::int64_t end_ns = 0;        ///< steady clock
    std::int64_t processor_ns = 0;  ///< processor time that the thread got meanwhile

    /// Whether the thread kept its processor: another's time slice in it makes a round longer than its processor time.
    bool kept_its_processor() const noexcept;
};

using CalibrationRounds = std::vector<CalibrationRound>;

/// What a thread does in its rounds: work, or hold its processor while it leaves the core's units to a sibling.
enum class CalibrationKind : std::uint8_t { works, pauses };

/// Whether other programs may interrupt the rounds.
enum class CalibrationPriority : std::uint8_t {
    as_a_benchmark,   // as they may interrupt a benchmark
    ahead_of_others,  // real-time where the system permits it: for what the hardware does, not for how busy it is
};

/// One processor, and what it does.
struct CalibrationThread {
    unsigned cpu = 0;  ///< OS index
    CalibrationKind kind = CalibrationKind::works;
};

/// Two processors that both work, against each that works while the other only pauses. An idle partner would say less:
/// on a busy machine it is not idle, but runs another program.
struct PairThroughput {
    unsigned first_cpu = 0;            ///< OS index
    unsigned second_cpu = 0;           ///< OS index
    std::uint64_t proven_rounds = 0;   ///< of the scarcest kind: rounds with the other proven to do its part
    std::optional<double> throughput;  ///< 2 on cores of their own, about 1 on siblings; none where too few were proven
};

/// What one processor takes for a round when nobody disturbs: the tenth percentile, ns. None without a kept round.
std::optional<double> undisturbed_ns(std::span<const CalibrationRound> rounds);

/// The rounds of `own` during the whole of which `partner` kept its processor: only those say what sharing costs.
CalibrationRounds proven_rounds(std::span<const CalibrationRound> own, std::span<const CalibrationRound> partner);

/// The median processor time of the rounds that kept their processor, ns. None without one.
std::optional<double> typical_ns(std::span<const CalibrationRound> rounds);

/// Runs rounds on all these processors at once for that long, after a short warm-up. Result: one list for each.
/// Errors: unavailable, where a thread cannot be pinned. Cost: `duration` and 5 ms.
Result<std::vector<CalibrationRounds>> measure_rounds(const Topology& topology,
                                                      std::span<const CalibrationThread> together,
                                                      std::chrono::milliseconds duration,
                                                      CalibrationPriority priority = {});

/// Lets two processors take turns in working, and work together, until enough rounds are proven or the tries are over.
/// Runs ahead of other programs where it may, which on a busy machine is the only time when both run at once.
/// Errors: as measure_rounds. Cost: 75 ms, on a busy machine up to 375 ms.
Result<PairThroughput> measure_pair(const Topology& topology, unsigned first_cpu, unsigned second_cpu);

}  // namespace page_map_lab::bench
