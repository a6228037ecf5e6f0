#include "impl/page_map/slot.hpp"

#include <gtest/gtest.h>

#include "impl/page_map/machine.hpp"

namespace page_map_lab {
namespace {

TEST(SlotWord, StartsEmpty) {
    constexpr SlotWord word;
    EXPECT_TRUE(word.empty());
    EXPECT_FALSE(word.has_page());
    EXPECT_FALSE(word.removal());
    EXPECT_EQ(word.refcount(), 0u);
    const Slot<RealMachine> slot{};
    EXPECT_TRUE(SlotWord{slot.load()}.empty());
}

// Defect 5: the reference computes the number of a null page where it means "no page".
TEST(SlotWord, FrameZeroIsNoPageWhateverElseTheWordHolds) {
    EXPECT_FALSE(SlotWord{}.with_frame(0).has_page());
    EXPECT_FALSE(SlotWord{}.with_removal().has_page());
    EXPECT_FALSE(SlotWord{}.with_one_more().has_page());
    EXPECT_TRUE(SlotWord{}.with_frame(1).has_page());
    EXPECT_FALSE(SlotWord{}.with_frame(7).with_frame(0).has_page());
}

TEST(SlotWord, APunchInProgressIsNeitherAPageNorEmpty) {
    constexpr SlotWord word = SlotWord{}.with_removal();
    EXPECT_FALSE(word.has_page());
    EXPECT_FALSE(word.empty());
}

TEST(SlotWord, ItsThreeFieldsDoNotTouchEachOther) {
    constexpr FrameNumber largest = SlotWord::frame_mask;
    SlotWord word = SlotWord{}.with_frame(largest);
    for (std::uint64_t count = 1; count <= SlotWord::max_refcount; ++count) {
        word = word.with_one_more();
        ASSERT_EQ(word.refcount(), count);
        ASSERT_EQ(word.frame(), largest);
        ASSERT_FALSE(word.removal());
    }
    word = word.with_removal();
    EXPECT_TRUE(word.removal());
    EXPECT_EQ(word.refcount(), SlotWord::max_refcount);
    EXPECT_EQ(word.frame(), largest);
    EXPECT_EQ(word.bits(), ~std::uint64_t{0});
    word = word.without_removal();
    EXPECT_EQ(word.refcount(), SlotWord::max_refcount);
    EXPECT_EQ(word.frame(), largest);
    word = word.with_frame(3);
    EXPECT_EQ(word.frame(), 3u);
    EXPECT_EQ(word.refcount(), SlotWord::max_refcount);
}

TEST(SlotWord, IsSaturatedAtElevenBitsOfReferences) {
    SlotWord word = SlotWord{}.with_frame(1);
    for (int count = 0; count < 2046; ++count) {
        word = word.with_one_more();
        ASSERT_FALSE(word.saturated());
    }
    EXPECT_TRUE(word.with_one_more().saturated());
    EXPECT_EQ(word.with_one_more().refcount(), 2047u);
}

TEST(SlotWord, AReferenceIsGivenBackByOneSubtraction) {
    const SlotWord before = SlotWord{}.with_frame(42).with_removal();
    EXPECT_EQ(SlotWord{before.with_one_more().bits() - SlotWord::one_reference}, before);
}

}  // namespace
}  // namespace page_map_lab
