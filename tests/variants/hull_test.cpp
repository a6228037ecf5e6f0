// The shootdown `hull`: which calls it makes.
#include "variants/shootdown/hull.hpp"

#include <gtest/gtest.h>

#include "tests/impl/page_map/noting_machine.hpp"

namespace page_map_lab {
namespace {

using Call = NotingMachine::Call;
using Calls = std::vector<Call>;

class HullOfPages : public ::testing::Test {
protected:
    using Shootdown = Hull::On<NotingMachine>;

    void SetUp() override {
        NotingMachine::calls.clear();
        NotingMachine::largest_that_fails = 0;
    }

    NoServer server;
    AddressSpace<NotingMachine>& space = AddressSpace<NotingMachine>::this_process();
    Region<NotingMachine> one{space, server, {.pages = {100, 1000}}, unmapped_address(5000)};
    Region<NotingMachine> other{space, server, {.pages = {0, 1000}}, unmapped_address(9000)};
};

TEST_F(HullOfPages, ScatteredPagesAreOneCallARegionWhateverTheirOrder) {
    Shootdown shootdown(Access::none);
    shootdown.add(one, {140, 1});
    shootdown.add(other, {7, 1});
    shootdown.add(one, {110, 2});
    shootdown.add(one, {120, 1});
    EXPECT_TRUE(NotingMachine::calls.empty());
    ASSERT_TRUE(shootdown.flush());
    EXPECT_EQ(NotingMachine::calls, (Calls{{unmapped_address(5010), 31 * page_size, Access::none},
                                           {unmapped_address(9007), page_size, Access::none}}));
    EXPECT_EQ(shootdown.cost().pages, 5u);
    EXPECT_EQ(shootdown.cost().ranges, 2u);
    EXPECT_EQ(shootdown.cost().system_calls, 2u);
}

TEST_F(HullOfPages, LeavesReadAccessOnlyWhereNothingLiesBetween) {
    Shootdown shootdown(Access::read);
    shootdown.add(one, {110, 1});
    shootdown.add(one, {111, 1});
    shootdown.add(other, {7, 1});
    shootdown.add(other, {9, 1});
    ASSERT_TRUE(shootdown.flush());
    EXPECT_EQ(NotingMachine::calls, (Calls{{unmapped_address(5010), 2 * page_size, Access::read},
                                           {unmapped_address(9007), 3 * page_size, Access::none}}));
}

TEST_F(HullOfPages, MoreRegionsThanTheListHoldsAreFlushedEarlyAndNoneIsLost) {
    std::vector<std::unique_ptr<Region<NotingMachine>>> regions;
    Shootdown shootdown(Access::none);
    Calls expected;
    for (std::uintptr_t number = 0; number < 40; ++number) {
        std::byte* const base = unmapped_address(5000 + 100 * number);
        regions.push_back(
            std::make_unique<Region<NotingMachine>>(space, server, RegionOptions{.pages = {0, 100}}, base));
        shootdown.add(*regions.back(), {0, 1});
        expected.push_back({base, page_size, Access::none});
    }
    EXPECT_FALSE(NotingMachine::calls.empty());
    ASSERT_TRUE(shootdown.flush());
    EXPECT_EQ(NotingMachine::calls, expected);
}

TEST_F(HullOfPages, AFailureIsToldByTheFlush) {
    NotingMachine::largest_that_fails = 1000 * page_size;
    Shootdown shootdown(Access::none);
    shootdown.add(one, {110, 1});
    EXPECT_FALSE(shootdown.flush());
}

TEST_F(HullOfPages, DroppingWhatIsNotFlushedEndsTheProgram) {
    EXPECT_DEATH(
        {
            Shootdown shootdown(Access::none);
            shootdown.add(one, {100, 1});
        },
        "dropped before it was flushed");
}

}  // namespace
}  // namespace page_map_lab
