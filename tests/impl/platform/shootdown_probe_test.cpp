#include "impl/platform/shootdown_probe.hpp"

#include <optional>
#include <string>
#include <vector>

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

/// What `quietest` makes of attempts that bring so many interrupts each, and how many it asked for; no number: one that fails.
struct Asked {
    Result<ShootdownProbe> probe;
    std::size_t attempts = 0;
};

Asked ask(const std::vector<std::optional<std::uint64_t>>& interrupts_of_attempts) {
    Asked asked;
    asked.probe = quietest(static_cast<unsigned>(interrupts_of_attempts.size()), [&]() -> Result<ShootdownProbe> {
        const auto interrupts_seen = interrupts_of_attempts.at(asked.attempts++);
        if (!interrupts_seen) {
            return fail(ErrorCode::unavailable, "attempt " + std::to_string(asked.attempts) + " found no processor");
        }
        return ShootdownProbe{.revocations = 32, .interrupts = *interrupts_seen};
    });
    return asked;
}

TEST(ShootdownProbe, WhatANeighbourSendsIsNotTakenForAShootdown) {
    const Asked asked = ask({40, 1, 40});
    ASSERT_TRUE(asked.probe);
    EXPECT_TRUE(asked.probe->interrupts_nobody());
    EXPECT_EQ(asked.attempts, 2u) << "an attempt that interrupts nobody answers the question";
}

TEST(ShootdownProbe, WhereEveryAttemptInterruptsTheFewestAreSaid) {
    const Asked asked = ask({50, 33, 41});
    ASSERT_TRUE(asked.probe);
    EXPECT_EQ(asked.probe->interrupts, 33u);
    EXPECT_EQ(asked.attempts, 3u);
}

TEST(ShootdownProbe, AnAttemptThatFailsEndsTheAskingAndLosesNoAnswer) {
    const Asked later = ask({40, std::nullopt, 0});
    ASSERT_TRUE(later.probe);
    EXPECT_EQ(later.probe->interrupts, 40u);
    EXPECT_EQ(later.attempts, 2u);

    const Asked first = ask({std::nullopt, 0});
    ASSERT_FALSE(first.probe);
    EXPECT_EQ(first.probe.error().text(), "attempt 1 found no processor");
    EXPECT_EQ(first.attempts, 1u);
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
