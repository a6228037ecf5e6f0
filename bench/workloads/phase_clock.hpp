// Observers of a removal's phases: one that reads the clock at each border, one that reads counters.
//
// Thread safety: each observer belongs to the thread that removes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/harness/sample.hpp"
#include "bench/harness/timeline_marks.hpp"
#include "bench/workloads/victim.hpp"
#include "impl/page_map/phase.hpp"
#include "impl/platform/counters.hpp"

namespace page_map_lab::bench {

/// Time per phase, summed over removals. Cost: one reading of the steady clock a border, about 25 ns.
class PhaseClock final : public PhaseObserver {
public:
    // Room for a removal that waits often, so that its borders allocate nothing.
    PhaseClock() { spans_.reserve(64); }

    void enter(page_map_lab::Phase phase) noexcept override {
        if (open_ == Phase::count) {
            spans_.clear();
        }
        close();
        open_ = phase;
    }
    void finish() noexcept override {
        close();
        open_ = Phase::count;
        ++removals_;
    }

    /// Empty where nothing was observed: a raw call has no phases.
    std::vector<bench::Phase> phases() const {
        std::vector<bench::Phase> all;
        for (std::size_t phase = 0; phase < times_ns_.size() && removals_ != 0; ++phase) {
            all.push_back({std::string(phase_names[phase]), times_ns_[phase], removals_});
        }
        return all;
    }

    /// Marks the last removal's phases, as those of the thread that removed.
    void mark(TimelineMarks& timeline, pid_t thread) const {
        for (const auto& [phase, span] : spans_) {
            timeline.add(std::string(phase_names[static_cast<std::size_t>(phase)]), "initiator", thread, span.started,
                         span.ended);
        }
    }

private:
    using Phase = page_map_lab::Phase;
    using Clock = std::chrono::steady_clock;

    void close() noexcept {
        const auto now = Clock::now();
        if (open_ != Phase::count) {
            spans_.emplace_back(open_, TimeSpan{since_, now});
            times_ns_[static_cast<std::size_t>(open_)] +=
                static_cast<std::uint64_t>(std::chrono::nanoseconds(now - since_).count());
        }
        since_ = now;
    }

    std::array<std::uint64_t, static_cast<std::size_t>(Phase::count)> times_ns_{};
    std::vector<std::pair<Phase, TimeSpan>> spans_{};  ///< of the last removal, in order
    std::uint64_t removals_ = 0;
    Phase open_ = Phase::count;
    Clock::time_point since_{};
};

/// Counters per phase. Cost: one or two system calls a border, about 1 us each, so its removals are not timed.
class PhaseCounterMarks final : public PhaseObserver {
public:
    /// On the thread that will remove.
    void open() { counters_.emplace(PhaseCounters::open()); }

    void enter(page_map_lab::Phase phase) noexcept override {
        close();
        open_ = phase;
    }
    void finish() noexcept override {
        close();
        open_ = Phase::count;
        ++removals_;
    }

    /// Gives each phase the counters that were read around it; one that never came, because nobody had to wait, has none.
    void add_to(std::vector<bench::Phase>& phases) const {
        for (std::size_t phase = 0; phase < phases.size(); ++phase) {
            if (!came_[phase]) {
                continue;
            }
            phases[phase].counters = counters_->readings(totals_[phase]);
            phases[phase].counted_operations = removals_;
        }
    }

private:
    using Phase = page_map_lab::Phase;

    void close() noexcept {
        if (!counters_) {
            return;
        }
        const PhaseSample now = counters_->sample();
        if (open_ != Phase::count) {
            accumulate(totals_[static_cast<std::size_t>(open_)], before_, now);
            came_[static_cast<std::size_t>(open_)] = true;
        }
        before_ = counters_->sample();  // reading is not the next phase's work
    }

    std::optional<PhaseCounters> counters_;
    std::array<PhaseSample, static_cast<std::size_t>(Phase::count)> totals_{};
    std::array<bool, static_cast<std::size_t>(Phase::count)> came_{};
    PhaseSample before_{};
    std::uint64_t removals_ = 0;
    Phase open_ = Phase::count;
};

}  // namespace page_map_lab::bench
