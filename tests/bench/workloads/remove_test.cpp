// The remove workload: its check passes what is right and catches maps that keep pages open, pinned or unwritten.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/workloads/remove.hpp"
#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/memory_read_back.hpp"

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

TEST(RemoveCheck, PassesASoundMapInWorkerProcesses) {
    Launch launched = remove_with<BaseVariant>(
        {"--processes=1,3", "--set=victims=0", "--set=dirty_percent=0,50", "--set=pinned_percent=25", "--set=regions=2"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
    if (std::thread::hardware_concurrency() > 1) {
        launched = remove_with<BaseVariant>({"--processes=2", "--set=victims=1"});
        EXPECT_EQ(launched.exit, 0) << launched.errors;
    }
}

/// The metric of the only cell's first repetition.
double metric_of(const nlohmann::json& record, const std::string& name) {
    return record["cells"][0]["repetitions"][0]["metrics"][name];
}

TEST(RemoveWorkload, ShowsWhatGroupingPerAddressSpaceIsWorth) {
    const auto measured = [](auto remove_in_processes) {
        const TemporaryFolder folder;
        const Launch launched = remove_in_processes(std::vector<std::string>{
            "--processes=4", "--set=victims=0", "--set=shootdown_spaces=3",
            "--record=" + (folder / "record.json").string()});
        EXPECT_EQ(launched.exit, 0) << launched.errors;
        const auto record = nlohmann::json::parse(contents(folder / "record.json"));
        EXPECT_EQ(record["cells"][0]["parameters"]["processes"], 4);
        EXPECT_EQ(metric_of(record, "early_flushes_per_operation"), 1);
        return metric_of(record, "messages_per_operation");
    };
    EXPECT_EQ(measured([](auto arguments) { return remove_with<BaseVariant>(arguments); }), 4);
    EXPECT_EQ(measured([](auto arguments) {
                  return remove_with<Variant<Radix, RcuQsbr, PerPage, Mprotect>>(arguments);
              }),
              4 * 40);
}

TEST(RemoveCheck, CatchesAMapThatForgetsAWorker) {
    const Launch launched = remove_with<WithShootdown<ForgetsARegion>>({"--processes=2", "--set=victims=0"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("can still be read through region 1"));
}

TEST(RemoveWorkload, RefusesMoreVictimsThanProcesses) {
    const Launch launched = remove_with<BaseVariant>({"--processes=1", "--set=victims=2"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("raise --processes"));
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

TEST(RemoveWorkload, RecordsEveryPhaseInOrderWithCounters) {
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
        if (phase["name"] != "lock" && phase["name"] != "grace_period") {  // those come where there is something to wait for
            ASSERT_TRUE(phase.contains("counters")) << phase["name"];
            EXPECT_FALSE(phase["counters"].empty());
        }
    }
    EXPECT_THAT(names, testing::ElementsAreArray(phase_names));
}

TEST(RemoveWorkload, VariesOptionsOneAtATimeAtTheRealSize) {
    EXPECT_GE(points_besides(remove_question()), 5U);
}

TEST(RemoveWorkload, ReadsTheMemoryOfItsFloorBack) {
    WorkloadDescription workload = remove_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<RemoveCell>(parameters, true, [](const RemoveShape& shape, Environment& environment) {
            return std::make_unique<RawRemoveTarget>(shape, false, environment);
        });
    });
    EXPECT_EQ(memory_read_back(workload, {"--pages=8", "--set=victims=0"})["state"], "ok");
}

TEST(RemoveWorkload, SweepsVictimsUpToTheProcessorsThatThereAre) {
    EXPECT_EQ(further_victims(2), "0") << "one is the usual number";
    EXPECT_EQ(further_victims(3), "0,2");
    EXPECT_EQ(further_victims(8), "0,2,4,7");
    EXPECT_EQ(further_victims(9), "0,2,4,8");
}

}  // namespace
}  // namespace page_map_lab::bench
