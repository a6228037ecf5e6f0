// The shootdown workload: its check passes what is right and catches a policy that leaves pages open.
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/shootdown.hpp"
#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/memory_read_back.hpp"

namespace page_map_lab::bench {
namespace {

template <class Revoker>
Launch shoot_down_by(std::vector<std::string> arguments) {
    WorkloadDescription workload = shootdown_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<ShootdownCell<Revoker>>(parameters); });
    arguments.insert(arguments.end(), {"--floors", "--pages=1,40", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}
template <class ShootdownPolicy>
Launch shoot_down_with(std::vector<std::string> arguments) {
    return shoot_down_by<RevokeByPolicy<WithShootdown<ShootdownPolicy>>>(std::move(arguments));
}

TEST(ShootdownCheck, PassesEveryPolicyAndFloorInEveryShape) {
    const auto pass = []<class Revoker>() {
        const Launch launched = shoot_down_by<Revoker>({"--threads=1", "--set=victims_touch=outside,inside"});
        EXPECT_EQ(launched.exit, 0) << launched.errors;
    };
    variants_felt<FeltAxes{.shootdown = true, .mechanism = true}>::for_each(
        [&]<class Variant>() { pass.template operator()<RevokeByPolicy<Variant>>(); });
    pass.template operator()<RevokeRanged>();
    pass.template operator()<RevokeSingle>();
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

/// The sum of the latencies and how long the initiator was at work, in nanoseconds.
std::pair<std::uint64_t, std::uint64_t> time_flushes(std::uint64_t interval_ns) {
    const auto topology = Topology::discover();
    Environment environment(*topology, {});
    environment.minimum_time = std::chrono::milliseconds(20);
    ThreadTeam team(*topology, {}, CounterSetName::none);
    Parameters point;
    point.set("pages", std::uint64_t{1});
    point.set("layout", "contiguous");
    point.set("victims_touch", "outside");
    point.set("processes", std::uint64_t{0});
    point.set("interval_ns", interval_ns);
    point.set("threads", std::uint64_t{1});
    ShootdownCell<RevokeRanged> cell(point);
    const Result<Sample> sample = cell.measure(environment, team, 0);
    EXPECT_TRUE(sample && cell.check(environment).passed);
    return sample ? std::pair{sample->histograms.front().latencies.sum_ns(), sample->threads.front().duration_ns}
                  : std::pair<std::uint64_t, std::uint64_t>{};
}

// No flush is over in a nanosecond, so each is due while the ones before it are made.
TEST(ShootdownWorkload, CountsALateStartInAnOpenLoop) {
    const auto [closed_sum, closed_duration] = time_flushes(0);
    EXPECT_LE(closed_sum, closed_duration);
    const auto [open_sum, open_duration] = time_flushes(1);
    EXPECT_GT(open_sum, open_duration);
}

TEST(ShootdownWorkload, VariesOptionsOneAtATimeAtTheRealSize) {
    EXPECT_GE(points_besides(shootdown_question()), 5U);
}

TEST(ShootdownWorkload, PlacesItsPagesAndReadsThemBack) {
    WorkloadDescription workload = shootdown_question();
    add_floor(workload, "floor:tested",
              [](const Parameters& parameters) { return std::make_unique<ShootdownCell<RevokeRanged>>(parameters); });
    EXPECT_EQ(memory_read_back(workload, {"--pages=8", "--threads=1", "--set=layout=contiguous"})["state"], "ok");

    const Topology topology = Topology::discover().value();
    const unsigned node = topology.numa_nodes().front();
    Environment environment(topology, MemoryPolicy::on_node(node));
    {
        const ShootdownObject<RevokeRanged::Machine> object(8, 1, 1, 0, environment);
        int mode = -1;
        ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, nullptr, 0UL, object.region().address_of(0), MPOL_F_ADDR), 0);
        EXPECT_EQ(mode, MPOL_BIND);
    }
    EXPECT_EQ(environment.observed_pages_by_node().at(node), 9U);
}

}  // namespace
}  // namespace page_map_lab::bench
