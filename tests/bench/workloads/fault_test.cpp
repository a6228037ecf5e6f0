// The fault workload: its check passes what is right and catches faults that leak a reference or lose a write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/fault.hpp"
#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

template <class Target>
Launch fault_at(std::vector<std::string> arguments) {
    WorkloadDescription workload = fault_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<FaultCell>(parameters, [](std::uint64_t pages, Environment& environment) {
            return std::make_unique<Target>(pages, environment);
        });
    });
    arguments.insert(arguments.end(), {"--floors", "--pages=64", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}

template <class TestedVariant>
Launch fault_with(std::vector<std::string> arguments) {
    return fault_at<MapFaultTarget<TestedVariant>>(std::move(arguments));
}

TEST(FaultCheck, PassesASoundMapInEveryShape) {
    const Launch launched = fault_with<BaseVariant>({"--set=order=sequential,scattered"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(FaultCheck, PassesTheRawCallInEveryShape) {
    const Launch launched = fault_at<RawFaultTarget>({"--set=order=sequential,scattered", "--threads=1,2"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(FaultCheck, CatchesAFaultThatKeepsItsReference) {
    const Launch launched = fault_with<OnFaultyMachine<DropsAReference>>({"--set=kind=soft", "--threads=1"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("still referenced"));
}

TEST(FaultCheck, CatchesAWriteUpgradeThatIsForgotten) {
    const Launch launched = fault_with<OnFaultyMachine<ForgetsDirty>>({"--set=kind=write", "--threads=1"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("writing back"));
}

/// The sum of a thread's latencies and how long it was at work, in nanoseconds.
std::pair<std::uint64_t, std::uint64_t> time_faults(std::uint64_t interval_ns) {
    const auto topology = Topology::discover();
    Environment environment(*topology, {});
    ThreadTeam team(*topology, {}, CounterSetName::none);
    Parameters point;
    point.set("pages", std::uint64_t{64});
    point.set("kind", "soft");
    point.set("order", "sequential");
    point.set("interval_ns", interval_ns);
    point.set("threads", std::uint64_t{1});
    FaultCell cell(point, [](std::uint64_t pages, Environment& where) {
        return std::make_unique<MapFaultTarget<BaseVariant>>(pages, where);
    });
    const Status ready = cell.set_up(environment);
    const Result<Sample> sample = ready ? cell.measure(environment, team, 0) : tl::unexpected(ready.error());
    EXPECT_TRUE(sample && cell.check(environment).passed);
    return sample ? std::pair{sample->histograms.front().latencies.sum_ns(), sample->threads.front().duration_ns}
                  : std::pair<std::uint64_t, std::uint64_t>{};
}

// No fault is over in a nanosecond, so each is due while the ones before it are served.
TEST(FaultWorkload, CountsALateStartInAnOpenLoop) {
    const auto [closed_sum, closed_duration] = time_faults(0);
    EXPECT_LE(closed_sum, closed_duration);
    const auto [open_sum, open_duration] = time_faults(1);
    EXPECT_GT(open_sum, open_duration);
}

TEST(FaultWorkload, VariesOptionsOneAtATimeAtTheRealSize) {
    EXPECT_GE(points_besides(fault_question()), 1U);
}

}  // namespace
}  // namespace page_map_lab::bench
