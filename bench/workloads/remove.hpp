// The remove workload: what taking a range of pages away costs, from marking them to giving their memory back.
//
// Each removal is a run of the team of its own: the initiator prepares (pages resident, mapped, partly dirty),
// everybody starts, the initiator removes under its clock, and everybody's counters are read: so interrupts are counted
// per removal, on the victim's thread. The score is the median removal of the repetition over the pages it removed.
// Phases come from further removals that are not scored: one whose observer reads the clock at each border (about 25 ns
// a border), and in the first repetition one that reads counters there (about 1 us a border).
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/phase_clock.hpp"
#include "bench/workloads/remove_target.hpp"
#include "bench/workloads/victim_evidence.hpp"

namespace page_map_lab::bench {

class RemoveCell final : public Cell {
public:
    using MakeTarget = std::function<std::unique_ptr<RemoveTarget>(const RemoveShape&, Environment&)>;

    RemoveCell(const Parameters& parameters, bool keep_memory, MakeTarget make_target)
        : make_target_(std::move(make_target)),
          shape_{.pages = parameters.number("pages"),
                 .dirty_percent = parameters.number("dirty_percent"),
                 .pinned_percent = parameters.number("pinned_percent"),
                 .regions = parameters.number("regions"),
                 .mapped = parameters.text("mapped") == "yes",
                 .keep_memory = keep_memory,
                 .victims = static_cast<unsigned>(parameters.number("victims")),
                 .processes = static_cast<unsigned>(parameters.number("processes")),
                 .shootdown_spaces = parameters.number("shootdown_spaces")} {}

    Footprint footprint() const override { return {"", 2 * shape_.object_pages() * page_size}; }
    Status set_up(Environment&) override { return {}; }

    // The target lives for a repetition: a policy that closes a whole address space would close every cell's regions.
    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned repetition) override {
        Repetition all;
        {
            const std::unique_ptr<RemoveTarget> made = make_target_(shape_, environment);
            if (made == nullptr) {
                Sample nothing;
                nothing.excluded = "raw calls are made in this process: measure a floor with --processes 0";
                return nothing;
            }
            RemoveTarget& target = *made;
            all.logs.resize(shape_.victims);
            all.iterations.resize(shape_.victims);
            if (Status removed = remove_repeatedly(target, environment.minimum_time, team, all); !removed) {
                return tl::unexpected(removed.error());
            }
            PhaseClock clock;
            if (Status watched = remove_marked(target, team, clock, all, environment.timeline); !watched) {
                return tl::unexpected(watched.error());
            }
            all.phases = clock.phases();
            if (repetition == 0) {
                PhaseCounterMarks marks;
                if (Status watched = remove_watched(target, team, marks, all); !watched) {
                    return tl::unexpected(watched.error());
                }
                marks.add_to(all.phases);
            }
            complain(target.finish(all.iterations));
        }
        Digest digest;
        for (const std::uint64_t fact : {shape_.pages, shape_.removable(), shape_.dirty_percent, shape_.regions}) {
            digest.add(fact);
        }
        digest_ = digest;
        return sample_of(std::move(all));
    }

    CheckOutcome check(Environment&) override { return {wrong_.empty(), digest_.text(), wrong_}; }

private:
    /// One removal and what surrounds it.
    struct Removal {
        TimedRemoval timed;
        std::vector<ThreadReport> threads;
        std::vector<VictimLog> logs;
        pid_t initiator = 0;  ///< its thread, by the kernel's id
        std::optional<std::uint64_t> faults{};  ///< the victims', where they are in other processes
    };

    /// What a repetition adds up.
    struct Repetition {
        std::vector<std::uint64_t> times_ns;    ///< of the removals that count
        std::vector<double> interrupts;         ///< each of them, on its victims, where that can be counted
        std::vector<ThreadReport> threads;
        std::vector<ThreadReport> threads_discarded;  ///< of the last removal that does not count
        std::vector<VictimLog> logs;            ///< sums over the removals that count
        std::vector<std::uint64_t> iterations;  ///< of each victim, in every removal there was
        std::vector<Phase> phases;
        LatencyHistogram latencies;
        ShootdownCost cost;
        std::uint64_t removed = 0;
        std::uint64_t written_back = 0;
        std::uint64_t discarded = 0;
        std::string why_discarded;
    };

    Status remove_repeatedly(RemoveTarget& target, std::chrono::nanoseconds at_least, ThreadTeam& team,
                             Repetition& all) {
        constexpr std::size_t fewest_removals = 3;
        using Clock = std::chrono::steady_clock;
        const auto deadline = Clock::now() + at_least;
        const auto end_of_patience = Clock::now() + patience_of(at_least);
        while (all.times_ns.size() < fewest_removals || Clock::now() < deadline) {
            Result<Removal> removal = remove_once(target, team, nullptr, all);
            if (!removal) {
                return tl::unexpected(removal.error());
            }
            const VictimEvidence evidence(removal->threads);
            const std::uint64_t time_ns = removal->timed.time.duration_ns();
            usual_pause_.note(removal->timed.time, removal->logs);
            if (!VictimEvidence::supports(removal->timed.time, removal->logs, usual_pause_.longest_excused())) {
                all.why_discarded = evidence.why_nothing_counts();
                all.threads_discarded = std::move(removal->threads);
                ++all.discarded;
                if (Clock::now() >= end_of_patience) {
                    break;
                }
                continue;
            }
            all.times_ns.push_back(time_ns);
            all.latencies.record(time_ns);
            if (evidence.shootdowns.value) {
                all.interrupts.push_back(*evidence.shootdowns.value / std::max(1U, shape_.victims));
            }
            all.cost += removal->timed.outcome.shootdown;
            all.removed += removal->timed.outcome.removed;
            all.written_back += removal->timed.outcome.written_back;
            for (std::size_t victim = 0; victim < all.logs.size(); ++victim) {
                all.logs[victim].add(removal->logs[victim]);
            }
            add_run(all.threads, std::move(removal->threads));
        }
        return {};
    }

    /// One removal under the clock that goes onto the timeline, where there is one, with what its victims saw of it.
    Status remove_marked(RemoveTarget& target, ThreadTeam& team, PhaseClock& clock, Repetition& all,
                         TimelineMarks* timeline) {
        Result<Removal> removal = remove_once(target, team, &clock, all, timeline != nullptr);
        if (!removal) {
            return tl::unexpected(removal.error());
        }
        if (timeline != nullptr) {
            timeline->begin_run();
            const TimeSpan& whole = removal->timed.time;
            timeline->add("removal", "initiator", removal->initiator, whole.started, whole.ended);
            clock.mark(*timeline, removal->initiator);
            for (const VictimLog& log : removal->logs) {
                timeline->add("at work", "victim", log.thread, log.last_run.started, log.last_run.ended);
                for (const TimeSpan& stall : log.each_stall) {
                    timeline->add("stall", "victim", log.thread, stall.started, stall.ended);
                }
            }
        }
        return {};
    }

    Status remove_watched(RemoveTarget& target, ThreadTeam& team, PhaseObserver& observer, Repetition& all) {
        if (Result<Removal> removal = remove_once(target, team, &observer, all); !removal) {
            return tl::unexpected(removal.error());
        }
        return {};
    }

    Result<Removal> remove_once(RemoveTarget& target, ThreadTeam& team, PhaseObserver* observer, Repetition& all,
                                bool keep_stalls = false) {
        Removal removal;
        removal.logs.resize(shape_.victims);
        for (VictimLog& log : removal.logs) {
            log.keep_stalls = keep_stalls;
        }
        auto reports = team.run({{"initiator", 1}, {"victim", shape_.victims}}, {}, [&](TeamMember& member) -> Status {
            if (member.role() == "victim") {
                return target.be_a_victim(member.index_in_role(), member, removal.logs[member.index_in_role()]);
            }
            return initiate(target, member, observer, removal);
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        removal.threads = *std::move(reports);
        for (std::size_t victim = 0; victim < removal.logs.size(); ++victim) {
            all.iterations[victim] += removal.logs[victim].iterations;
        }
        if (removal.faults) {
            disown_counters(removal.threads, *removal.faults);
        }
        return removal;
    }

    Status initiate(RemoveTarget& target, TeamMember& member, PhaseObserver* observer, Removal& removal) {
        if (Status prepared = target.prepare(); !prepared) {
            return prepared;
        }
        if (observer != nullptr) {
            prepare_observer(*observer);
        }
        member.start();
        target.await_victims();
        const auto faults_before = target.faults_answered();
        Result<TimedRemoval> removed = target.remove(observer);
        member.stop(1);
        if (const auto faults = target.faults_answered()) {
            removal.faults = *faults - *faults_before;
        }
        member.request_stop();
        if (!removed) {
            return tl::unexpected(std::move(removed.error()));
        }
        removal.timed = *std::move(removed);
        removal.initiator = gettid();
        complain(target.verify(removal.timed.outcome));
        return {};
    }

    /// Counters count for the thread that opens them.
    static void prepare_observer(PhaseObserver& observer) {
        if (auto* marks = dynamic_cast<PhaseCounterMarks*>(&observer)) {
            marks->open();
        }
    }

    Sample sample_of(Repetition all) const {
        Sample sample;
        sample.phases = std::move(all.phases);
        const Metric discarded{"removals_discarded", static_cast<double>(all.discarded), all.why_discarded};
        if (all.times_ns.empty()) {
            sample.excluded = all.why_discarded;
            sample.metrics.push_back(discarded);
            sample.threads = std::move(all.threads_discarded);
            return sample;
        }
        const std::size_t removals = all.times_ns.size();
        const auto middle = all.times_ns.begin() + static_cast<std::ptrdiff_t>((removals - 1) / 2);
        std::nth_element(all.times_ns.begin(), middle, all.times_ns.end());
        const auto each = static_cast<double>(removals);
        const double pages_each = std::max(1.0, static_cast<double>(all.removed) / each);
        sample.score = static_cast<double>(*middle) / pages_each;
        sample.metrics = interrupts_per_removal(all);
        const VictimEvidence evidence(all.threads);
        for (Metric& metric : victim_metrics(evidence, all.logs, removals,
                                             static_cast<double>(all.cost.system_calls) * shape_.victims /
                                                 std::max(1U, shape_.processes))) {
            sample.metrics.push_back(std::move(metric));
        }
        sample.metrics.push_back({"pages_per_second", 1e9 / sample.score, {}});
        sample.metrics.push_back({"pages_removed_per_operation", static_cast<double>(all.removed) / each, {}});
        sample.metrics.push_back(
            {"pages_written_back_per_operation", static_cast<double>(all.written_back) / each, {}});
        sample.metrics.push_back({"system_calls_per_operation", static_cast<double>(all.cost.system_calls) / each, {}});
        sample.metrics.push_back({"messages_per_operation", static_cast<double>(all.cost.messages) / each, {}});
        sample.metrics.push_back({"early_flushes_per_operation", static_cast<double>(all.cost.early_flushes) / each, {}});
        sample.metrics.push_back({"removals", each, {}});
        sample.metrics.push_back(discarded);
        sample.histograms.push_back({"latency", "initiator", all.latencies});
        if (shape_.victims != 0) {
            NamedHistogram stalls{"stall", "victim", {}};
            for (const VictimLog& log : all.logs) {
                stalls.latencies.merge(log.stalls);
            }
            sample.histograms.push_back(std::move(stalls));
        }
        sample.threads = std::move(all.threads);
        return sample;
    }

    /// The median over the repetition's removals, and how many of them had exactly one.
    static std::vector<Metric> interrupts_per_removal(Repetition& all) {
        const char* const median_name = "shootdown_interrupts";
        const char* const share_name = "fraction_exactly_one_interrupt";
        if (all.interrupts.size() != all.times_ns.size()) {
            const std::string why = VictimEvidence(all.threads).shootdowns.why;
            return {{median_name, std::nullopt, why}, {share_name, std::nullopt, why}};
        }
        const auto exactly_one = std::count(all.interrupts.begin(), all.interrupts.end(), 1.0);
        const auto middle = all.interrupts.begin() + static_cast<std::ptrdiff_t>((all.interrupts.size() - 1) / 2);
        std::nth_element(all.interrupts.begin(), middle, all.interrupts.end());
        return {{median_name, *middle, {}},
                {share_name, static_cast<double>(exactly_one) / static_cast<double>(all.interrupts.size()), {}}};
    }

    void complain(std::string what) {
        if (wrong_.empty()) {
            wrong_ = std::move(what);
        }
    }

    const MakeTarget make_target_;
    const RemoveShape shape_;
    UsualPause usual_pause_;  // of this cell's removals, in whichever repetition
    Digest digest_;
    std::string wrong_;
};

/// Other numbers of victims than the usual one, as a list: none, two, four and so on, and one on each other processor.
inline std::string further_victims(std::uint64_t processors) {
    std::string list = "0";
    for (std::uint64_t victims = 2; victims + 1 < processors; victims *= 2) {
        list += "," + std::to_string(victims);
    }
    return processors > 2 ? list + "," + std::to_string(processors - 1) : list;
}

/// What the remove workload asks, without subjects.
inline WorkloadDescription remove_question() {
    const std::uint64_t processors = std::max(1U, std::thread::hardware_concurrency());
    const std::uint64_t victims = processors > 1 ? 1 : 0;
    WorkloadDescription question{
        .name = "remove",
        .question = "How fast are pages taken away again, and which phase costs most?",
        .parameters = {ParameterAxis::numbers("pages", {512}, {1, 8, 32, 64, 512, 4096}, 1, std::uint64_t{1} << 20),
                       ParameterAxis::option("dirty_percent", 0, 0, 100),
                       ParameterAxis::option("pinned_percent", 0, 0, 100),
                       ParameterAxis::option("regions", 1, 1, 64),
                       ParameterAxis::option("mapped", {"yes", "no"}),
                       ParameterAxis::option("victims", victims, 0, 255),
                       ParameterAxis::option("processes", 0, 0, most_processes),
                       ParameterAxis::option("shootdown_spaces", default_shootdown_spaces, 1, most_shootdown_spaces)},
        .variations = {{{"dirty_percent", "50"}, {"pages", "512"}},
                       {{"pinned_percent", "25"}, {"pages", "512"}},
                       {{"regions", "4"}, {"pages", "512"}},
                       {{"processes", "1,4"}, {"victims", "0"}, {"pages", "512"}}},  // an agent would take a victim's processor
        .score = {.metric = "ns_per_page", .unit = "ns"},
        .possible = [](const Parameters& parameters) -> Status {
            const std::uint64_t pages = parameters.number("pages");
            if (RemoveShape::count_chosen(pages, parameters.number("pinned_percent")) == pages) {
                return fail(ErrorCode::usage, "pinned_percent=" + std::to_string(parameters.number("pinned_percent")) +
                                                  " leaves no page to remove: lower it");
            }
            const std::uint64_t processes = parameters.number("processes");
            if (processes != 0 && parameters.number("victims") > processes) {
                return fail(ErrorCode::usage, "victims=" + std::to_string(parameters.number("victims")) +
                                                  " do not fit processes=" + std::to_string(processes) +
                                                  ", one victim each: lower victims or raise --processes");
            }
            if (processes != 0 && parameters.text("mapped") == "no") {
                return fail(ErrorCode::usage, "mapped=no leaves nothing for processes to do: leave --processes out");
            }
            return {};
        },
        .threads_needed =
            [](const Parameters& parameters) { return 1 + static_cast<unsigned>(parameters.number("victims")); }};
    if (victims != 0) {
        question.variations.push_back({{"victims", further_victims(processors)}, {"pages", "512"}});
    }
    return question;
}

}  // namespace page_map_lab::bench
