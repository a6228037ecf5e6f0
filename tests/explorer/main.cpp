// The explorer's command line: which variants and scenarios, for how long, and which schedule to run again.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <new>

#include <CLI/CLI.hpp>

#include "tests/explorer/exploration.hpp"
#include "tests/explorer/variants_under_test.hpp"

namespace page_map_lab::explorer {
namespace {

using Clock = std::chrono::steady_clock;

/// One scenario on the variants that differ in their shootdown only: a schedule in which nothing is revoked is the same on all.
struct Group {
    const Scenario* scenario;
    std::vector<const VariantUnderTest*> variants;
};

struct Totals {
    std::uint64_t schedules = 0;
    std::uint64_t runs = 0;
    std::uint64_t exhausted = 0;
    std::uint64_t long_enough = 0;  ///< exhausted, or with as many schedules as were asked for

    Totals& operator+=(const Totals& other) {
        schedules += other.schedules;
        runs += other.runs;
        exhausted += other.exhausted;
        long_enough += other.long_enough;
        return *this;
    }
};

struct Asked {
    Limits limits;
    double seconds = 0;
    unsigned processes = 1;
    bool tells_each = false;
    bool wants_all = false;  ///< every cell exhausted, or with as many schedules as are asked for
};

/// How the processes divide the work: shared memory.
struct Division {
    std::atomic<std::size_t> next_group{0};
    std::atomic<std::size_t> cells_left{0};
};

/// What was explored of one scenario on one variant, told and counted; once for each of `variants`, on which it is the same.
Totals counted(const Scenario& scenario, std::span<const VariantUnderTest* const> variants, const Explored& explored,
               const Asked& asked) {
    const bool long_enough = explored.exhausted || explored.schedules >= asked.limits.schedules;
    for (const VariantUnderTest* variant : variants) {
        const bool is_short = asked.wants_all && !long_enough;
        if (asked.tells_each || is_short) {
            std::fprintf(is_short ? stderr : stdout, "%s%s %s: %zu schedules in %zu runs%s%s\n", is_short ? "too few: " : "",
                         variant->name.c_str(), std::string(scenario.name).c_str(), explored.schedules, explored.runs,
                         explored.exhausted ? ", exhausted" : "", variant == variants.front() ? "" : ", as the one above");
        }
    }
    std::fflush(nullptr);
    return {explored.schedules, explored.runs, explored.exhausted ? variants.size() : 0, long_enough ? variants.size() : 0};
}

/// Most cells take a fraction of their even share of the time, and a few take several: none gets more than this.
constexpr std::int64_t most_shares = 8;

/// Takes group after group.
Totals explore(std::span<const Group> groups, Division& division, const Asked& asked, Clock::time_point end) {
    Totals totals;
    for (std::size_t at = division.next_group++; at < groups.size(); at = division.next_group++) {
        const std::span<const VariantUnderTest* const> variants = groups[at].variants;
        for (std::size_t first = 0; first < variants.size();) {
            Limits limits = asked.limits;
            if (asked.seconds > 0) {
                const auto now = Clock::now();
                const auto left = static_cast<std::int64_t>(std::max<std::size_t>(division.cells_left, 1));
                limits.deadline = now + (end - now) * std::min<std::int64_t>(asked.processes * most_shares, left) / left;
            }
            const Explored explored = Exploration(*variants[first], *groups[at].scenario, limits).explore();
            const std::size_t same = explored.revokes ? 1 : variants.size() - first;
            totals += counted(*groups[at].scenario, variants.subspan(first, same), explored, asked);
            division.cells_left -= same;
            first += same;
        }
    }
    return totals;
}

/// Divides the groups among processes. False where one of them found something, or ended otherwise.
bool explore_in_processes(std::span<const Group> groups, std::size_t cells, const Asked& asked, Totals& totals) {
    void* const shared = ::mmap(nullptr, sizeof(Division), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return false;
    }
    Division& division = *new (shared) Division;
    division.cells_left = cells;
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(asked.seconds));
    std::vector<std::pair<pid_t, int>> children;
    for (unsigned process = 0; process < asked.processes; ++process) {
        int ends[2];
        if (::pipe(ends) != 0) {
            return false;
        }
        const pid_t child = ::fork();
        if (child == 0) {
            const Totals found = explore(groups, division, asked, end);
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
        totals += found;
    }
    return sound;
}

int run(int argument_count, char** arguments) {
    CLI::App app{"Runs the page map on simulated cores, in every order that matters."};
    std::string variant_part;
    std::string scenario_name;
    std::string replayed;
    Asked asked;
    Limits& limits = asked.limits;
    bool list = false;
    app.add_option("--variant", variant_part, "Only variants whose name contains this");
    app.add_option("--scenario", scenario_name, "Only this scenario");
    app.add_option("--schedules", limits.schedules, "Different schedules for each variant and scenario")->check(CLI::PositiveNumber);
    app.add_option("--preemptions", limits.preemptions, "Preemptions of the systematic part");
    app.add_option("--states", limits.states, "States that are remembered of each variant and scenario; with more, nothing is exhausted. "
                   "0: none, and every schedule is run to its end");
    app.add_flag("!--systematic", limits.random, "Leaves the random part out");
    app.add_option("--seconds", asked.seconds, "Ends after about this long; one variant and scenario gets at most eight times its even share");
    app.add_option("--seed", limits.seed, "Decides the random part and the order of the systematic one");
    app.add_option("--processes", asked.processes, "How many processes share the work")->check(CLI::Range(1, 256));
    app.add_option("--replay", replayed, "Runs the one schedule that a report names, and prints its steps");
    app.add_flag("--list", list, "Prints the variants and scenarios");
    app.add_flag("--each", asked.tells_each, "Prints a line for each variant and scenario");
    app.add_flag("--all", asked.wants_all, "Exit code 1 where one is neither exhausted nor has that many schedules; names it");
    CLI11_PARSE(app, argument_count, arguments);

    const std::vector<VariantUnderTest> variants = variants_under_test();
    std::vector<Group> groups;
    std::size_t cells = 0;
    for (const Scenario& scenario : all_scenarios()) {
        if (!scenario_name.empty() && scenario.name != scenario_name) {
            continue;
        }
        for (const VariantUnderTest& variant : variants) {
            if (variant.name.find(variant_part) == std::string::npos) {
                continue;
            }
            if (groups.empty() || groups.back().scenario != &scenario ||
                groups.back().variants.front()->name_without_shootdown != variant.name_without_shootdown) {
                groups.push_back({&scenario, {}});
            }
            groups.back().variants.push_back(&variant);
            ++cells;
        }
    }
    if (cells == 0) {
        std::cerr << "explorer: no variant and scenario of these names: use --list\n";
        return 2;
    }
    if (list) {
        for (const Group& group : groups) {
            for (const VariantUnderTest* variant : group.variants) {
                std::cout << variant->name << ' ' << group.scenario->name << '\n';
            }
        }
        return 0;
    }
    if (!replayed.empty()) {
        if (cells != 1) {
            std::cerr << "explorer: one schedule is of one variant and one scenario: give --variant and --scenario\n";
            return 2;
        }
        if (!Exploration(*groups[0].variants[0], *groups[0].scenario, limits).replay(replayed)) {
            std::cerr << "explorer: '" << replayed << "' names no schedule: give what a report printed\n";
            return 2;
        }
        std::cout << "nothing is wrong in this schedule\n";
        return 0;
    }
    std::fflush(nullptr);
    Totals totals;
    if (!explore_in_processes(groups, cells, asked, totals)) {
        std::cerr << "explorer: seed " << limits.seed << ": something is wrong, see above\n";
        return 1;
    }
    const std::size_t scenarios = scenario_name.empty() ? all_scenarios().size() : 1;
    std::cout << "schedules " << totals.schedules << " in " << totals.runs << " runs, scenarios " << scenarios << " x "
              << cells / scenarios << " variants, exhausted " << totals.exhausted << " of " << cells
              << " at " << limits.preemptions << " preemptions, " << totals.long_enough << " exhausted or with "
              << limits.schedules << " schedules, seed " << limits.seed << '\n';
    return asked.wants_all && totals.long_enough < cells ? 1 : 0;
}

}  // namespace
}  // namespace page_map_lab::explorer

int main(int argument_count, char** arguments) { return page_map_lab::explorer::run(argument_count, arguments); }
