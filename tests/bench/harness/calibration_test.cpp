#include "bench/harness/calibration.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

namespace page_map_lab::bench {
namespace {

constexpr std::int64_t slice = 4'000'000;

/// Rounds of 100 us one after the other; in those listed, another thread has the processor for a time slice.
CalibrationRounds rounds_with_absences(int count, std::initializer_list<int> absent) {
    CalibrationRounds rounds;
    std::int64_t now = 0;
    for (int index = 0; index < count; ++index) {
        const bool away = std::find(absent.begin(), absent.end(), index) != absent.end();
        const std::int64_t end = now + 100'000 + (away ? slice : 0);
        rounds.push_back({now, end, 100'000});
        now = end;
    }
    return rounds;
}

TEST(Calibration, ARoundWithAnothersTimeSliceIsLeftOut) {
    auto rounds = rounds_with_absences(20, {3});
    EXPECT_TRUE(rounds[2].kept_its_processor());
    EXPECT_FALSE(rounds[3].kept_its_processor());
    rounds[3].processor_ns = 1;  // would be the smallest, if it counted
    EXPECT_EQ(undisturbed_ns(rounds), 100'000);
    EXPECT_EQ(typical_ns(rounds), 100'000);
    EXPECT_FALSE(undisturbed_ns(rounds_with_absences(2, {0, 1})));
    EXPECT_FALSE(typical_ns({}));
}

TEST(Calibration, OnlyRoundsDuringWhichTheOtherRanProveSharing) {
    const auto own = rounds_with_absences(100, {});
    EXPECT_EQ(proven_rounds(own, own).size(), own.size());
    // The other is away from 0.2 ms to 4.3 ms: the own rounds 2 to 42 prove nothing.
    const auto partner = rounds_with_absences(60, {2});
    EXPECT_EQ(proven_rounds(own, partner).size(), 100U - 41U);
    // The other began later and ended earlier.
    auto shorter = CalibrationRounds(own.begin() + 10, own.begin() + 20);
    EXPECT_EQ(proven_rounds(own, shorter).size(), 10U);
    EXPECT_TRUE(proven_rounds(own, {}).empty());
}

TEST(Calibration, MeasuresTheProcessorsItWasGiven) {
    const auto topology = Topology::discover();
    ASSERT_TRUE(topology);
    const unsigned cpu = topology->cpus().front().os_index;
    const auto rounds = measure_rounds(*topology, std::array{CalibrationThread{cpu}}, std::chrono::milliseconds(20));
    ASSERT_TRUE(rounds);
    ASSERT_FALSE(rounds->front().empty());
    for (std::size_t index = 1; index < rounds->front().size(); ++index) {
        EXPECT_EQ(rounds->front()[index].begin_ns, rounds->front()[index - 1].end_ns);
    }
    EXPECT_FALSE(measure_rounds(*topology, std::array{CalibrationThread{100'000}}, std::chrono::milliseconds(1)));
}

TEST(Calibration, OneProcessorTwiceIsOneProcessorsWorth) {
    const auto topology = Topology::discover();
    ASSERT_TRUE(topology);
    const unsigned cpu = topology->cpus().front().os_index;
    // Two threads of one processor never run at once: no round can be proven, so nothing is claimed.
    const auto pair = measure_pair(*topology, cpu, cpu);
    ASSERT_TRUE(pair);
    EXPECT_FALSE(pair->throughput);
}

/// What the program prints, and its exit status.
std::pair<std::string, int> run_program(const std::string& arguments) {
    std::FILE* pipe = popen((PAGE_MAP_LAB_CALIBRATE " " + arguments + " 2>&1").c_str(), "r");
    std::string text;
    std::array<char, 4096> block{};
    while (const std::size_t count = std::fread(block.data(), 1, block.size(), pipe)) {
        text.append(block.data(), count);
    }
    return {text, WEXITSTATUS(pclose(pipe))};
}

TEST(Calibration, TheProgramPrintsWhatTheGateReads) {
    const auto topology = Topology::discover();
    ASSERT_TRUE(topology);
    std::vector<unsigned> cpus;
    for (const auto& cpu : topology->cpus()) {
        cpus.push_back(cpu.os_index);
    }
    cpus.resize(std::min<std::size_t>(cpus.size(), 2));
    const std::string list = std::to_string(cpus.front()) + (cpus.size() > 1 ? "," + std::to_string(cpus.back()) : "");
    const auto [text, status] = run_program("--cpus " + list);
    ASSERT_EQ(status, 0) << text;
    const auto printed = nlohmann::json::parse(text);
    EXPECT_FALSE(printed["drift"]["round_ns"].empty());
    EXPECT_EQ(printed["drift"]["cpu"], cpus.front());
    std::ranges::sort(cpus);
    EXPECT_EQ(printed["sharing"]["cpus"], nlohmann::json(cpus));
    ASSERT_EQ(printed["sharing"]["pairs"].size(), cpus.size() - 1);
    for (const auto& pair : printed["sharing"]["pairs"]) {
        EXPECT_EQ(pair["cpus"], nlohmann::json(cpus));
        EXPECT_TRUE(pair["throughputs"].is_array());  // empty on a machine too busy to prove anything
        for (const double throughput : pair["throughputs"]) {
            EXPECT_GT(throughput, 0.0);
        }
    }
    EXPECT_FALSE(nlohmann::json::parse(run_program("--drift-only").first).contains("sharing"));
}

TEST(Calibration, TheProgramRefusesProcessorsThatItCannotTake) {
    for (const std::string arguments : {"--cpus 100000", "--cpus 0,0", "--cpus none"}) {
        const auto [text, status] = run_program(arguments);
        EXPECT_NE(status, 0) << arguments;
        EXPECT_NE(text.find("--cpus"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace page_map_lab::bench
