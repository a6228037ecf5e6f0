// The fault workload: its check passes what is right and catches faults that leak a reference or lose a write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/fault.hpp"
#include "tests/bench/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

template <class TestedVariant>
Launch fault_with(std::vector<std::string> arguments) {
    WorkloadDescription workload = fault_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<FaultCell>(parameters, [](std::uint64_t pages, Environment& environment) {
            return std::make_unique<MapFaultTarget<TestedVariant>>(pages, environment);
        });
    });
    arguments.insert(arguments.end(), {"--floors", "--pages=64", "--repetitions=2", "--min-time-ms=1"});
    return launch(workload, arguments);
}

TEST(FaultCheck, PassesASoundMapInEveryShape) {
    const Launch launched = fault_with<BaseVariant>({"--set=order=sequential,scattered"});
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

}  // namespace
}  // namespace page_map_lab::bench
