#include "impl/platform/shootdown_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const TlbMechanism interrupts{"ipi", "interrupts, as far as this guest can tell"};

TEST(ShootdownProbe, WhereNoInterruptArrivesNoneProvesAnything) {
    const TlbMechanism seen = in_the_light_of(ShootdownProbe{.revocations = 32, .interrupts = 1}, interrupts);
    EXPECT_EQ(seen.value, without_interrupts);
    EXPECT_THAT(seen.why, StartsWith("32 revocations beside a running thread brought 1 interrupts"));
}

TEST(ShootdownProbe, WhereTheyArriveTheMechanismStaysAndSaysThatItWasTried) {
    for (const char* believed : {"ipi", "ipi_paravirtual"}) {
        const TlbMechanism seen = in_the_light_of(ShootdownProbe{.revocations = 32, .interrupts = 33}, {believed, "why"});
        EXPECT_EQ(seen.value, believed);
        EXPECT_THAT(seen.why, HasSubstr("33 interrupts"));
    }
}

TEST(ShootdownProbe, AMachineThatCannotBeAskedIsBelieved) {
    const Result<ShootdownProbe> untried = fail(ErrorCode::unavailable, "there is no second processor to interrupt");
    const TlbMechanism seen = in_the_light_of(untried, interrupts);
    EXPECT_EQ(seen.value, "ipi");
    EXPECT_THAT(seen.why, HasSubstr("not tried: there is no second processor"));
}

TEST(ShootdownProbe, OneThatNeedsNoInterruptsIsNotContradicted) {
    for (const char* believed : {"broadcast", "invlpgb"}) {
        const TlbMechanism seen = in_the_light_of(ShootdownProbe{.revocations = 32, .interrupts = 32}, {believed, "why"});
        EXPECT_EQ(seen.value, believed);
        EXPECT_EQ(seen.why, "why");
    }
}

TEST(ShootdownProbe, ThisMachineAnswersOrSaysWhyNot) {
    const auto topology = Topology::discover();
    ASSERT_TRUE(topology) << topology.error().text();
    const Result<ShootdownProbe> probe = probe_shootdowns(*topology);
    if (probe) {
        EXPECT_EQ(probe->revocations, 32u);
    } else {
        EXPECT_EQ(probe.error().code, ErrorCode::unavailable) << probe.error().text();
        EXPECT_FALSE(probe.error().text().empty());
    }
}

}  // namespace
}  // namespace page_map_lab
