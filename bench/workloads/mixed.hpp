// The mixed workload: readers and writers over an object that is larger than its map, and an evictor that keeps the map
// within its frames.
//
// Every thread reads any page and writes pages of its own, part of the time through load and put, part of the time
// through a mapping. Where no frame is free, whoever needs one sweeps on and removes a run of pages. Closed loop:
// threads go as fast as they can, and one operation in sixteen is timed (two readings of the steady clock, about 50 ns
// in sixteen operations). With --set interval_ns=N it is an open loop: an operation is due every N ns on each thread,
// all are timed, and from when they were due: a late start counts. With --processes N each thread's work is done by a
// worker process, all of it through its mapping whatever mapped_percent says: a worker has no page map. Threads beyond N
// are refused.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/key_pattern.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/mixed_target.hpp"

namespace page_map_lab::bench {

class MixedCell final : public Cell {
public:
    using MakeTarget = std::function<std::unique_ptr<MixedTarget>(const MixedShape&, Environment&)>;

    MixedCell(const Parameters& parameters, MakeTarget make_target)
        : make_target_(std::move(make_target)),
          shape_{.pages = parameters.number("pages"),
                 .frames =
                     std::max<std::uint64_t>(1, parameters.number("pages") * parameters.number("frames_percent") / 100),
                 .run_pages = parameters.number("run_pages"),
                 .processes = static_cast<unsigned>(parameters.number("processes"))},
          threads_(static_cast<unsigned>(parameters.number("threads"))),
          write_percent_(parameters.number("write_percent")),
          mapped_percent_(parameters.number("processes") != 0 ? 100 : parameters.number("mapped_percent")),
          interval_ns_(parameters.number("interval_ns")),
          pattern_(*parse_key_pattern(parameters.text("pattern"))) {}

    Footprint footprint() const override { return {"", (shape_.pages + shape_.frames) * page_size}; }

    Status set_up(Environment& environment) override {
        target_ = make_target_(shape_, environment);
        for (unsigned thread = 0; thread < threads_; ++thread) {
            plans_.push_back(plan_of(thread, environment.seed + thread));
        }
        return {};
    }

    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned) override {
        if (Status prepared = target_->prepare(); !prepared) {
            return tl::unexpected(prepared.error());
        }
        MixedStart start{.still_warming_up = threads_, .totals = {}};
        std::vector<MixedLog> logs(threads_);
        auto reports = team.run({{"worker", threads_}}, environment.minimum_time, [&](TeamMember& member) {
            return target_->work(plans_[member.index()], interval_ns_, member, logs[member.index()], start);
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        const MixedTotals after = target_->totals();
        if (Status rested = target_->rest(); !rested) {
            return tl::unexpected(rested.error());
        }
        return sample_of(*std::move(reports), logs, start.totals, after);
    }

    CheckOutcome check(Environment&) override {
        Digest digest;
        std::string wrong = wrong_reads_ == 0 ? target_->finish(digest)
                                              : std::to_string(wrong_reads_) +
                                                    " reads saw a version that was overwritten "
                                                    "before, or never written";
        return {wrong.empty(), digest.text(), std::move(wrong)};
    }

private:
    MixedPlan plan_of(unsigned thread, std::uint64_t seed) const {
        constexpr std::size_t operations = MixedBoard::longest_plan;
        MixedPlan plan;
        std::mt19937_64 random(seed);
        for (const PageIndex key : make_keys(pattern_, {0, shape_.pages}, operations, seed)) {
            MixedOperation operation{.page = key,
                                     .write = random() % 100 < write_percent_,
                                     .mapped = random() % 100 < mapped_percent_};
            if (operation.write) {
                // The nearest page below that is this thread's to write; the first of all where there is none.
                const PageIndex own = key - key % threads_ + thread;
                operation.page = own < shape_.pages ? own : thread;
            }
            plan.push_back(operation);
        }
        return plan;
    }

    Sample sample_of(std::vector<ThreadReport> reports, const std::vector<MixedLog>& logs, MixedTotals before,
                     MixedTotals after) {
        Sample sample;
        double operations = 0;
        NamedHistogram reads{"read_latency", "worker", {}};
        NamedHistogram writes{"write_latency", "worker", {}};
        LatencyHistogram all;
        for (const MixedLog& log : logs) {
            wrong_reads_ += log.wrong_reads;
            reads.latencies.merge(log.read_latencies);
            writes.latencies.merge(log.write_latencies);
        }
        all.merge(reads.latencies);
        all.merge(writes.latencies);
        for (const ThreadReport& report : reports) {
            operations += static_cast<double>(report.operations);
        }
        const auto per_operation = [&](std::uint64_t from, std::uint64_t to) {
            return operations == 0 ? 0 : static_cast<double>(to - from) / operations;
        };
        sample.score = operations_per_second(reports, "worker");
        sample.metrics = {
            {"hit_ratio", 1 - per_operation(before.store_reads, after.store_reads), {}},
            {"removals_per_operation", per_operation(before.evictions.removals, after.evictions.removals), {}},
            {"pages_removed_per_operation", per_operation(before.evictions.removed, after.evictions.removed), {}},
            {"pages_written_back_per_operation",
             per_operation(before.evictions.written_back, after.evictions.written_back), {}},
            {"system_calls_per_operation",
             per_operation(before.evictions.shootdown.system_calls, after.evictions.shootdown.system_calls), {}},
            {"messages_per_operation",
             per_operation(before.evictions.shootdown.messages, after.evictions.shootdown.messages), {}},
            {"mapped_percent_used", static_cast<double>(mapped_percent_), {}},
            {"latency_ns_p50", static_cast<double>(all.quantile_ns(0.5)), {}},
            {"latency_ns_p99", static_cast<double>(all.quantile_ns(0.99)), {}},
            {"fairness", fairness(reports, "worker"), {}}};
        sample.histograms = {std::move(reads), std::move(writes)};
        sample.threads = std::move(reports);
        return sample;
    }

    const MakeTarget make_target_;
    const MixedShape shape_;
    const unsigned threads_;
    const std::uint64_t write_percent_;
    const std::uint64_t mapped_percent_;
    const std::uint64_t interval_ns_;
    const KeyPattern pattern_;
    std::unique_ptr<MixedTarget> target_;
    std::vector<MixedPlan> plans_;
    std::uint64_t wrong_reads_ = 0;
};

/// What the mixed workload asks, without subjects.
inline WorkloadDescription mixed_question() {
    std::vector<std::string> patterns = key_pattern_names();
    std::rotate(patterns.begin(), std::find(patterns.begin(), patterns.end(), "zipf"), patterns.end());
    return {.name = "mixed",
            .question = "Which variant serves readers and writers best while an evictor keeps the map small?",
            .parameters = {ParameterAxis::numbers("pages", {512}, {65536}, 1, std::uint64_t{1} << 24),
                           ParameterAxis::option("pattern", patterns),
                           ParameterAxis::option("frames_percent", 50, 1, 100),
                           ParameterAxis::option("write_percent", 20, 0, 100),
                           ParameterAxis::option("mapped_percent", 50, 0, 100),
                           ParameterAxis::option("run_pages", 64, 1, 4096),
                           interval_axis(),
                           ParameterAxis::option("processes", 0, 0, most_processes),
                           ParameterAxis::threads()},
            .variations = {{{"interval_ns", "20000"}}, {{"processes", "1,4"}, {"threads", "1"}}},
            .score = {.metric = "operations_per_second", .unit = "1/s", .lower_is_better = false},
            .possible = [](const Parameters& parameters) -> Status {
                // Each thread may hold a page and want another.
                const std::uint64_t frames = parameters.number("pages") * parameters.number("frames_percent") / 100;
                if (frames < 2 * parameters.number("threads")) {
                    return fail(ErrorCode::usage, std::to_string(frames) + " frames are too few for " +
                                                      std::to_string(parameters.number("threads")) +
                                                      " threads: raise --pages or frames_percent");
                }
                const std::uint64_t processes = parameters.number("processes");
                if (processes != 0 && parameters.number("threads") > processes) {
                    return fail(ErrorCode::usage, "threads=" + std::to_string(parameters.number("threads")) +
                                                      " do not fit processes=" + std::to_string(processes) +
                                                      ", one each: raise --processes or lower --threads");
                }
                return {};
            }};
}

}  // namespace page_map_lab::bench
