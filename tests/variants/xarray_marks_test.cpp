// What the xarray promises beyond every layout: marks, iteration over them, and shrinking.
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "impl/page_map/machine.hpp"
#include "variants/layout/xarray.hpp"
#include "variants/read_path/spinlock.hpp"

namespace page_map_lab {
namespace {

using Tree = XArray::With<Spinlock::On<RealMachine>>;

class XArrayTest : public testing::Test {
protected:
    void claim(std::initializer_list<PageIndex> indices) {
        for (const PageIndex index : indices) {
            ASSERT_TRUE(tree_.claim(index).has_value());
        }
    }
    std::vector<PageIndex> marked(PageRange range) const {
        std::vector<PageIndex> found;
        tree_.for_each_marked(range, Mark::dirty, [&](PageIndex index, Slot<RealMachine>&) {
            found.push_back(index);
            return true;
        });
        return found;
    }

    static constexpr PageRange everything_{0, std::uint64_t{1} << 52};
    NodeArena arena_;
    Tree tree_{arena_, everything_.count};
};

TEST_F(XArrayTest, MarksAgreeWithAnOracleThroughGrowthAndShrinking) {
    std::mt19937_64 random(11);
    std::map<PageIndex, bool> oracle;
    for (unsigned step = 0; step < 20000; ++step) {
        const PageIndex index = random() % 16 + (random() % 4 << random() % 50);
        const auto known = oracle.find(index);
        if (known == oracle.end()) {
            ASSERT_TRUE(tree_.claim(index).has_value());
            ASSERT_FALSE(tree_.has_mark(index, Mark::dirty)) << "a claimed slot starts unmarked";
            oracle[index] = false;
        } else if (const auto choice = random() % 3; choice == 0) {
            tree_.set_mark(index, Mark::dirty);
            known->second = true;
        } else if (choice == 1) {
            tree_.clear_mark(index, Mark::dirty);
            known->second = false;
        } else {
            tree_.release(index);
            oracle.erase(known);
        }
        if (step % 500 == 499) {
            std::vector<PageIndex> expected;
            for (const auto& [page, dirty] : oracle) {
                ASSERT_EQ(tree_.has_mark(page, Mark::dirty), dirty) << "page " << page;
                if (dirty) {
                    expected.push_back(page);
                }
            }
            EXPECT_EQ(marked(everything_), expected);
            EXPECT_EQ(tree_.any_marked(Mark::dirty), !expected.empty());
            tree_.take_retired().free_all();
        }
    }
}

TEST_F(XArrayTest, FindsTheNextMarkedPageWithoutVisitingOthers) {
    claim({0, 1, 64, 5000, PageIndex{1} << 33});
    tree_.set_mark(PageIndex{1} << 33, Mark::dirty);
    tree_.set_mark(64, Mark::dirty);
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), 64U);
    EXPECT_EQ(tree_.next_marked(64, Mark::dirty), 64U);
    EXPECT_EQ(tree_.next_marked(65, Mark::dirty), PageIndex{1} << 33);
    EXPECT_EQ(tree_.next_marked((PageIndex{1} << 33) + 1, Mark::dirty), std::nullopt);
    EXPECT_EQ(tree_.next_present(65), 5000U);
    EXPECT_EQ(tree_.next_present(5001), PageIndex{1} << 33);
    tree_.clear_mark(64, Mark::dirty);
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), PageIndex{1} << 33);
}

TEST_F(XArrayTest, AReleasedSlotLosesItsMarkAndSoDoTheNodesAbove) {
    claim({7, 8, 5000});
    tree_.set_mark(7, Mark::dirty);
    tree_.release(7);
    EXPECT_FALSE(tree_.any_marked(Mark::dirty));
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), std::nullopt);
    claim({7});
    EXPECT_FALSE(tree_.has_mark(7, Mark::dirty));
}

TEST_F(XArrayTest, AVisitMayClearTheMarkOfItsOwnSlot) {
    for (PageIndex index = 0; index < 300; ++index) {
        claim({index * 3});
        tree_.set_mark(index * 3, Mark::dirty);
    }
    std::size_t visits = 0;
    tree_.for_each_marked(everything_, Mark::dirty, [&](PageIndex index, Slot<RealMachine>&) {
        tree_.clear_mark(index, Mark::dirty);
        ++visits;
        return true;
    });
    EXPECT_EQ(visits, 300U);
    EXPECT_TRUE(marked(everything_).empty());
    EXPECT_FALSE(tree_.any_marked(Mark::dirty)) << "clearing reaches the top";
}

TEST_F(XArrayTest, ShrinksWhenOnlyTheFirstSubtreeIsLeftAndMovesNoSlot) {
    claim({9});
    Slot<RealMachine>* const slot = tree_.find_slot(9);
    tree_.set_mark(9, Mark::dirty);
    claim({PageIndex{1} << 40, 4096});
    EXPECT_EQ(tree_.height(), 7U);
    EXPECT_TRUE(tree_.has_mark(9, Mark::dirty)) << "growth keeps marks";
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), 9U) << "and shows them at the new top";
    tree_.release(PageIndex{1} << 40);
    EXPECT_EQ(tree_.height(), 3U);
    tree_.release(4096);
    EXPECT_EQ(tree_.height(), 1U);
    EXPECT_EQ(tree_.find_slot(9), slot);
    EXPECT_EQ(tree_.find_slot(4096), nullptr);
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), 9U);
    tree_.clear_mark(9, Mark::dirty);
    EXPECT_EQ(tree_.next_marked(0, Mark::dirty), std::nullopt);
}

}  // namespace
}  // namespace page_map_lab
