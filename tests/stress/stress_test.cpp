// The stress run catches maps that are wrong: each mutant is one way to lose or to keep what it must not.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/stress/stress.hpp"
#include "tests/variants/forwarding_page_map.hpp"
#include "tests/worker_nursery.hpp"
#include "variants/any_page_map_of.hpp"

namespace page_map_lab::stress {
namespace {

/// Runs until `shows` something is wrong. How often that may take is a bound against running for ever, not a measure.
template <class Shows>
bool caught(const MakeMap& make, const StressOptions& options, Shows&& shows) {
    constexpr unsigned most_runs = 50;
    for (unsigned run = 0; run < most_runs; ++run) {
        StressOptions next = options;
        next.seed = run + 1;
        if (const StressOutcome outcome = run_stress(make, next); shows(outcome)) {
            EXPECT_FALSE(outcome.clean());
            return true;
        }
    }
    return false;
}

template <class VariantType, class Shows>
bool caught_in(Shows&& shows) {
    return caught([](const auto& options) { return std::make_unique<AnyPageMapOf<VariantType>>(options); },
                  {.operations = 20'000}, shows);
}

TEST(Stress, OfASoundVariantIsClean) {
    const StressOutcome outcome = run_stress(all_variants().front().make, {.operations = 40'000});
    EXPECT_TRUE(outcome.clean()) << outcome.findings.front();
    EXPECT_GE(outcome.operations, 40'000u);
    EXPECT_GT(outcome.evictions, 0u);
}

TEST(Stress, LosesNothingOfWorkersThatAreKilled) {
    // Until there are enough kills: how long that takes is nobody's fault. The deadline only ends what would never end.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(10);
    StressOutcome outcome;
    for (unsigned run = 1; outcome.kills < 6 && std::chrono::steady_clock::now() < deadline; ++run) {
        outcome.add(run_stress(all_variants().front().make, {.operations = 40'000, .processes = 2, .seed = run}));
    }
    EXPECT_TRUE(outcome.clean()) << outcome.findings.front();
    EXPECT_GE(outcome.kills, 6u);
}

TEST(Stress, DisturbsNoMoreThanItIsTold) {
    const auto disturbances = [](std::uint64_t one_in) {
        return run_stress(all_variants().front().make, {.operations = 40'000, .disturb_one_in = one_in}).disturbances;
    };
    const std::uint64_t seldom = disturbances(1000);
    EXPECT_GT(seldom, 0u);
    EXPECT_LT(seldom, 40'000u / 100);  // three threads, and each takes a share of operations at a time
}

TEST(Stress, SeesStaleValuesWhereTheFlushIsSkipped) {
    EXPECT_TRUE(caught_in<bench::WithShootdown<bench::SkipsTheFlush>>(
        [](const StressOutcome& outcome) { return outcome.stale > 0; }));
}

TEST(Stress, SeesStaleValuesWhereARegionIsForgotten) {
    EXPECT_TRUE(caught_in<bench::WithShootdown<bench::ForgetsARegion>>(
        [](const StressOutcome& outcome) { return outcome.stale > 0; }));
}

TEST(Stress, SeesStaleValuesInWorkersThatAreForgotten) {
    EXPECT_TRUE(caught(
        [](const auto& options) {
            return std::make_unique<AnyPageMapOf<bench::WithShootdown<bench::ForgetsWorkers>>>(options);
        },
        {.operations = 20'000, .processes = 1},
        [](const StressOutcome& outcome) {
            return std::ranges::any_of(outcome.findings, [](const std::string& finding) {
                return finding.find("in a worker: ") != std::string::npos;
            });
        }));
}

TEST(Stress, SeesLostWritesWhereDirtyIsForgotten) {
    EXPECT_TRUE(caught_in<bench::OnFaultyMachine<bench::ForgetsDirty>>(
        [](const StressOutcome& outcome) { return outcome.stale + outcome.lost > 0; }));
}

/// A map that forgets a put keeps its page for ever.
class LosesPuts final : public testing::ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    void put(AnyCounted page) override {
        if (!bench::every(500)) {
            ForwardingPageMap::put(page);
        }
    }
};

TEST(Stress, SeesLeakedFramesWhereAPutIsLost) {
    // Few operations: with every frame leaked a load would wait for ever.
    EXPECT_TRUE(caught([](const auto& options) { return std::make_unique<LosesPuts>(all_variants().front().make(options)); },
                       {.operations = 8'000}, [](const StressOutcome& outcome) { return outcome.leaked > 0; }));
}

class NeverEndsAWriteBack final : public testing::ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    Result<RemovalOutcome> writeback(PageRange range) override {
        const auto offline = offline_scope();
        for (;;) {
            sleep(static_cast<unsigned>(range.count));
        }
    }
};

TEST(StressDeathTest, AThreadThatHangsIsReportedWithWhatItDoes) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(run_stress(
                    [](const auto& options) {
                        return std::make_unique<NeverEndsAWriteBack>(all_variants().front().make(options));
                    },
                    {.time = std::chrono::seconds(60), .hang = std::chrono::seconds(5)}),
                ::testing::ExitedWithCode(1), "a thread hangs, 5 seconds in one operation: .*keeper 5: .*writeback.*page");
}

}  // namespace
}  // namespace page_map_lab::stress
