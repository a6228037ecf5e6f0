// Every variant under stress, in turns: `stress [--seconds N | --operations N] [--variant TEXT] [--seed S] [--workers N]`.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

#include <CLI/CLI.hpp>

#include "impl/platform/nursery.hpp"
#include "tests/stress/stress.hpp"

int main(int argument_count, char** arguments) {
    using namespace page_map_lab;
    using namespace page_map_lab::stress;
    using Clock = std::chrono::steady_clock;

    CLI::App app("Page maps under everything at once, checked for stale and lost values and for leaked frames.");
    double seconds = 25;
    double turn_seconds = 5;
    std::uint64_t operations = 0;
    std::uint64_t seed = std::random_device{}();
    std::uint64_t hang_seconds = 60;
    std::uint64_t disturb_one_in = 0;
    std::uint64_t least_kills = 0;
    std::uint64_t least_kills_in_each = 1;
    unsigned workers = 3;
    unsigned processes = 2;
    unsigned frames_percent = 50;
    std::string pattern;
    app.add_option("--seconds", seconds, "for all variants together")->check(CLI::PositiveNumber);
    app.add_option("--turn-seconds", turn_seconds, "how long a variant's turn lasts at most")->check(CLI::PositiveNumber);
    app.add_option("--operations", operations, "for all variants together, instead of a time");
    app.add_option("--variant", pattern, "only variants whose names contain this");
    app.add_option("--seed", seed, "of the threads' choices");
    app.add_option("--workers", workers, "readers, writers and faulters, in turns")->check(CLI::Range(3, 12));
    app.add_option("--disturb-one-in", disturb_one_in,
                   "the mapper, the evictor, the keeper and the parents each do one in so many of the operations");
    app.add_option("--processes", processes, "worker processes that are killed now and then")->check(CLI::Range(0, 4));
    app.add_option("--least-kills", least_kills, "fewer kills of worker processes fail the run, where there are any");
    app.add_option("--least-kills-in-each", least_kills_in_each, "the same, of kills in a fault, in a write, in a shootdown");
    app.add_option("--frames-percent", frames_percent, "frames for so many of an object's pages")
        ->check(CLI::Range(1, 100));
    app.add_option("--hang-seconds", hang_seconds, "a thread in one operation for so long hangs")
        ->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argument_count, arguments);

    if (Status started = processes == 0 ? Status{} : Nursery::start(); !started) {
        std::fprintf(stderr, "stress: %s\n", started.error().text().c_str());
        return 1;
    }
    std::vector<VariantEntry> chosen;
    for (const VariantEntry& variant : all_variants()) {
        if (variant.name.find(pattern) != std::string::npos) {
            chosen.push_back(variant);
        }
    }
    if (chosen.empty()) {
        std::fprintf(stderr, "stress: no variant's name contains '%s': lab list names them\n", pattern.c_str());
        return 2;
    }
    std::printf("stress: seed %lu, %zu variants%s\n", seed, chosen.size(),
                debug_checks ? "" : "; removed pages are not poisoned in this build");
    std::fflush(stdout);

    StressOutcome total;
    const auto start = Clock::now();
    const double round_seconds = turn_seconds * static_cast<double>(chosen.size());
    const double rounds = operations == 0 ? std::ceil(seconds / round_seconds) : 1;
    StressOptions options{.time = std::chrono::duration<double>(turn_seconds * seconds / (rounds * round_seconds)),
                          .operations = operations == 0 ? 0 : operations / chosen.size() + 1,
                          .workers = workers,
                          .processes = processes,
                          .disturb_one_in = disturb_one_in,
                          .frames_percent = frames_percent,
                          .seed = seed,
                          .hang = std::chrono::seconds(hang_seconds)};
    for (double round = 0; round < rounds; ++round) {
        for (const VariantEntry& variant : chosen) {
            StressOutcome outcome = run_stress(variant.make, options);
            for (const std::string& finding : outcome.findings) {
                std::printf("%s: seed %lu: %s\n", variant.name.c_str(), options.seed, finding.c_str());
            }
            std::fflush(stdout);
            total.add(std::move(outcome));
            ++options.seed;
        }
    }
    const std::chrono::duration<double> took = Clock::now() - start;
    std::printf("of the kills, in a fault %lu, in a write %lu, in a shootdown %lu\n", total.kills_in_faults,
                total.kills_in_writes, total.kills_in_shootdowns);
    std::printf("stress: seconds %.0f, operations %lu, evictions %lu, kills %lu, stale %lu, lost %lu, leaked %lu\n",
                took.count(), total.operations, total.evictions, total.kills, total.stale, total.lost, total.leaked);
    const bool enough_kills =
        processes == 0 || (total.kills >= least_kills && std::min({total.kills_in_faults, total.kills_in_writes,
                                                                   total.kills_in_shootdowns}) >= least_kills_in_each);
    if (!enough_kills) {
        std::fprintf(stderr, "stress: fewer than %lu kills, or than %lu in one of the places: run it for longer\n", least_kills,
                     least_kills_in_each);
    }
    return total.clean() && enough_kills ? 0 : 1;
}
