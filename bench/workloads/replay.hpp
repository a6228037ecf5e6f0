// The replay workload: the reads and writes of a recorded program on every variant, against a real file, with fewer
// frames than the program has pages.
//
// Once through load and put, copying bytes in and out, and once through a mapping, with faults. Writes carry contents
// made from (page, sequence); every byte read is compared with what was written last, and the whole file after each
// replay. A replay starts with an empty map. The score is the mean operation; see replay_target.hpp for what is in it.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/replay_target.hpp"

namespace page_map_lab::bench {

class ReplayCell final : public Cell {
public:
    using MakeTarget = std::function<std::unique_ptr<ReplayTarget>(const ReplayShape&, std::shared_ptr<const Trace>,
                                                                   std::shared_ptr<ReplayFile>, Environment&)>;

    ReplayCell(const Parameters& parameters, MakeTarget make_target)
        : make_target_(std::move(make_target)),
          frames_percent_(parameters.number("frames_percent")),
          shape_{.run_pages = parameters.number("run_pages"),
                 .mapping = parameters.text("access") == "mapping",
                 .durable = parameters.text("sync") == "disk"} {}

    Status set_up(Environment& environment) override {
        if (environment.trace.empty()) {
            return fail(ErrorCode::usage, "replay needs a trace: give --trace FILE (bench/traces holds one)");
        }
        auto trace = environment.fixture<Trace>(
            "trace/" + environment.trace.string(), [&]() -> Result<std::shared_ptr<Trace>> {
                Result<Trace> loaded = Trace::load(environment.trace);
                if (!loaded) {
                    return tl::unexpected(loaded.error());
                }
                return std::make_shared<Trace>(*std::move(loaded));
            });
        if (!trace) {
            return tl::unexpected(trace.error());
        }
        trace_ = *std::move(trace);
        constexpr std::uint64_t most_pages = std::uint64_t{1} << 20;
        if (trace_->total_pages() == 0 || trace_->total_pages() > most_pages) {
            return fail(ErrorCode::usage, "'" + environment.trace.string() + "' spans " +
                                              std::to_string(trace_->total_pages()) +
                                              " pages, and a replay takes 1 to " + std::to_string(most_pages) +
                                              ": record less of the program");
        }
        constexpr std::uint64_t fewest_frames = 2;
        shape_.frames = std::max(fewest_frames, trace_->pages_touched() * frames_percent_ / 100);
        auto file = ReplayFile::create(environment.data_directory, trace_->total_pages());
        if (!file) {
            return tl::unexpected(file.error());
        }
        target_ = make_target_(shape_, trace_, *std::move(file), environment);
        return {};
    }

    Result<Sample> measure(Environment&, ThreadTeam& team, unsigned repetition) override {
        if (Status prepared = target_->prepare(); !prepared) {
            return tl::unexpected(prepared.error());
        }
        const EvictionTotals evictions_before = target_->evictions();
        const std::uint64_t pages_read_before = target_->pages_read();
        ReplayLog log;
        auto reports =
            team.run({{"replayer", 1}}, {}, [&](TeamMember& member) { return target_->replay(member, log); });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        const std::uint64_t pages_read = target_->pages_read() - pages_read_before;
        const EvictionTotals evictions = target_->evictions();
        complain(log.wrong);
        complain(target_->settle());
        if (repetition == 0) {
            for (std::size_t place = 0; place < target_->expected().size(); place += digest_step) {
                digest_.add(static_cast<std::uint64_t>(target_->expected()[place]));
            }
        }
        const auto operations = static_cast<double>(trace_->operations().size());
        LatencyHistogram all = log.reads;
        all.merge(log.writes);
        all.merge(log.syncs);
        Sample sample;
        sample.score = static_cast<double>(log.time_ns) / operations;
        sample.metrics = {
            {"hit_ratio", 1 - static_cast<double>(pages_read) / static_cast<double>(trace_->page_accesses()), {}},
            {"pages_removed_per_operation",
             static_cast<double>(evictions.removed - evictions_before.removed) / operations,
             {}},
            {"pages_written_back_per_operation",
             static_cast<double>(evictions.written_back - evictions_before.written_back) / operations,
             {}},
            {"latency_ns_p50", static_cast<double>(all.quantile_ns(0.5)), {}},
            {"latency_ns_p99", static_cast<double>(all.quantile_ns(0.99)), {}},
            {"replay_ms", static_cast<double>(log.time_ns) * 1e-6, {}}};
        sample.histograms = {{"read_latency", "replayer", log.reads},
                             {"write_latency", "replayer", log.writes},
                             {"sync_latency", "replayer", log.syncs}};
        sample.threads = *std::move(reports);
        return sample;
    }

    std::vector<Metric> metrics() const override {
        return {{"frames", static_cast<double>(shape_.frames), {}},
                {"pages", static_cast<double>(trace_->total_pages()), {}},
                {"operations", static_cast<double>(trace_->operations().size()), {}}};
    }

    CheckOutcome check(Environment&) override {
        complain(target_->finish());
        return {wrong_.empty(), digest_.text(), wrong_};
    }

private:
    static constexpr std::size_t digest_step = 61;  // prime to the page, so that it visits every place of some page

    void complain(std::string what) {
        if (wrong_.empty()) {
            wrong_ = std::move(what);
        }
    }

    const MakeTarget make_target_;
    const std::uint64_t frames_percent_;
    ReplayShape shape_;
    std::shared_ptr<const Trace> trace_;
    std::unique_ptr<ReplayTarget> target_;
    Digest digest_;
    std::string wrong_;
};

/// What the replay workload asks, without subjects.
inline WorkloadDescription replay_question() {
    return {.name = "replay",
            .question = "Which variant replays the recorded trace of a real program fastest?",
            .parameters = {ParameterAxis::words("access", {"load", "mapping"}),
                           ParameterAxis::option("frames_percent", 50, 1, 100),
                           ParameterAxis::option("run_pages", 32, 1, 4096),
                           ParameterAxis::option("sync", {"write", "disk"})},
            .score = {.metric = "ns_per_operation", .unit = "ns"},
            .takes_trace = true};
}

}  // namespace page_map_lab::bench
