// The mixed workload's loops over a plan: closed, as fast as it goes, or open, each operation when it is due.
//
// Thread safety: each call belongs to its thread. `operate(operation)` returns a Status, `between()` runs between
// operations, and `run.stopping()` ends the loop.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "bench/harness/latency_histogram.hpp"
#include "bench/workloads/pace.hpp"
#include "bench/workloads/versioned_pages.hpp"
#include "impl/core/error.hpp"

namespace page_map_lab::bench {

struct MixedOperation {
    PageIndex page = 0;
    bool write = false;
    bool mapped = false;
};
/// What one thread does, around and around; a multiple of a block's operations.
using MixedPlan = std::vector<MixedOperation>;
inline constexpr std::size_t mixed_block = 16;

/// What one thread saw.
struct MixedLog {
    std::uint64_t wrong_reads = 0;
    LatencyHistogram read_latencies;
    LatencyHistogram write_latencies;

    void record(const MixedOperation& operation, std::chrono::steady_clock::duration taken) noexcept {
        const auto taken_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(taken).count());
        (operation.write ? write_latencies : read_latencies).record(taken_ns);
    }
};

/// Reads or writes the page's version at `place`.
inline void use(VersionedPages& versions, const MixedOperation& operation, std::byte* place, MixedLog& log) noexcept {
    if (operation.write) {
        versions.write(operation.page, place);
    } else if (!versions.read(operation.page, place)) [[unlikely]] {
        ++log.wrong_reads;
    }
}

/// Turns the resident pages over, so that what is measured is not the filling of a map.
template <class Operate, class Between>
Status warm_up(std::span<const MixedOperation> plan, std::uint64_t at_most, Operate&& operate, Between&& between) {
    Status outcome;
    for (std::size_t position = plan.size() - std::min<std::size_t>(plan.size(), at_most);
         position < plan.size() && outcome; ++position) {
        outcome = operate(plan[position]);
        between();
    }
    return outcome;
}

/// Blocks of operations, the first of each timed. Returns how many.
template <class Run, class Operate, class Between>
[[gnu::noinline]] Result<std::uint64_t> work_closed(std::span<const MixedOperation> plan, const Run& run, MixedLog& log,
                                                    Operate&& operate, Between&& between) {
    using Clock = std::chrono::steady_clock;
    std::uint64_t operations = 0;
    std::size_t position = 0;
    Status outcome;
    do {
        const auto started = Clock::now();
        outcome = operate(plan[position]);
        log.record(plan[position], Clock::now() - started);
        for (std::size_t next = 1; next < mixed_block && outcome; ++next) {
            outcome = operate(plan[position + next]);
        }
        operations += mixed_block;
        position = (position + mixed_block) % plan.size();
        between();
    } while (outcome && !run.stopping());
    if (!outcome) {
        return tl::unexpected(std::move(outcome.error()));
    }
    return operations;
}

/// Each operation when it is due, or at once where it is late; all are timed, from when they were due. Returns how many.
template <class Run, class Operate, class Between>
[[gnu::noinline]] Result<std::uint64_t> work_open(std::span<const MixedOperation> plan, std::uint64_t interval_ns,
                                                  const Run& run, MixedLog& log, Operate&& operate, Between&& between) {
    using Clock = std::chrono::steady_clock;
    std::uint64_t operations = 0;
    Status outcome;
    Pace pace(interval_ns);
    while (outcome && !run.stopping()) {
        between();
        const auto due = pace.next([&] { return run.stopping(); }, between);
        const MixedOperation& operation = plan[operations % plan.size()];
        outcome = operate(operation);
        log.record(operation, Clock::now() - due);
        ++operations;
    }
    if (!outcome) {
        return tl::unexpected(std::move(outcome.error()));
    }
    return operations;
}

/// Closed where the interval is 0, open otherwise.
template <class Run, class Operate, class Between>
Result<std::uint64_t> work_through(std::span<const MixedOperation> plan, std::uint64_t interval_ns, const Run& run,
                                   MixedLog& log, Operate&& operate, Between&& between) {
    return interval_ns == 0 ? work_closed(plan, run, log, operate, between)
                            : work_open(plan, interval_ns, run, log, operate, between);
}

}  // namespace page_map_lab::bench
