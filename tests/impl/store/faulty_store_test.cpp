#include "impl/store/faulty_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "impl/store/memory_store.hpp"

namespace page_map_lab {
namespace {

using testing::HasSubstr;

class FaultyStores : public testing::Test {
protected:
    bool reads(PageIndex page) { return store_.read_pages({page, 1}, bytes_).has_value(); }
    bool writes(PageIndex page) { return store_.write_pages({page, 1}, bytes_).has_value(); }

    std::string outcomes(int calls) {
        std::string text;
        for (int call = 0; call < calls; ++call) {
            text += reads(0) ? '.' : 'x';
        }
        return text;
    }

    MemoryStore inner_{16};
    FaultyStore store_{inner_};
    std::array<std::byte, page_size> bytes_{};
};

TEST_F(FaultyStores, an_empty_plan_lets_everything_pass) {
    EXPECT_TRUE(reads(3));
    EXPECT_TRUE(writes(3));
    EXPECT_TRUE(store_.sync());
    EXPECT_EQ(store_.size_pages(), 16U);
    EXPECT_EQ(inner_.reads_of(3), 1U);
    EXPECT_EQ(store_.injected_faults(), 0U);
}

TEST_F(FaultyStores, a_bad_page_fails_every_range_that_holds_it_and_no_other) {
    FaultPlan plan;
    plan.reads.pages = {5, 9};
    store_.set_plan(plan);
    std::vector<std::byte> bytes(4 * page_size);
    const auto done = store_.read_pages({3, 4}, bytes);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::io);
    EXPECT_EQ(done.error().system_errno, EIO);
    EXPECT_THAT(done.error().text(), HasSubstr("page 5"));
    EXPECT_FALSE(reads(9));
    EXPECT_TRUE(store_.read_pages({1, 4}, bytes));
    EXPECT_TRUE(store_.read_pages({10, 4}, bytes));
    EXPECT_TRUE(writes(5));
    EXPECT_EQ(store_.injected_faults(), 2U);
    EXPECT_EQ(inner_.reads_of(3), 1U);  // the failed call did not reach it
    std::vector<std::byte*> places{bytes.data(), bytes.data() + page_size};
    EXPECT_FALSE(store_.read_scattered(4, places));
    EXPECT_TRUE(store_.read_scattered(6, places));
}

TEST_F(FaultyStores, writes_fail_with_the_errno_that_was_asked_for) {
    FaultPlan plan;
    plan.writes.pages = {2};
    plan.writes.system_errno = ENOSPC;
    store_.set_plan(plan);
    EXPECT_EQ(store_.write_pages({2, 1}, bytes_).error().system_errno, ENOSPC);
    const std::vector<const std::byte*> sources{bytes_.data()};
    EXPECT_FALSE(store_.write_gathered(2, sources));
    EXPECT_TRUE(reads(2));
    EXPECT_EQ(inner_.writes_of(2), 0U);
}

TEST_F(FaultyStores, every_third_call_fails_and_a_new_plan_counts_anew) {
    FaultPlan plan;
    plan.reads.every_kth_call = 3;
    store_.set_plan(plan);
    EXPECT_EQ(outcomes(8), "..x..x..");
    store_.set_plan(plan);
    EXPECT_EQ(outcomes(3), "..x");
    store_.set_plan({});
    EXPECT_EQ(outcomes(3), "...");
}

TEST_F(FaultyStores, chance_follows_the_seed) {
    FaultPlan plan;
    plan.reads.probability = 0.25;
    plan.seed = 1;
    store_.set_plan(plan);
    const std::string first = outcomes(4000);
    store_.set_plan(plan);
    EXPECT_EQ(outcomes(4000), first);
    plan.seed = 2;
    store_.set_plan(plan);
    EXPECT_NE(outcomes(4000), first);
    const auto failed = std::count(first.begin(), first.end(), 'x');
    EXPECT_GT(failed, 800);
    EXPECT_LT(failed, 1200);
}

TEST_F(FaultyStores, a_probability_of_one_fails_every_call) {
    FaultPlan plan;
    plan.reads.probability = 1.0;
    plan.syncs.every_kth_call = 1;
    store_.set_plan(plan);
    EXPECT_EQ(outcomes(5), "xxxxx");
    EXPECT_FALSE(store_.sync());
    EXPECT_TRUE(writes(0));
}

TEST_F(FaultyStores, a_call_takes_at_least_the_latency_of_its_kind) {
    using Clock = std::chrono::steady_clock;
    FaultPlan plan;
    plan.writes.latency = std::chrono::milliseconds(20);
    store_.set_plan(plan);
    const auto start = Clock::now();
    EXPECT_TRUE(writes(0));
    EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace page_map_lab
