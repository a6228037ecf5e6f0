// `calibrate`: prints as JSON how steady a processor is and which processors share a core, for the noise gate.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/harness/calibration.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds drift_duration{50};
constexpr std::chrono::milliseconds longest_alone{40};
constexpr std::chrono::milliseconds all_alone{500};       // divided among the processors
constexpr std::size_t most_alone = 32;                    // enough to know the clock that one alone gets
constexpr std::chrono::milliseconds together_duration{60};
constexpr std::chrono::milliseconds budget_of_pairs{1000};
constexpr int looks_at_each_pair = 7;
constexpr double slowed = 1.4;  // beside all the others, against alone: more than boost explains, less than a sibling

int complain(const std::string& what) {
    std::fprintf(stderr, "calibrate: %s\n", what.c_str());
    return 2;
}

Json optional_number(const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
}

/// The wall time of each round on one processor: what a benchmark would have felt.
Result<Json> drift(const Topology& topology, unsigned cpu) {
    const auto rounds = measure_rounds(topology, std::array{CalibrationThread{cpu}}, drift_duration);
    if (!rounds) {
        return tl::unexpected<Error>(rounds.error());
    }
    Json times = Json::array();
    for (const auto& round : rounds->front()) {
        times.push_back(round.end_ns - round.begin_ns);
    }
    return Json{{"cpu", cpu}, {"round_ns", std::move(times)}};
}

/// The pairs in the order in which siblings are likeliest: neighbours, then half the list apart, then all others.
std::vector<std::pair<std::size_t, std::size_t>> pairs_of(std::size_t count) {
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    for (std::size_t first = 0; first < count; ++first) {
        for (std::size_t second = first + 1; second < count; ++second) {
            pairs.emplace_back(first, second);
        }
    }
    std::ranges::stable_sort(pairs, {}, [count](const auto& pair) {
        const std::size_t apart = pair.second - pair.first;
        return apart == 1 ? 0 : apart * 2 == count ? 1 : 2;
    });
    return pairs;
}

/// Those that are slower when all run at once than the fastest is alone: only they can be siblings of each other.
Result<std::vector<unsigned>> suspects(const Topology& topology, const std::vector<unsigned>& cpus, double fastest_ns) {
    if (cpus.size() <= 2) {
        return cpus;
    }
    std::vector<CalibrationThread> threads;
    std::ranges::transform(cpus, std::back_inserter(threads), [](unsigned cpu) { return CalibrationThread{cpu}; });
    const auto rounds = measure_rounds(topology, threads, together_duration);
    if (!rounds) {
        return tl::unexpected<Error>(rounds.error());
    }
    std::vector<unsigned> found;
    for (std::size_t place = 0; place < cpus.size(); ++place) {
        if (typical_ns((*rounds)[place]).value_or(HUGE_VAL) > slowed * fastest_ns) {
            found.push_back(cpus[place]);
        }
    }
    return found;
}

Result<Json> sharing(const Topology& topology, const std::vector<unsigned>& cpus) {
    const std::size_t alone_count = std::min(cpus.size(), most_alone);
    const auto each = std::min(longest_alone, all_alone / static_cast<int>(alone_count));
    Json measured{{"cpus", cpus}, {"alone_round_ns", Json::array()}, {"pairs", Json::array()}, {"pairs_left_out", 0}};
    double fastest_ns = HUGE_VAL;
    for (const unsigned cpu : std::span(cpus).first(alone_count)) {
        const auto rounds = measure_rounds(topology, std::array{CalibrationThread{cpu}}, each);
        if (!rounds) {
            return tl::unexpected<Error>(rounds.error());
        }
        const auto alone = undisturbed_ns(rounds->front());
        measured["alone_round_ns"].push_back(optional_number(alone));
        fastest_ns = std::min(fastest_ns, alone.value_or(HUGE_VAL));
    }
    const auto slow = suspects(topology, cpus, fastest_ns);
    if (!slow) {
        return tl::unexpected<Error>(slow.error());
    }
    // Several looks at each pair, spread over time: a hypervisor moves its processors from core to core.
    const auto deadline = Clock::now() + budget_of_pairs;
    const auto pairs = pairs_of(slow->size());
    std::vector<Json> looks(pairs.size());  // null where the time was over before the first
    for (int look = 0; look < looks_at_each_pair; ++look) {
        for (std::size_t place = 0; place < pairs.size() && Clock::now() < deadline; ++place) {
            const auto pair = measure_pair(topology, (*slow)[pairs[place].first], (*slow)[pairs[place].second]);
            if (!pair) {
                return tl::unexpected<Error>(pair.error());
            }
            if (looks[place].is_null()) {
                looks[place] = Json::array();
            }
            if (pair->throughput) {
                looks[place].push_back(*pair->throughput);
            }
        }
    }
    for (std::size_t place = 0; place < pairs.size(); ++place) {
        if (looks[place].is_null()) {
            measured["pairs_left_out"] = measured["pairs_left_out"].get<std::uint64_t>() + 1;
            continue;
        }
        measured["pairs"].push_back({{"cpus", {(*slow)[pairs[place].first], (*slow)[pairs[place].second]}},
                                     {"throughputs", std::move(looks[place])}});
    }
    return measured;
}

int run(int argc, char** argv) {
    CLI::App app{"Times a fixed piece of arithmetic, for the lab's noise gate: how steady a processor is, and which "
                 "processors share a core. Prints JSON; takes less than two seconds."};
    std::vector<unsigned> cpus;
    bool drift_only = false;
    app.add_option("--cpus", cpus, "OS indices of the processors, such as 0,2 (default: all that may be used)")
        ->delimiter(',');
    app.add_flag("--drift-only", drift_only, "only how steady the first processor is: 60 ms");
    CLI11_PARSE(app, argc, argv);

    const auto topology = Topology::discover();
    if (!topology) {
        return complain(topology.error().text());
    }
    if (const auto bindable = topology->bindable(); !bindable) {
        return complain(bindable.error().text());
    }
    if (cpus.empty()) {
        std::ranges::transform(topology->cpus(), std::back_inserter(cpus), &LogicalCpu::os_index);
    }
    std::ranges::sort(cpus);
    if (std::ranges::adjacent_find(cpus) != cpus.end()) {
        return complain("--cpus names a processor twice: name each once");
    }
    for (const unsigned cpu : cpus) {
        if (!topology->find_cpu(cpu)) {
            return complain("CPU " + std::to_string(cpu) + " may not be used here: leave it out of --cpus");
        }
    }
    Json printed;
    const auto steadiness = drift(*topology, cpus.front());
    if (!steadiness) {
        return complain(steadiness.error().text());
    }
    printed["drift"] = *steadiness;
    if (!drift_only) {
        const auto shared = sharing(*topology, cpus);
        if (!shared) {
            return complain(shared.error().text());
        }
        printed["sharing"] = *shared;
    }
    std::cout << printed.dump() << std::endl;
    return 0;
}

}  // namespace
}  // namespace page_map_lab::bench

int main(int argc, char** argv) {
    return page_map_lab::bench::run(argc, argv);
}
