// Histories of real threads on every variant, each judged: `linearise [--seconds N] [--seed S] [--variant TEXT]`.
#include <chrono>
#include <cstdio>
#include <random>
#include <string>

#include <CLI/CLI.hpp>

#include "tests/linearise/linearisable.hpp"
#include "tests/linearise/recorded_map.hpp"

namespace {

using namespace page_map_lab;
using namespace page_map_lab::linearise;

struct Totals {
    std::uint64_t variants = 0;
    std::uint64_t histories = 0;
    std::uint64_t operations = 0;
    std::uint64_t rejected = 0;
};

/// Judges one history page by page, and prints what cannot be.
bool accepts(const History& history, const std::string& variant, std::uint64_t seed) {
    bool accepted = true;
    for (const PageIndex page : recorded_pages()) {
        const Verdict verdict = judge(history_of(history, page));
        if (!verdict.linearisable) {
            accepted = false;
            std::printf("%s: the history of page %lu from seed %lu is not linearisable: %s\n", variant.c_str(), page, seed,
                        verdict.why.c_str());
        }
    }
    return accepted;
}

}  // namespace

int main(int argument_count, char** arguments) {
    CLI::App app("Histories of real threads on every variant, checked for linearisability page by page.");
    double seconds = 15;
    std::uint64_t seed = std::random_device{}();
    std::string pattern;
    app.add_option("--seconds", seconds, "for all variants together; each has at least three histories")
        ->check(CLI::PositiveNumber);
    app.add_option("--seed", seed, "of the threads' choices");
    app.add_option("--variant", pattern, "only variants whose names contain this");
    CLI11_PARSE(app, argument_count, arguments);

    std::vector<VariantEntry> chosen;
    for (const VariantEntry& variant : all_variants()) {
        if (variant.name.find(pattern) != std::string::npos) {
            chosen.push_back(variant);
        }
    }
    if (chosen.empty()) {
        std::fprintf(stderr, "linearise: no variant's name contains '%s': lab list names them\n", pattern.c_str());
        return 2;
    }
    std::printf("linearise: seed %lu\n", seed);
    Totals totals;
    for (const VariantEntry& variant : chosen) {
        ++totals.variants;
        const auto end = std::chrono::steady_clock::now() +
                         std::chrono::duration<double>(seconds / static_cast<double>(chosen.size()));
        for (unsigned number = 0; number < 3 || std::chrono::steady_clock::now() < end; ++number) {
            const Recording recording{.seed = seed + totals.histories};
            const Result<History> history = record_history(variant.make, recording);
            ++totals.histories;
            if (!history) {
                std::printf("%s: %s\n", variant.name.c_str(), history.error().text().c_str());
                ++totals.rejected;
                continue;
            }
            for (const ThreadHistory& thread : *history) {
                totals.operations += thread.size();
            }
            totals.rejected += !accepts(*history, variant.name, recording.seed);
        }
    }
    std::printf("linearise: variants %lu, histories %lu, operations %lu, rejected %lu\n", totals.variants,
                totals.histories, totals.operations, totals.rejected);
    return totals.rejected == 0 ? 0 : 1;
}
