#include "impl/page_map/shootdown.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/impl/page_map/noting_machine.hpp"

namespace page_map_lab {
namespace {

class Gathering : public ::testing::Test {
protected:
    struct Run {
        const Region<NotingMachine>* region;
        PageRange pages;
        friend bool operator==(const Run&, const Run&) = default;
    };
    /// Writes down each run; fails those that hold `fails_at`.
    struct Note {
        Access left;
        static inline PageIndex fails_at;
        static inline std::vector<Run> runs;
        Status operator()(Region<NotingMachine>& region, PageRange pages, ShootdownCost&) const {
            EXPECT_EQ(left, Access::read);
            runs.push_back({&region, pages});
            if (pages.contains(fails_at)) {
                return fail(ErrorCode::system, "refused " + std::to_string(pages.first));
            }
            return {};
        }
    };
    using Gather = RangeShootdown<NotingMachine, Note>;

    void SetUp() override {
        NotingMachine::calls.clear();
        NotingMachine::largest_that_fails = 0;
        runs.clear();
        Note::fails_at = ~PageIndex{0};
    }

    NoServer server;
    AddressSpace<NotingMachine>& space = AddressSpace<NotingMachine>::this_process();
    Region<NotingMachine> one{space, server, {.pages = {100, 1000}}, unmapped_address(5000)};
    Region<NotingMachine> other{space, server, {.pages = {0, 1000}}, unmapped_address(9000)};
    std::vector<Run>& runs = Note::runs;
};

TEST_F(Gathering, RevokesNothingBeforeTheFlush) {
    Gather gather(Access::read);
    gather.add(one, {100, 1});
    EXPECT_TRUE(runs.empty());
    EXPECT_TRUE(gather.flush());
    EXPECT_EQ(runs, (std::vector<Run>{{&one, {100, 1}}}));
}

TEST_F(Gathering, MergesAdjacentPagesOfOneRegionOnly) {
    Gather gather(Access::read);
    gather.add(one, {100, 1});
    gather.add(one, {101, 1});
    gather.add(one, {102, 6});
    gather.add(other, {108, 1});  // adjacent by its number, but in another region
    gather.add(one, {109, 1});
    gather.add(one, {111, 1});
    ASSERT_TRUE(gather.flush());
    EXPECT_EQ(runs, (std::vector<Run>{{&one, {100, 8}}, {&other, {108, 1}}, {&one, {109, 1}}, {&one, {111, 1}}}));
    EXPECT_EQ(gather.cost().pages, 11u);
    EXPECT_EQ(gather.cost().ranges, 4u);
}

TEST_F(Gathering, FlushesEarlyWhenItIsFullAndLosesNoRun) {
    Gather gather(Access::read);
    std::vector<Run> expected;
    for (PageIndex index = 100; index < 500; index += 2) {
        gather.add(one, {index, 1});
        expected.push_back({&one, {index, 1}});
    }
    EXPECT_FALSE(runs.empty()) << "two hundred runs do not fit the list";
    EXPECT_LT(runs.size(), expected.size());
    ASSERT_TRUE(gather.flush());
    EXPECT_EQ(runs, expected);
}

TEST_F(Gathering, KeepsTheFirstFailureOfAnEarlyFlushForTheFlush) {
    Note::fails_at = 104;
    Gather gather(Access::read);
    for (PageIndex index = 100; index < 500; index += 2) {
        gather.add(one, {index, 1});
    }
    const Status flushed = gather.flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().message, "refused 104");
    EXPECT_EQ(runs.size(), 200u) << "the others are revoked all the same";
    gather.add(one, {100, 1});
    EXPECT_TRUE(gather.flush()) << "a failure is told once";
}

TEST_F(Gathering, AFlushOfNothingSucceeds) {
    Gather gather(Access::read);
    EXPECT_TRUE(gather.flush());
    EXPECT_TRUE(gather.flush());
    EXPECT_TRUE(runs.empty());
}

TEST_F(Gathering, DroppingWhatIsNotFlushedEndsTheProgram) {
    EXPECT_DEATH(
        {
            Gather gather(Access::read);
            gather.add(one, {100, 1});
        },
        "dropped before it was flushed");
}

TEST_F(Gathering, OneRangeIsOneCallAtItsAddress) {
    ShootdownCost cost;
    ASSERT_TRUE(revoke_range(one, {103, 4}, Access::read, cost));
    EXPECT_EQ(NotingMachine::calls,
              (std::vector<NotingMachine::Call>{{unmapped_address(5003), 4 * page_size, Access::read}}));
    EXPECT_EQ(cost.system_calls, 1u);
    EXPECT_EQ(cost.fallbacks, 0u);
}

TEST_F(Gathering, ARangeThatCannotBeRevokedClosesItsWholeRegion) {
    NotingMachine::largest_that_fails = 4 * page_size;
    ShootdownCost cost;
    ASSERT_TRUE(revoke_range(one, {103, 4}, Access::read, cost));
    EXPECT_EQ(NotingMachine::calls,
              (std::vector<NotingMachine::Call>{{unmapped_address(5003), 4 * page_size, Access::read},
                                              {unmapped_address(5000), 1000 * page_size, Access::none}}));
    EXPECT_EQ(cost.system_calls, 2u);
    EXPECT_EQ(cost.fallbacks, 1u);
}

TEST_F(Gathering, ARegionThatCannotBeClosedIsAnError) {
    NotingMachine::largest_that_fails = 1000 * page_size;
    ShootdownCost cost;
    const Status revoked = revoke_range(one, {103, 4}, Access::none, cost);
    ASSERT_FALSE(revoked);
    EXPECT_EQ(revoked.error().code, ErrorCode::no_memory);
}

}  // namespace
}  // namespace page_map_lab
