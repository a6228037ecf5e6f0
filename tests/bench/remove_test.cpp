// The remove workload: its check passes what is right and catches maps that keep pages open, pinned or unwritten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/workloads/remove.hpp"
#include "tests/bench/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

template <class TestedVariant>
Launch remove_with(std::vector<std::string> arguments, bool keep = false) {
    WorkloadDescription workload = remove_question();
    add_floor(workload, "floor:tested", [keep](const Parameters& parameters) {
        return std::make_unique<RemoveCell>(parameters, keep, [](const RemoveShape& shape, Environment& environment) {
            return std::make_unique<MapRemoveTarget<TestedVariant>>(shape, environment);
        });
    });
    arguments.insert(arguments.end(), {"--floors", "--pages=40", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}

TEST(RemoveCheck, PassesASoundMapInEveryShape) {
    for (const bool keep : {false, true}) {
        const Launch launched = remove_with<BaseVariant>(
            {"--set=victims=0", "--set=dirty_percent=0,50,100", "--set=pinned_percent=0,25", "--set=regions=1,2",
             "--set=mapped=yes,no"},
            keep);
        EXPECT_EQ(launched.exit, 0) << launched.errors;
    }
}

TEST(RemoveCheck, PassesAPolicyThatClosesTheVictimsPageToo) {
    if (std::thread::hardware_concurrency() < 2) {
        GTEST_SKIP() << "a victim needs a processor of its own";
    }
    const Launch launched = remove_with<Variant<Radix, RcuQsbr, WholeSpace, Mprotect>>({"--set=victims=1"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(RemoveCheck, CatchesAMapThatSkipsTheFlush) {
    const Launch launched = remove_with<WithShootdown<SkipsTheFlush>>({"--set=victims=0"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("can still be read through region 0"));
}

TEST(RemoveCheck, CatchesAMapThatForgetsARegion) {
    EXPECT_EQ(remove_with<WithShootdown<ForgetsARegion>>({"--set=victims=0"}).exit, 0);
    const Launch launched = remove_with<WithShootdown<ForgetsARegion>>({"--set=victims=0", "--set=regions=2"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("can still be read through region 1"));
}

TEST(RemoveCheck, CatchesAMapThatDropsAReference) {
    const Launch launched = remove_with<OnFaultyMachine<DropsAReference>>({"--set=victims=0"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("removable pages were removed"));
}

TEST(RemoveCheck, CatchesAMapThatForgetsWhatWasWritten) {
    const Launch launched = remove_with<OnFaultyMachine<ForgetsDirty>>({"--set=victims=0", "--set=dirty_percent=50"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("the store does not hold what was written last"));
}

TEST(RemoveWorkload, RefusesToRemoveNothing) {
    const Launch launched = remove_with<BaseVariant>({"--set=victims=0", "--set=pinned_percent=100"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("lower it"));
}

TEST(RemoveWorkload, RecordsSixPhasesInOrderWithCounters) {
    const TemporaryFolder folder;
    const Launch launched =
        remove_with<BaseVariant>({"--set=victims=0", "--record=" + (folder / "record.json").string()});
    ASSERT_EQ(launched.exit, 0) << launched.errors;
    const auto record = nlohmann::json::parse(contents(folder / "record.json"));
    const auto& phases = record["cells"][0]["phases"];
    std::vector<std::string> names;
    for (const auto& phase : phases) {
        names.push_back(phase["name"]);
        EXPECT_EQ(phase["operations"], 2);  // one watched removal a repetition
        EXPECT_FALSE(phase["counters"].empty());
    }
    EXPECT_THAT(names, testing::ElementsAreArray(phase_names));
}

}  // namespace
}  // namespace page_map_lab::bench
