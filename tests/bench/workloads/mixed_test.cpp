// The mixed workload: its check passes what is right and catches maps that lose writes, leak frames or leave pages
// open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/workloads/mixed.hpp"
#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

template <class TestedVariant>
Launch mix_with(std::vector<std::string> arguments,
                const std::vector<std::string>& size = {"--pages=128", "--repetitions=2", "--min-time-ms=20"}) {
    WorkloadDescription workload = mixed_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<MixedCell>(parameters, [](const MixedShape& shape, Environment& environment) {
            return std::make_unique<MapMixedTarget<TestedVariant>>(shape, environment);
        });
    });
    arguments.emplace_back("--floors");
    arguments.insert(arguments.end(), size.begin(), size.end());
    return launch(workload, arguments);
}

TEST(MixedCheck, PassesASoundMapInEveryShape) {
    const Launch launched = mix_with<BaseVariant>({"--set=mapped_percent=0,50,100", "--set=interval_ns=0,100000"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

// A thread that waits for the start holds up no grace period that another's warm-up waits for (invariant 8).
TEST(MixedCheck, StartsThoughAWarmUpWaitsForAGracePeriod) {
    const Launch launched =
        mix_with<BaseVariant>({"--threads=2"}, {"--pages=512", "--repetitions=100", "--min-time-ms=1"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

// A thread reads a page from the store once an operation at most; the warm-up reads hundreds, beside few operations.
TEST(MixedWorkload, LeavesTheWarmUpOutOfWhatItCounts) {
    for (const std::string processes : {"0", "1"}) {
        const TemporaryFolder folder;
        const Launch launched = mix_with<BaseVariant>(
            {"--threads=1", "--processes=" + processes, "--set=interval_ns=1000000", "--set=pattern=uniform",
             "--record=" + (folder / "record.json").string()},
            {"--pages=512", "--repetitions=2", "--min-time-ms=20"});
        ASSERT_EQ(launched.exit, 0) << launched.errors;
        const auto record = nlohmann::json::parse(contents(folder / "record.json"));
        for (const auto& repetition : record["cells"][0]["repetitions"]) {
            EXPECT_GE(repetition["metrics"]["hit_ratio"], 0.0) << "processes=" << processes;
            EXPECT_LE(repetition["metrics"]["removals_per_operation"], 1.0) << "processes=" << processes;
        }
    }
}

TEST(MixedCheck, PassesInWorkerProcesses) {
    const Launch launched = mix_with<BaseVariant>({"--threads=1", "--processes=1,2", "--set=interval_ns=0,100000"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(MixedCheck, CatchesAMapThatSkipsTheFlushInAWorker) {
    EXPECT_EQ(mix_with<WithShootdown<SkipsTheFlush>>({"--threads=1", "--processes=1"}).exit, 5);
}

TEST(MixedWorkload, RefusesMoreThreadsThanProcesses) {
    const Launch launched = mix_with<BaseVariant>({"--threads=2", "--processes=1"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("raise --processes"));
}

TEST(MixedCheck, CatchesAMapThatSkipsTheFlush) {
    EXPECT_EQ(mix_with<WithShootdown<SkipsTheFlush>>({"--threads=1"}).exit, 5);
}

TEST(MixedCheck, CatchesAMapThatForgetsWhatWasWritten) {
    EXPECT_EQ(mix_with<OnFaultyMachine<ForgetsDirty>>({"--threads=1"}).exit, 5);
}

TEST(MixedCheck, CatchesAMapThatDropsAReference) {
    // Few operations, so that frames are left to work with while references leak.
    EXPECT_EQ(mix_with<OnFaultyMachine<DropsAReference>>({"--threads=1", "--set=interval_ns=1000000"}).exit, 5);
}

TEST(MixedWorkload, RefusesFewerFramesThanItsThreadsCanHold) {
    const Launch launched = mix_with<BaseVariant>({"--threads=1", "--set=frames_percent=1"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("frames are too few"));
}

TEST(VersionedPagesCheck, TellsLostAndInventedWritesFromThoseThatMayBeSeen) {
    VersionedPages versions(2);
    alignas(8) std::byte page[page_size];
    fill_contents(page, 1, 0);
    EXPECT_TRUE(versions.read(1, page));
    std::byte before[page_size];
    std::ranges::copy(page, before);
    versions.write(1, page);
    EXPECT_TRUE(versions.read(1, page));
    EXPECT_FALSE(versions.read(0, page)) << "another page's contents";
    std::ranges::copy(before, page);
    EXPECT_FALSE(versions.read(1, page)) << "a write that was lost";
    fill_contents(page, 1, 2);
    EXPECT_FALSE(versions.read(1, page)) << "a version that nobody wrote";
}

TEST(MixedWorkload, VariesOptionsOneAtATimeAtTheRealSize) {
    EXPECT_GE(points_besides(mixed_question()), 3U);
}

}  // namespace
}  // namespace page_map_lab::bench
