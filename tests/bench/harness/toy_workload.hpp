// A workload of the tests' own: cells that do next to nothing, and go wrong where a test asks for it.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/harness/workload.hpp"

namespace page_map_lab::bench {

/// What a toy cell does wrong.
enum class Fault { none, set_up_error, set_up_throw, measure_error, wrong_result, excluded };

/// What happened to all toy cells of this process, in order: "set_up NAME", "measure NAME 0", "check NAME", "gone
/// NAME".
inline std::vector<std::string>& toy_events() {
    static std::vector<std::string> events;
    return events;
}

class ToyCell final : public Cell {
public:
    ToyCell(std::string name, const Parameters& parameters, Fault fault, std::uint64_t bytes)
        : name_(name + (parameters.has("size") ? "@" + std::to_string(parameters.number("size")) : "")),
          threads_(static_cast<unsigned>(parameters.number("threads"))),
          fault_(fault),
          bytes_(bytes) {}
    ~ToyCell() override { toy_events().push_back("gone " + name_); }

    Footprint footprint() const override { return {name_, bytes_}; }

    Status set_up(Environment&) override {
        toy_events().push_back("set_up " + name_);
        if (fault_ == Fault::set_up_throw) {
            throw std::runtime_error("the toy has no memory: give it some");
        }
        return fault_ == Fault::set_up_error ? Status{fail(ErrorCode::no_memory, "the toy is full: empty it")}
                                             : Status{};
    }

    Result<Sample> measure(Environment&, ThreadTeam& team, unsigned repetition) override {
        toy_events().push_back("measure " + name_ + " " + std::to_string(repetition));
        if (fault_ == Fault::measure_error) {
            return fail(ErrorCode::io, "the toy broke: mend it");
        }
        auto reports = team.run({{"player", threads_}}, {}, [](TeamMember& member) -> Status {
            member.start();
            std::uint64_t turns = 0;
            while (turns < 1000) {
                asm volatile("" : "+r"(turns));
                ++turns;
            }
            member.stop(turns);
            return {};
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        Sample sample;
        sample.score = ns_per_operation(*reports, "player");
        sample.threads = *std::move(reports);
        sample.metrics = {{"turns", 1000.0, ""}, {"falls", std::nullopt, "nobody counted"}};
        LatencyHistogram latencies;
        latencies.record(100 + repetition);
        sample.histograms.push_back({"latency", "player", latencies});
        sample.phases.push_back({"spin", 10, 1});
        if (fault_ == Fault::excluded && repetition == 0) {
            sample.excluded = "the toy was asleep";
        }
        return sample;
    }

    std::vector<Metric> metrics() const override { return {{"weight_bytes", 12.5, ""}}; }

    CheckOutcome check(Environment&) override {
        toy_events().push_back("check " + name_);
        return fault_ == Fault::wrong_result ? CheckOutcome{false, "00", "the toy is blue"}
                                             : CheckOutcome{true, "ff", ""};
    }

private:
    std::string name_;
    unsigned threads_;
    Fault fault_;
    std::uint64_t bytes_;
};

inline Subject toy_subject(const std::string& layout, Fault fault = Fault::none, std::uint64_t bytes = 0) {
    return {
        "layout:" + layout, {{"layout", layout}}, false, [=](const Parameters& parameters) -> std::unique_ptr<Cell> {
            return std::make_unique<ToyCell>(layout, parameters, fault, bytes);
        }};
}

/// Two variants, and a floor.
inline WorkloadDescription toy_workload(Fault fault = Fault::none) {
    WorkloadDescription workload{.name = "toy",
                                 .question = "Does it spin?",
                                 .axes = {"layout"},
                                 .policy_axes = {{"layout", "top", {"top", "hoop"}}, {"read", "eye", {"eye", "ear"}}},
                                 .parameters = {ParameterAxis::numbers("size", {1, 2}, {1024}),
                                                ParameterAxis::option("colour", {"red", "green"}),
                                                ParameterAxis::numbers("threads", {1}, {1}, 1, 4096)},
                                 .score = {.metric = "ns_per_operation", .unit = "ns"}};
    workload.subjects = {toy_subject("top", fault), toy_subject("hoop")};
    workload.subjects.push_back(toy_subject("floor"));
    workload.subjects.back().name = "floor:stand";
    workload.subjects.back().policies.clear();
    workload.subjects.back().floor = true;
    return workload;
}

}  // namespace page_map_lab::bench
