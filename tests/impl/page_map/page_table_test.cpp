#include "impl/page_map/page_table.hpp"

#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

TEST(PageTableEntry, StartsUnmappedAndClosed) {
    constexpr PageTableEntry entry;
    EXPECT_FALSE(entry.mapped());
    EXPECT_FALSE(entry.present());
    EXPECT_FALSE(entry.maps_shared_page());
    EXPECT_EQ(entry.rights(), Access::none);
}

TEST(PageTableEntry, IsReadOnlyAndCleanUntilAWrite) {
    PageTableEntry entry;
    entry.map_shared(5);
    EXPECT_EQ(entry.frame(), 5u);
    EXPECT_TRUE(entry.maps_shared_page());
    EXPECT_EQ(entry.rights(), Access::read);
    EXPECT_FALSE(entry.dirty());
    entry.set_writable_and_dirty();
    EXPECT_EQ(entry.rights(), Access::write);
    EXPECT_TRUE(entry.dirty());
    EXPECT_EQ(entry.frame(), 5u);
}

TEST(PageTableEntry, HasNoRightsWhileItIsNotPresent) {
    PageTableEntry entry;
    entry.map_shared(5);
    entry.set_writable_and_dirty();
    entry.clear_present();
    EXPECT_EQ(entry.rights(), Access::none);
    EXPECT_TRUE(entry.mapped()) << "revoked is not unmapped: the dirty bit is still to be folded";
    EXPECT_TRUE(entry.dirty());
}

// A fault on an entry that a remover has revoked but not collected must not lose what was written before.
TEST(PageTableEntry, MappingItsPageAgainKeepsTheDirtyBit) {
    PageTableEntry entry;
    entry.map_shared(5);
    entry.set_writable_and_dirty();
    entry.clear_present();
    entry.map_shared(5);
    EXPECT_TRUE(entry.dirty());
    EXPECT_EQ(entry.rights(), Access::write);
}

TEST(PageTableEntry, LosingTheRightToWriteKeepsTheDirtyBit) {
    PageTableEntry entry;
    entry.map_shared(5);
    entry.set_writable_and_dirty();
    entry.clear_writable();
    EXPECT_EQ(entry.rights(), Access::read);
    EXPECT_TRUE(entry.dirty());
    entry.clear_dirty();
    EXPECT_FALSE(entry.dirty());
    EXPECT_EQ(entry.rights(), Access::read);
}

TEST(PageTableEntry, APrivateCopyNamesNoFrame) {
    PageTableEntry entry;
    entry.map_shared(5);
    entry.map_private_copy();
    EXPECT_TRUE(entry.mapped());
    EXPECT_TRUE(entry.private_copy());
    EXPECT_FALSE(entry.maps_shared_page());
    EXPECT_EQ(entry.frame(), 0u);
    EXPECT_EQ(entry.rights(), Access::write);
    EXPECT_FALSE(entry.dirty()) << "what is written to a copy is not the object's";
}

TEST(PageTableEntry, UnmappingForgetsEverything) {
    PageTableEntry entry;
    entry.map_shared(5);
    entry.set_writable_and_dirty();
    entry.unmap();
    entry.map_shared(6);
    EXPECT_FALSE(entry.dirty());
    EXPECT_FALSE(entry.writable());
    EXPECT_EQ(entry.frame(), 6u);
}

TEST(PageTableEntry, HoldsTheLargestFrameNumberOfASlot) {
    constexpr FrameNumber largest = (FrameNumber{1} << 52) - 1;
    PageTableEntry entry;
    entry.map_shared(largest);
    entry.set_writable_and_dirty();
    EXPECT_EQ(entry.frame(), largest);
    EXPECT_FALSE(entry.private_copy());
}

}  // namespace
}  // namespace page_map_lab
