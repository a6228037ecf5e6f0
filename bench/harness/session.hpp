// One launch: which cells live at the same time, in which order they are measured, and what becomes of them.
//
// Thread safety: none.
// Invariants:
//   1. Repetition r of every cell of a group comes before repetition r + 1 of any; the order within is shuffled by the
//      seed. Groups exist only where the fixtures would not fit into memory together.
//   2. The subject of --beside is measured right before or right after, alternating from repetition to repetition.
//   3. A cell is checked once, after its last repetition; one that fails takes no other down.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/harness/cell_result.hpp"
#include "bench/harness/environment.hpp"
#include "bench/harness/options.hpp"
#include "bench/harness/reporter.hpp"
#include "bench/harness/selection.hpp"
#include "bench/harness/thread_team.hpp"
#include "bench/harness/workload.hpp"

namespace page_map_lab::bench {

class Session {
public:
    Session(const WorkloadDescription& workload, const Options& options, Environment& environment, ThreadTeam& team);

    /// Makes the cells. Errors: usage, where a name matches nothing, a list is bad, or a point cannot be run.
    Status plan();

    /// Hands every repetition of every cell to Google Benchmark, in the order in which it is to run; with `names_only`
    /// each cell once, for listing.
    void register_benchmarks(bool names_only);

    /// Checks and gives back what the last group still holds. To be called after the library ran.
    void finish();

    /// What was measured: only cells that the library's filter let through. Valid after finish.
    const std::deque<CellResult>& results() const { return results_; }
    const RunningRow& running_row() const { return row_; }

private:
    struct LiveCell {
        CellResult result;
        std::unique_ptr<Cell> cell;
        std::unique_ptr<Cell> beside;
        std::size_t group = 0;
        bool started = false;
    };

    void make_groups(std::size_t cells_per_point);
    void run(benchmark::State& state, std::size_t position, unsigned repetition);
    void measure(LiveCell& live, unsigned repetition);
    void finish_group(std::size_t group);
    void check(LiveCell& live);

    const WorkloadDescription& workload_;
    const Options& options_;
    Environment& environment_;
    ThreadTeam& team_;
    std::vector<LiveCell> cells_;
    std::size_t current_group_ = 0;
    RunningRow row_;
    std::deque<CellResult> results_;
};

/// Splits cells, in order, into runs whose footprints fit into `budget_bytes` together; a fixture that several cells
/// share counts once. Where a whole point (`cells_per_point` neighbours) fits, it is not torn apart. Returns each
/// cell's group.
std::vector<std::size_t> groups_within(const std::vector<std::vector<Cell::Footprint>>& footprints,
                                       std::size_t cells_per_point, std::uint64_t budget_bytes);

}  // namespace page_map_lab::bench
