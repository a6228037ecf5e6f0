// The checks of the insert and load workloads: they pass what is right and catch what is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/insert.hpp"
#include "bench/workloads/load.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/memory_read_back.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {
namespace {

using testing::HasSubstr;

/// Says that it inserted a page and does not.
struct ForgetsAnInsert : ArrayToPopulate {
    using ArrayToPopulate::ArrayToPopulate;
    Status insert(PageIndex index) { return index == 17 ? Status{} : ArrayToPopulate::insert(index); }
};

/// Two pages at one frame.
struct SharesAFrame : ArrayToPopulate {
    using ArrayToPopulate::ArrayToPopulate;
    FrameNumber frame_at(PageIndex index) { return ArrayToPopulate::frame_at(index == 17 ? 18 : index); }
};

/// Reads a page again that is there already.
struct ReadsTwice : ArrayToLoad {
    using ArrayToLoad::ArrayToLoad;
    Status load(PageIndex index, unsigned thread, unsigned racing) {
        if (index == 17) {
            static_cast<void>(ArrayToLoad::load(index, thread, racing));
        }
        return ArrayToLoad::load(index, thread, racing);
    }
};

/// Returns before the page's bytes are there.
struct NeverReads : ArrayToLoad {
    using ArrayToLoad::ArrayToLoad;
    Status load(PageIndex index, unsigned thread, unsigned racing) {
        return index == 17 ? Status{} : ArrayToLoad::load(index, thread, racing);
    }
};

/// Finds a page in memory that nobody has loaded.
struct FindsTheAbsent : ArrayToLoad {
    using ArrayToLoad::ArrayToLoad;
    Status load_nowait(PageIndex index) { return index == 17 ? Status{} : ArrayToLoad::load_nowait(index); }
};

Launch launch_floor(WorkloadDescription workload, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--floors", "--pages=64", "--threads=1", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}

template <class Target>
Launch insert_into() {
    WorkloadDescription workload = insert_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<InsertCell<Target>>(parameters); });
    return launch_floor(workload, {});
}

template <class Target>
Launch load_into() {
    WorkloadDescription workload = load_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<LoadCell<Target>>(parameters); });
    return launch_floor(workload, {"--set=race=same,different,nowait"});
}

TEST(InsertCheck, PassesASoundMap) {
    EXPECT_EQ(insert_into<ArrayToPopulate>().exit, 0);
}

TEST(InsertCheck, CatchesAMapThatForgetsAnInsert) {
    const Launch launched = insert_into<ForgetsAnInsert>();
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, HasSubstr("page 17"));
}

TEST(InsertCheck, CatchesTwoPagesAtOneFrame) {
    EXPECT_EQ(insert_into<SharesAFrame>().exit, 5);
}

TEST(LoadCheck, PassesASoundMap) {
    EXPECT_EQ(load_into<ArrayToLoad>().exit, 0);
}

TEST(LoadCheck, CatchesAMapThatReadsAPageTwice) {
    const Launch launched = load_into<ReadsTwice>();
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, HasSubstr("page 17 was read 2 times"));
}

TEST(LoadCheck, CatchesAMapThatDoesNotRead) {
    EXPECT_EQ(load_into<NeverReads>().exit, 5);
}

TEST(LoadCheck, CatchesAMapThatDoesNotSayWhatIsAbsent) {
    const Launch launched = load_into<FindsTheAbsent>();
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, HasSubstr("load_nowait of page 17, which is absent, does not say try_again"));
}

TEST(LoadWorkload, TheRealMapLoadsEachPageOnceUnderEveryRace) {
    WorkloadDescription workload = load_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<LoadCell<MapToLoad<BaseVariant>>>(parameters); });
    const Launch launched =
        launch(workload, {"--floors", "--pages=64", "--threads=1,2", "--repetitions=2", "--min-time-ms=1"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(LoadWorkload, ReadsTheMemoryOfItsFloorBack) {
    WorkloadDescription workload = load_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<LoadCell<ArrayToLoad>>(parameters); });
    EXPECT_EQ(memory_read_back(workload, {"--pages=64", "--threads=1"})["state"], "ok");
}

}  // namespace
}  // namespace page_map_lab::bench
