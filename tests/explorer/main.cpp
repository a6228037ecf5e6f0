// The explorer's command line: which variants and scenarios, for how long, and which schedule to run again.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>

#include "tests/explorer/exploration.hpp"
#include "tests/explorer/variants_under_test.hpp"

namespace page_map_lab::explorer {
namespace {

using Clock = std::chrono::steady_clock;

struct Cell {
    const VariantUnderTest* variant;
    const Scenario* scenario;
};

struct Totals {
    std::uint64_t schedules = 0;
    std::uint64_t runs = 0;
    std::uint64_t exhausted = 0;
    std::uint64_t long_enough = 0;  ///< exhausted, or with as many schedules as were asked for
};

/// Each cell gets its part of the time that is left.
Totals explore(std::span<const Cell> cells, Limits limits, double seconds, bool tells_each) {
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    Totals totals;
    for (std::size_t at = 0; at < cells.size(); ++at) {
        if (seconds > 0) {
            const auto now = Clock::now();
            limits.deadline = now + (end - now) / static_cast<std::int64_t>(cells.size() - at);
        }
        const Explored explored = Exploration(*cells[at].variant, *cells[at].scenario).explore(limits);
        totals.schedules += explored.schedules;
        totals.runs += explored.runs;
        totals.exhausted += explored.exhausted ? 1 : 0;
        totals.long_enough += explored.exhausted || explored.schedules >= limits.schedules ? 1 : 0;
        if (tells_each) {
            std::printf("%s %s: %zu schedules in %zu runs%s\n", cells[at].variant->name.c_str(),
                        std::string(cells[at].scenario->name).c_str(), explored.schedules, explored.runs,
                        explored.exhausted ? ", exhausted" : "");
            std::fflush(stdout);
        }
    }
    return totals;
}

/// Divides the cells among processes. False where one of them found something, or ended otherwise.
bool explore_in_processes(const std::vector<Cell>& cells, unsigned processes, const Limits& limits, double seconds,
                          bool tells_each, Totals& totals) {
    std::vector<std::pair<pid_t, int>> children;
    for (unsigned process = 0; process < processes; ++process) {
        std::vector<Cell> own;
        for (std::size_t at = process; at < cells.size(); at += processes) {
            own.push_back(cells[at]);
        }
        int ends[2];
        if (::pipe(ends) != 0) {
            return false;
        }
        const pid_t child = ::fork();
        if (child == 0) {
            const Totals found = explore(own, limits, seconds, tells_each);
            ::_exit(::write(ends[1], &found, sizeof(found)) == sizeof(found) ? 0 : 2);
        }
        ::close(ends[1]);
        children.emplace_back(child, ends[0]);
    }
    bool sound = true;
    for (const auto& [child, from] : children) {
        Totals found;
        sound = ::read(from, &found, sizeof(found)) == sizeof(found) && sound;
        ::close(from);
        int status = 0;
        ::waitpid(child, &status, 0);
        sound = sound && status == 0;
        totals.schedules += found.schedules;
        totals.runs += found.runs;
        totals.exhausted += found.exhausted;
        totals.long_enough += found.long_enough;
    }
    return sound;
}

int run(int argument_count, char** arguments) {
    CLI::App app{"Runs the page map on simulated cores, in every order that matters."};
    std::string variant_part;
    std::string scenario_name;
    std::string replayed;
    Limits limits;
    double seconds = 0;
    unsigned processes = 1;
    bool list = false;
    bool tells_each = false;
    app.add_option("--variant", variant_part, "Only variants whose name contains this");
    app.add_option("--scenario", scenario_name, "Only this scenario");
    app.add_option("--schedules", limits.schedules, "Different schedules for each variant and scenario")->check(CLI::PositiveNumber);
    app.add_option("--preemptions", limits.preemptions, "Preemptions of the systematic part");
    app.add_option("--seconds", seconds, "Ends after about this long, the time divided evenly");
    app.add_option("--seed", limits.seed, "Decides the random part and the order of the systematic one");
    app.add_option("--processes", processes, "How many processes share the work")->check(CLI::Range(1, 256));
    app.add_option("--replay", replayed, "Runs the one schedule that a report names, and prints its steps");
    app.add_flag("--list", list, "Prints the variants and scenarios");
    app.add_flag("--each", tells_each, "Prints a line for each variant and scenario");
    CLI11_PARSE(app, argument_count, arguments);

    const std::vector<VariantUnderTest> variants = variants_under_test();
    std::vector<Cell> cells;
    for (const VariantUnderTest& variant : variants) {
        for (const Scenario& scenario : all_scenarios()) {
            if (variant.name.find(variant_part) != std::string::npos &&
                (scenario_name.empty() || scenario.name == scenario_name)) {
                cells.push_back({&variant, &scenario});
            }
        }
    }
    if (cells.empty()) {
        std::cerr << "explorer: no variant and scenario of these names: use --list\n";
        return 2;
    }
    if (list) {
        for (const Cell& cell : cells) {
            std::cout << cell.variant->name << ' ' << cell.scenario->name << '\n';
        }
        return 0;
    }
    if (!replayed.empty()) {
        if (cells.size() != 1) {
            std::cerr << "explorer: one schedule is of one variant and one scenario: give --variant and --scenario\n";
            return 2;
        }
        if (!Exploration(*cells[0].variant, *cells[0].scenario).replay(replayed)) {
            std::cerr << "explorer: '" << replayed << "' names no schedule: give what a report printed\n";
            return 2;
        }
        std::cout << "nothing is wrong in this schedule\n";
        return 0;
    }
    std::fflush(nullptr);
    Totals totals;
    if (!explore_in_processes(cells, processes, limits, seconds, tells_each, totals)) {
        std::cerr << "explorer: seed " << limits.seed << ": something is wrong, see above\n";
        return 1;
    }
    const std::size_t scenarios = scenario_name.empty() ? all_scenarios().size() : 1;
    std::cout << "schedules " << totals.schedules << " in " << totals.runs << " runs, scenarios " << scenarios << " x "
              << cells.size() / scenarios << " variants, exhausted " << totals.exhausted << " of " << cells.size()
              << " at " << limits.preemptions << " preemptions, " << totals.long_enough << " exhausted or with "
              << limits.schedules << " schedules, seed " << limits.seed << '\n';
    return 0;
}

}  // namespace
}  // namespace page_map_lab::explorer

int main(int argument_count, char** arguments) { return page_map_lab::explorer::run(argument_count, arguments); }
