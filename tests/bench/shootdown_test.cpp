// The shootdown workload: its check passes what is right and catches a policy that leaves pages open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/shootdown.hpp"
#include "tests/bench/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

template <class ShootdownPolicy>
Launch shoot_down_with(std::vector<std::string> arguments = {}) {
    WorkloadDescription workload = shootdown_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        using Revoker = RevokeByPolicy<WithShootdown<ShootdownPolicy>>;
        return std::make_unique<ShootdownCell<Revoker>>(parameters);
    });
    arguments.insert(arguments.end(), {"--floors", "--pages=1,40", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}

TEST(ShootdownCheck, PassesEveryPolicyAndFloorInEveryShape) {
    const Launch launched =
        launch(shootdown_workload(), {"--floors", "--pages=1,40", "--threads=1", "--set=victims_touch=outside,inside",
                                      "--repetitions=2", "--min-time-ms=1"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(ShootdownCheck, PassesWithAVictimThatTouchesOutsideOrInside) {
    if (std::thread::hardware_concurrency() < 2) {
        GTEST_SKIP() << "a victim needs a processor of its own";
    }
    const Launch launched = shoot_down_with<WholeSpace>({"--threads=2", "--set=victims_touch=outside,inside"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(ShootdownCheck, PassesInWorkerProcesses) {
    EXPECT_EQ(shoot_down_with<WholeSpace>({"--threads=1", "--processes=1,3"}).exit, 0);
    if (std::thread::hardware_concurrency() > 1) {
        const Launch launched =
            shoot_down_with<Batched>({"--threads=2", "--processes=2", "--set=victims_touch=outside,inside"});
        EXPECT_EQ(launched.exit, 0) << launched.errors;
    }
}

TEST(ShootdownCheck, CatchesAPolicyThatForgetsAWorker) {
    const Launch launched = shoot_down_with<ForgetsARegion>({"--threads=1", "--processes=2"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("can still be read after it was revoked"));
}

TEST(ShootdownWorkload, RefusesMoreVictimsThanProcesses) {
    const Launch launched = shoot_down_with<Batched>({"--threads=3", "--processes=1"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("raise --processes"));
}

TEST(ShootdownCheck, CatchesAPolicyThatSkipsItsFlush) {
    const Launch launched = shoot_down_with<SkipsTheFlush>({"--threads=1"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("can still be read after it was revoked"));
}

TEST(ShootdownWorkload, FeelsTheShootdownAxisAlone) {
    const WorkloadDescription workload = shootdown_workload();
    EXPECT_THAT(workload.axes, testing::ElementsAre("shootdown"));
    EXPECT_EQ(workload.subjects.size(), Shootdowns::size + 2);
}

}  // namespace
}  // namespace page_map_lab::bench
