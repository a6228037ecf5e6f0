// The fault workload: what touching a mapped page costs that is not there, or not yet writable.
//
// Each thread touches every page of its slice once, reading or writing one word, and times each touch on its own: two
// readings of the steady clock, about 50 ns of the several thousand that a fault takes, are in each. A touch is the
// processor's fault, the SIGSEGV handler, the page map, the mprotect, and for `soft` and `hard` the kernel's own fault
// that fills the new region's page table. The score is the mean touch. With --set interval_ns=N it is an open loop: a touch
// is due every N ns on each thread, and counts from when it was due (pace.hpp).
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/faults.hpp"
#include "bench/workloads/pace.hpp"

namespace page_map_lab::bench {

class FaultCell final : public Cell {
public:
    using MakeTarget = std::function<std::unique_ptr<FaultTarget>(std::uint64_t pages, Environment&)>;

    FaultCell(const Parameters& parameters, MakeTarget make_target)
        : make_target_(std::move(make_target)),
          threads_(static_cast<unsigned>(parameters.number("threads"))),
          slice_(parameters.number("pages")),
          kind_(parameters.text("kind") == "soft"   ? FaultKind::soft
                : parameters.text("kind") == "hard" ? FaultKind::hard
                                                    : FaultKind::write),
          scattered_(parameters.text("order") == "scattered"),
          interval_ns_(parameters.number("interval_ns")) {}

    Footprint footprint() const override { return {"", 2 * threads_ * slice_ * page_size}; }

    Status set_up(Environment& environment) override {
        target_ = make_target_(threads_ * slice_, environment);
        order_.resize(slice_);
        std::iota(order_.begin(), order_.end(), PageIndex{0});
        if (scattered_) {
            std::mt19937_64 random(environment.seed);
            std::shuffle(order_.begin(), order_.end(), random);
        }
        return {};
    }

    Result<Sample> measure(Environment&, ThreadTeam& team, unsigned) override {
        ++version_;
        if (Status prepared = target_->prepare(kind_); !prepared) {
            return tl::unexpected(prepared.error());
        }
        std::vector<LatencyHistogram> latencies(threads_);
        auto reports = team.run({{"toucher", threads_}}, {}, [&](TeamMember& member) -> Status {
            const PageIndex first = member.index() * slice_;
            const std::vector<std::uint64_t> words =
                words_of(first, kind_ == FaultKind::write ? version_ : stored_version_);
            member.start();
            const std::uint64_t sum = kind_ == FaultKind::write
                                          ? touch_all(latencies[member.index()], first,
                                                      [&](volatile std::uint64_t& word, PageIndex page) {
                                                          word = words[page];
                                                          return words[page];
                                                      })
                                          : touch_all(latencies[member.index()], first,
                                                      [](volatile std::uint64_t& word, PageIndex) { return word; });
            member.stop(slice_);
            if (sum != std::accumulate(words.begin(), words.end(), std::uint64_t{0})) {
                // relaxed: read after the threads have reported.
                wrong_values_.store(true, std::memory_order_relaxed);
            }
            if (kind_ == FaultKind::write) {
                write_the_rest(first);
            }
            return {};
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        complain(target_->judge(kind_, version_));
        stored_version_ = kind_ == FaultKind::write ? version_ : stored_version_;

        Sample sample;
        NamedHistogram all{"latency", "toucher", {}};
        for (const LatencyHistogram& one : latencies) {
            all.latencies.merge(one);
        }
        sample.score = static_cast<double>(all.latencies.sum_ns()) / static_cast<double>(all.latencies.count());
        sample.metrics = {{"latency_ns_p50", static_cast<double>(all.latencies.quantile_ns(0.5)), {}},
                          {"latency_ns_p99", static_cast<double>(all.latencies.quantile_ns(0.99)), {}},
                          {"fairness", fairness(*reports, "toucher"), {}}};
        sample.histograms.push_back(std::move(all));
        sample.threads = *std::move(reports);
        return sample;
    }

    CheckOutcome check(Environment&) override {
        // relaxed: the threads have reported.
        if (wrong_values_.load(std::memory_order_relaxed)) {
            complain("a page that was touched did not hold what was written to it last");
        }
        complain(target_->finish());
        Digest digest;
        for (const std::uint64_t word : words_of(0, stored_version_)) {
            digest.add(word);
        }
        return {wrong_.empty(), digest.text(), wrong_};
    }

private:
    template <class Touch>
    [[gnu::noinline]] std::uint64_t touch_all(LatencyHistogram& latencies, PageIndex first, Touch&& touch_word) const {
        using Clock = std::chrono::steady_clock;
        std::uint64_t sum = 0;
        Pace pace(interval_ns_);
        for (const PageIndex page : order_) {
            auto& word = *reinterpret_cast<volatile std::uint64_t*>(target_->address_of(first + page));
            const auto due = pace.next([] { return false; }, [] {});
            sum += touch_word(word, page);
            const auto touched = Clock::now();
            latencies.record(static_cast<std::uint64_t>(std::chrono::nanoseconds(touched - due).count()));
        }
        return sum;
    }

    /// The first word of each page of a slice in that version.
    std::vector<std::uint64_t> words_of(PageIndex first, std::uint64_t version) const {
        std::vector<std::uint64_t> words(slice_);
        for (PageIndex page = 0; page < slice_; ++page) {
            fill_contents(std::as_writable_bytes(std::span(&words[page], 1)), first + page, version);
        }
        return words;
    }

    void write_the_rest(PageIndex first) const {
        for (PageIndex page = 0; page < slice_; ++page) {
            fill_contents(
                {target_->address_of(first + page) + sizeof(std::uint64_t), page_size - sizeof(std::uint64_t)},
                first + page, version_, sizeof(std::uint64_t));
        }
    }

    void complain(std::string what) {
        if (wrong_.empty()) {
            wrong_ = std::move(what);
        }
    }

    const MakeTarget make_target_;
    const unsigned threads_;
    const std::uint64_t slice_;
    const FaultKind kind_;
    const bool scattered_;
    const std::uint64_t interval_ns_;
    std::unique_ptr<FaultTarget> target_;
    std::vector<PageIndex> order_;
    std::uint64_t version_ = 0;
    std::uint64_t stored_version_ = 0;
    std::atomic<bool> wrong_values_{false};
    std::string wrong_;
};

/// What the fault workload asks, without subjects.
inline WorkloadDescription fault_question() {
    return {.name = "fault",
            .question = "What does touching a page cost that is not there, or not writable?",
            .parameters = {ParameterAxis::numbers("pages", {256}, {4096}, 1, std::uint64_t{1} << 24),
                           ParameterAxis::words("kind", {"soft", "hard", "write"}),
                           ParameterAxis::option("order", {"sequential", "scattered"}), interval_axis(),
                           ParameterAxis::threads()},
            .variations = {{{"interval_ns", "50000"}, {"kind", "hard"}}},
            .score = {.metric = "ns_per_fault", .unit = "ns"}};
}

}  // namespace page_map_lab::bench
