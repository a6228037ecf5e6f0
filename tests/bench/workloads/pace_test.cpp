// When operations are due, on a clock that stands still between two looks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "bench/workloads/pace.hpp"

namespace page_map_lab::bench {
namespace {

struct FakeClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<FakeClock>;
    static constexpr bool is_steady = true;
    static inline time_point time{};
    static time_point now() { return time; }
    static void pass(int nanoseconds) { time += duration(nanoseconds); }
};

/// What each of the operations, of so many nanoseconds, is said to have taken.
std::vector<long> latencies(std::uint64_t interval_ns, const std::vector<int>& operations) {
    std::vector<long> said;
    Pace<FakeClock> pace(interval_ns);
    FakeClock::pass(1000);  // what comes before the first operation makes none late
    for (const int taken : operations) {
        const auto due = pace.next([] { return false; }, [] { FakeClock::pass(1); });
        FakeClock::pass(taken);
        said.push_back((FakeClock::now() - due).count());
    }
    return said;
}

TEST(Pace, AClosedLoopCountsFromTheStart) {
    EXPECT_THAT(latencies(0, {100, 100, 30}), testing::ElementsAre(100, 100, 30));
}

TEST(Pace, AnOpenLoopCountsALateStartAndWaitsWhereThereIsTime) {
    EXPECT_THAT(latencies(50, {100, 100, 10, 10, 10, 10, 20}), testing::ElementsAre(100, 150, 110, 70, 30, 10, 20));
}

TEST(Pace, DoesNotWaitBeyondTheEnd) {
    Pace<FakeClock> pace(1000);
    const auto first = pace.next([] { return false; }, [] {});
    bool over = false;
    pace.next([&] { return over; }, [&] { over = true; });
    EXPECT_EQ(FakeClock::now(), first);
}

}  // namespace
}  // namespace page_map_lab::bench
