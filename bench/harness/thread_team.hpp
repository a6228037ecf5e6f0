// A team of persistent threads, pinned by a plan, that start together, each with its own clock and counters.
//
// Thread safety: `run` from one thread at a time; a TeamMember belongs to its thread, but for `request_stop`.
// Invariants:
//   1. Between a member's `start` and `stop` the harness does nothing on its thread.
//   2. No member leaves `start` before all have entered it.
//   3. The threads live as long as the team: no thread is made inside a measurement.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/harness/profiler_control.hpp"
#include "bench/harness/sample.hpp"
#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/platform/counters_reading.hpp"
#include "impl/platform/pinning.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab {
class ThreadCounters;
}

namespace page_map_lab::bench {

/// So many threads that do the same: {"reader", 2}.
struct Role {
    std::string name;
    unsigned threads = 1;
};

/// What the members of one run share.
struct RunControl {
    ProfilerControl* profiler = nullptr;  ///< told by the first member when the measured part begins and ends
    alignas(cache_line_size) std::atomic<bool> stop{false};
    // How many have still to arrive at each barrier: before the counters start, and before the clocks do.
    alignas(cache_line_size) std::atomic<unsigned> missing[2];
};

/// One thread's view of a run. The body calls, in this order:
///
///     prepare;                         // register with the read path, allocate: not measured
///     member.start();                  // the barrier; counters and clock start behind it
///     do { a block of operations; } while (!member.stopping());
///     member.stop(operations);         // clock and counters stop
///     leave;                           // unregister: not measured
///
/// A thread of a quiescent-state flavour registers last before start and does not wait for a grace period in between.
class TeamMember {
public:
    const std::string& role() const { return report_.role; }
    unsigned index() const { return index_; }                  ///< among all members of the run
    unsigned index_in_role() const { return index_in_role_; }  ///< among those of its role

    /// Waits for the others, then starts this thread's counters and clock. Blocking (spins, then yields).
    void start();

    /// Whether this run is over: the time is up, or somebody asked. To be polled between blocks; one relaxed load.
    bool stopping() const noexcept {
        // relaxed: the flag carries no data; the run's end orders everything.
        return control_->stop.load(std::memory_order_relaxed);
    }

    /// Ends the run for everybody: an initiator that is done calls it for its victims. Any thread.
    void request_stop() noexcept {
        // relaxed: see stopping().
        control_->stop.store(true, std::memory_order_relaxed);
    }

    /// Stops clock and counters. `operations` is how many were done since start.
    void stop(std::uint64_t operations);

private:
    friend class ThreadTeam;
    ThreadReport report_;
    unsigned index_ = 0;
    unsigned index_in_role_ = 0;
    RunControl* control_ = nullptr;
    ThreadCounters* counters_ = nullptr;
    std::chrono::steady_clock::time_point started_{};
    std::uint64_t cpu_started_ns_ = 0;
    unsigned barriers_passed_ = 0;
    bool stopped_ = false;
};

class ThreadTeam {
public:
    using Body = std::function<Status(TeamMember&)>;

    /// No thread is made yet. `counters` names the set that each thread opens for itself.
    ThreadTeam(const Topology& topology, PinningPlan plan, CounterSetName counters);
    ~ThreadTeam();
    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    /// Runs `body` on every member of every role at once and returns their reports, in the order of the roles.
    /// The plan gives CPUs in that order, so name the role first whose place matters most. The run is stopped after
    /// `duration`; with a duration of zero, only by request_stop or by the bodies' own ends.
    /// Errors: usage where the plan has no CPU for so many; system where a thread cannot be made; else the first error of
    /// a body (the others are stopped).
    Result<std::vector<ThreadReport>> run(const std::vector<Role>& roles, std::chrono::nanoseconds duration,
                                          const Body& body);

    /// Whether the plan can serve so many threads. Errors: usage, with the way out.
    Status can_run(unsigned threads) const;

    /// From now on the profiler samples from the members' start to the first member's stop. It outlives the team.
    void profile_with(ProfilerControl& profiler) { profiler_ = &profiler; }

    /// From now on counts of shootdown interrupts are absent, with this reason: none would arrive, and a 0 would look as if
    /// nobody had been shot down.
    void count_no_interrupts(std::string why) { why_no_interrupts_ = std::move(why); }

    /// Opens the counters on the first thread: empty where all that the set promises are there, else the reason.
    std::string why_counters_unusable();

private:
    struct Worker;
    Status make_workers(std::size_t count);
    const Topology& topology_;
    PinningPlan plan_;
    CounterSetName counter_set_;
    ProfilerControl* profiler_ = nullptr;
    std::string why_no_interrupts_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace page_map_lab::bench
