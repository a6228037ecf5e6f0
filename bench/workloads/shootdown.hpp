// The shootdown workload: what revoking n mapped pages costs the initiator, and what it costs those who keep using
// memory.
//
// The initiator gathers the pages and flushes (that is timed), then reopens everything (that is not: granting flushes
// nothing) and touches the pages again. Victims spin all the time. One operation is one flush; the score is the median
// operation of the repetition over the pages it revoked; operations of whose flushes more than a tenth found a victim
// away are discarded, and counted. The floors make the raw calls on the same pages: `single` one call a page, `ranged`
// one call for all, which for strided pages takes the hull, with the pages in between. With --set interval_ns=N it is an
// open loop: a flush is due every N ns and counts from when it was due (pace.hpp); what lies between two flushes,
// reopening and touching, delays the next one where it takes longer than that.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/harness/workload.hpp"
#include "bench/workloads/flush_times.hpp"
#include "bench/workloads/pace.hpp"
#include "bench/workloads/shootdown_object.hpp"
#include "bench/workloads/victim_evidence.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {

/// Revokes through a variant's shootdown policy, as remove_contig does.
template <class Variant>
struct RevokeByPolicy {
    static constexpr bool reaches_workers = true;
    using Machine = NotesFlushes<typename Variant::Machine>;

    static Status revoke(ShootdownObject<Machine>& object, ShootdownCost& cost) {
        typename Variant::ShootdownTag::template On<Machine> shootdown(Access::none);
        for (const auto& region : object.regions()) {
            for (std::uint64_t place = 0; place < object.revocable(); ++place) {
                shootdown.add(*region, {object.revocable_page(place), 1});
            }
        }
        Status flushed = shootdown.flush();
        cost += shootdown.cost();
        return flushed;
    }
};

/// The floor: one raw call for all the pages.
struct RevokeRanged {
    static constexpr bool reaches_workers = false;
    using Machine = NotesFlushes<BaseVariant::Machine>;

    static Status revoke(ShootdownObject<Machine>& object, ShootdownCost& cost) {
        const PageRange hull = object.hull();
        cost += {.pages = object.revocable(), .ranges = 1, .system_calls = 1};
        return Machine::set_access(object.region().address_of(hull.first), hull.count * page_size, Access::none);
    }
};

/// The floor: one raw call for each page.
struct RevokeSingle {
    static constexpr bool reaches_workers = false;
    using Machine = NotesFlushes<BaseVariant::Machine>;

    static Status revoke(ShootdownObject<Machine>& object, ShootdownCost& cost) {
        cost += {.pages = object.revocable(), .ranges = object.revocable(), .system_calls = object.revocable()};
        Status revoked;
        for (std::uint64_t place = 0; place < object.revocable() && revoked; ++place) {
            revoked =
                Machine::set_access(object.region().address_of(object.revocable_page(place)), page_size, Access::none);
        }
        return revoked;
    }
};

template <class Revoker>
class ShootdownCell final : public Cell {
public:
    using Machine = typename Revoker::Machine;

    explicit ShootdownCell(const Parameters& parameters)
        : pages_(parameters.number("pages")),
          stride_(parameters.text("layout") == "strided" ? 2 : 1),
          victims_(static_cast<unsigned>(parameters.number("threads")) - 1),
          inside_(parameters.text("victims_touch") == "inside"),
          processes_(static_cast<unsigned>(parameters.number("processes"))),
          interval_ns_(parameters.number("interval_ns")) {}

    Footprint footprint() const override { return {"", (pages_ * stride_ + victims_) * page_size}; }
    Status set_up(Environment&) override { return {}; }

    // The region lives for a repetition: a policy that closes a whole address space would close every cell's.
    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned) override {
        const auto deadline = std::chrono::steady_clock::now() + patience_of(environment.minimum_time);
        if (processes_ != 0 && !Revoker::reaches_workers) {
            Sample nothing;
            nothing.excluded = "raw calls are made in this process: measure a floor with --processes 0";
            return nothing;
        }
        ShootdownObject<Machine> object(pages_, stride_, victims_, processes_, environment);
        Result<Sample> sample = measure_once(object, environment, team);
        // A neighbour that took a victim's processor: again, as long as that is cheap.
        std::uint64_t attempts = 0;
        std::string why;
        while (sample && sample->excluded && std::chrono::steady_clock::now() < deadline) {
            ++attempts;
            why = *std::move(sample->excluded);
            sample = measure_once(object, environment, team);
        }
        if (sample) {
            sample->metrics.push_back({"attempts_discarded", static_cast<double>(attempts), std::move(why)});
        }
        return sample;
    }

    CheckOutcome check(Environment&) override { return {wrong_.empty(), digest_.text(), wrong_}; }

private:
    struct Operations {
        std::vector<TimeSpan> times;
        FlushTimes flushes;
        std::vector<std::uint64_t> late_ns{};  ///< how long after it was due each began
        ShootdownCost cost;
        std::uint64_t faults = 0;  ///< of the victims, where they are in other processes
    };

    Result<Sample> measure_once(ShootdownObject<Machine>& object, Environment& environment, ThreadTeam& team) {
        constexpr std::size_t most_flushes = std::size_t{1} << 17;
        Operations done{
            .times = {}, .flushes = FlushTimes(proven_by_flush() ? most_flushes + most_flushes_each() : 0), .cost = {}};
        std::vector<VictimLog> logs(victims_);
        auto reports = team.run({{"initiator", 1}, {"victim", victims_}}, {}, [&](TeamMember& member) -> Status {
            if (member.role() == "victim") {
                return be_a_victim(object, member, logs[member.index_in_role()]);
            }
            return initiate(object, member, environment.minimum_time, done);
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        if (processes_ != 0) {
            disown_counters(*reports, done.faults);
        }
        if (Status looked = look(object, logs); !looked) {
            return tl::unexpected(looked.error());
        }
        return sample_of(*std::move(reports), std::move(done), logs);
    }

    Status be_a_victim(ShootdownObject<Machine>& object, TeamMember& member, VictimLog& log) const {
        const unsigned victim = member.index_in_role();
        if (processes_ != 0) {
            return stand_by_a_victim(object.worker(victim), object.words_in_worker(victim, inside_), member, log);
        }
        touch(const_cast<const std::byte*>(reinterpret_cast<const volatile std::byte*>(object.outside_word(victim))));
        log.prepare();
        member.start();
        if (inside_) {
            suffer(log, member, [&](std::uint64_t step) { return object.inside_word(victim, step); });
        } else {
            suffer(log, member, [word = object.outside_word(victim)](std::uint64_t) { return word; });
        }
        member.stop(log.iterations);
        return {};
    }

    Status initiate(ShootdownObject<Machine>& object, TeamMember& member, std::chrono::nanoseconds at_least,
                    Operations& done) const {
        using Clock = VictimClock;
        constexpr std::size_t most_operations = 100'000;
        done.times.reserve(most_operations);
        const FlushTimes::Scope noting(done.flushes);
        done.late_ns.reserve(most_operations);
        member.start();
        for (unsigned victim = 0; victim < victims_ && processes_ != 0; ++victim) {
            await_victim(object.worker(victim));
        }
        const std::uint64_t faults_before = object.faults_answered();
        const auto deadline = Clock::now() + at_least;
        Status outcome;
        Pace<Clock> pace(interval_ns_);
        do {
            object.use_revocable();
            await_victims(object);
            const auto due = pace.next([] { return false; }, [] {});
            const auto started = interval_ns_ == 0 ? due : Clock::now();
            outcome = Revoker::revoke(object, done.cost);
            const auto revoked = Clock::now();
            done.times.push_back({started, revoked});
            done.late_ns.push_back(TimeSpan{due, started}.duration_ns());
            if (outcome) {
                outcome = object.reopen();
            }
        } while (outcome && Clock::now() < deadline && done.times.size() < most_operations &&
                 (!proven_by_flush() || done.flushes.has_room_for(most_flushes_each())));
        member.stop(done.times.size());
        done.faults = object.faults_answered() - faults_before;
        member.request_stop();
        return outcome;
    }

    /// Whether each flush can be held against what the victims were doing: a worker process makes its own.
    bool proven_by_flush() const { return victims_ != 0 && processes_ == 0; }
    /// By one operation: each page's own call, and once more where a whole region is closed instead.
    std::size_t most_flushes_each() const { return 2 * pages_; }

    /// Waits a while until every victim is at work again: one whose page a policy closed may still be in its fault.
    void await_victims(const ShootdownObject<Machine>& object) const {
        constexpr auto patience = std::chrono::microseconds(200);
        for (unsigned victim = 0; victim < victims_ && !inside_; ++victim) {
            await_increment(object.watched_word(victim), patience);
        }
    }

    /// One more revocation with the victims at rest: it must leave no page readable. And nothing was lost.
    Status look(ShootdownObject<Machine>& object, const std::vector<VictimLog>& logs) {
        ShootdownCost ignored;
        object.use_revocable();
        if (Status revoked = Revoker::revoke(object, ignored); !revoked) {
            return revoked;
        }
        if (const auto open = object.find_open()) {
            complain("page " + std::to_string(*open) + " can still be read after it was revoked");
        }
        if (Status reopened = object.reopen(); !reopened) {
            return reopened;
        }
        Digest digest;
        if (const auto damaged = object.find_damaged(digest)) {
            complain("the contents of page " + std::to_string(*damaged) + " changed");
        }
        digest_ = digest;
        for (unsigned victim = 0; victim < victims_; ++victim) {
            const std::uint64_t counted = object.take_count(victim);
            if (counted != logs[victim].iterations) {
                complain("victim " + std::to_string(victim) + " made " + std::to_string(logs[victim].iterations) +
                         " increments and memory holds " + std::to_string(counted));
            }
        }
        return {};
    }

    Sample sample_of(std::vector<ThreadReport> reports, Operations done, const std::vector<VictimLog>& logs) const {
        Sample sample;
        const VictimEvidence evidence(reports);
        std::vector<std::uint64_t> times_ns;
        NamedHistogram latency{"latency", "initiator", {}};
        const double in_processes =
            static_cast<double>(done.cost.system_calls) * victims_ / std::max(1U, processes_);
        std::uint64_t met = 0;
        std::uint64_t missed = 0;
        for (std::size_t operation = 0; operation < done.times.size(); ++operation) {
            const TimeSpan& time = done.times[operation];
            const FlushProof proof(done.flushes.during(time), time, logs);
            met += proof.met;
            missed += proof.missed;
            if (proven_by_flush() ? proof.supports_its_time() : VictimEvidence::supports(time, logs)) {
                times_ns.push_back(done.late_ns[operation] + time.duration_ns());
                latency.latencies.record(times_ns.back());
            }
        }
        const auto pages = static_cast<double>(pages_);
        if (times_ns.empty()) {
            sample.excluded = evidence.why_nothing_counts();
        } else {
            const auto middle = times_ns.begin() + static_cast<std::ptrdiff_t>((times_ns.size() - 1) / 2);
            std::nth_element(times_ns.begin(), middle, times_ns.end());
            sample.score = static_cast<double>(*middle) / pages;
        }
        const std::size_t operations = done.times.size();
        sample.metrics =
            victim_metrics(evidence, logs, operations, proven_by_flush() ? static_cast<double>(met) : in_processes);
        const Metric& interrupts = sample.metrics.front();
        sample.metrics.push_back(interrupts.value ? Metric{"interrupts_per_page", *interrupts.value / pages, {}}
                                                  : Metric{"interrupts_per_page", std::nullopt, interrupts.why});
        sample.metrics.push_back({"system_calls_per_operation",
                                  static_cast<double>(done.cost.system_calls) / static_cast<double>(operations), {}});
        sample.metrics.push_back({"messages_per_operation",
                                  static_cast<double>(done.cost.messages) / static_cast<double>(operations), {}});
        sample.metrics.push_back(
            proven_by_flush()
                ? Metric{"victims_away_per_operation", static_cast<double>(missed) / static_cast<double>(operations), {}}
                : Metric{"victims_away_per_operation", std::nullopt,
                         victims_ == 0 ? "there is no victim" : "the victims' processes make their flushes themselves"});
        sample.metrics.push_back({"operations", static_cast<double>(operations), {}});
        sample.metrics.push_back({"operations_discarded", static_cast<double>(operations - times_ns.size()), {}});
        sample.histograms.push_back(std::move(latency));
        if (victims_ != 0) {
            NamedHistogram stalls{"stall", "victim", {}};
            for (const VictimLog& log : logs) {
                stalls.latencies.merge(log.stalls);
            }
            sample.histograms.push_back(std::move(stalls));
        }
        sample.threads = std::move(reports);
        return sample;
    }

    void complain(std::string what) {
        if (wrong_.empty()) {
            wrong_ = std::move(what);
        }
    }

    const std::uint64_t pages_;
    const std::uint64_t stride_;
    const unsigned victims_;
    const bool inside_;
    const unsigned processes_;
    const std::uint64_t interval_ns_;
    Digest digest_;
    std::string wrong_;
};

/// What the shootdown workload asks, without subjects.
inline WorkloadDescription shootdown_question() {
    const std::uint64_t pair = std::min(2U, std::max(1U, std::thread::hardware_concurrency()));
    ParameterAxis threads = ParameterAxis::threads();
    threads.smoke = {ParameterValue{pair}};  // the initiator and one victim
    threads.maximum = ShootdownObject<BaseVariant::Machine>::most_victims;
    return {.name = "shootdown",
            .question = "What does revoking mapped pages cost the initiator, and what its victims?",
            .parameters = {ParameterAxis::numbers("pages", {1, 8, 33, 64, 512},
                                                  {1, 2, 4, 8, 16, 32, 33, 34, 64, 128, 256, 512, 1024, 2048, 4096}, 1,
                                                  std::uint64_t{1} << 20),
                           ParameterAxis::words("layout", {"contiguous", "strided"}),
                           ParameterAxis::option("victims_touch", {"outside", "inside"}),
                           ParameterAxis::option("processes", 0, 0, most_processes), interval_axis(), threads},
            .variations = {{{"interval_ns", "500000"}, {"pages", "8"}, {"layout", "contiguous"}},
                           {{"processes", "1,4"}, {"pages", "8,512"}, {"layout", "contiguous"}, {"threads", "1"}}},
            .score = {.metric = "ns_per_page", .unit = "ns"},
            .possible = [](const Parameters& parameters) -> Status {
                const std::uint64_t processes = parameters.number("processes");
                if (processes != 0 && parameters.number("threads") > processes + 1) {
                    return fail(ErrorCode::usage, "threads=" + std::to_string(parameters.number("threads")) +
                                                      " is more than the initiator and one victim in each of processes=" +
                                                      std::to_string(processes) + ": raise --processes or lower --threads");
                }
                return {};
            }};
}

}  // namespace page_map_lab::bench
