// What a reader may see, moment by moment.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/stress/stamped_pages.hpp"

namespace page_map_lab::stress {
namespace {

class StampedPagesTest : public ::testing::Test {
protected:
    using Page = std::array<std::byte, page_size>;
    static constexpr PageIndex index = 3;
    static constexpr unsigned writer = 5;

    bool may_be_seen(const Page& page) { return stamps.read(index, writer, page.data()).empty(); }

    static constexpr std::uint64_t pages = 8;
    /// Zeroed memory for the stamps of one object.
    static std::vector<std::uint64_t> memory() {
        return std::vector<std::uint64_t>(StampedPages::bytes_for(pages) / sizeof(std::uint64_t) + 1);
    }
    static std::byte* bytes_of(std::vector<std::uint64_t>& words) { return reinterpret_cast<std::byte*>(words.data()); }

    std::vector<std::uint64_t> own_memory = memory();
    StampedPages stamps{1, pages, bytes_of(own_memory)};
    alignas(std::uint64_t) Page now{};
};

TEST_F(StampedPagesTest, ZeroIsWhatNobodyWrote) { EXPECT_TRUE(may_be_seen(now)); }

TEST_F(StampedPagesTest, TheLastVersionMayBeSeenAndNoOlderOneNorZero) {
    const Page empty = now;
    stamps.write(index, writer, now.data());
    const Page first = now;
    EXPECT_TRUE(may_be_seen(first));
    stamps.write(index, writer, now.data());
    EXPECT_TRUE(may_be_seen(now));
    EXPECT_FALSE(may_be_seen(first));
    EXPECT_FALSE(may_be_seen(empty));
}

TEST_F(StampedPagesTest, WhatNobodyWroteHereIsWrong) {
    alignas(std::uint64_t) Page poisoned;
    poisoned.fill(std::byte{0xdb});
    EXPECT_FALSE(may_be_seen(poisoned));
    // The same lane of another page, and of another object; and a version that was not announced.
    alignas(std::uint64_t) Page other{};
    stamps.write(index, writer, now.data());
    stamps.write(index + 1, writer, other.data());
    EXPECT_FALSE(may_be_seen(other));
    std::vector<std::uint64_t> other_memory = memory();
    StampedPages other_object(2, pages, bytes_of(other_memory));
    other_object.write(index, writer, other.data());
    EXPECT_FALSE(may_be_seen(other));
    std::vector<std::uint64_t> ahead_memory = memory();
    StampedPages ahead(1, pages, bytes_of(ahead_memory));
    ahead.write(index, writer, other.data());
    ahead.write(index, writer, other.data());
    EXPECT_FALSE(may_be_seen(other));
}

TEST_F(StampedPagesTest, AWriterThatDiedInAWriteMayHaveWritten) {
    stamps.write(index, writer, now.data());
    const Page before = now;
    stamps.begin_write(index, writer, now.data());
    EXPECT_TRUE(may_be_seen(before));
    EXPECT_TRUE(may_be_seen(now));
    stamps.write(index, writer, now.data());
    EXPECT_TRUE(may_be_seen(now));
    EXPECT_FALSE(may_be_seen(before));
}

TEST_F(StampedPagesTest, LanesAreApart) {
    stamps.write(index, writer, now.data());
    for (unsigned other = 0; other < StampedPages::most_writers; ++other) {
        EXPECT_EQ(stamps.read(index, other, now.data()), "");
    }
}

TEST_F(StampedPagesTest, ATruncationAllowsZeroAndForbidsWhatWasThere) {
    const Page empty = now;
    stamps.write(index, writer, now.data());
    const Page before = now;
    stamps.truncation_begins(index);
    EXPECT_TRUE(may_be_seen(before));
    EXPECT_TRUE(may_be_seen(empty));
    stamps.write(index, writer, now.data());
    const Page during = now;
    stamps.truncation_ends(index);
    EXPECT_FALSE(may_be_seen(before));
    EXPECT_TRUE(may_be_seen(empty));
    EXPECT_TRUE(may_be_seen(during));
    stamps.write(index, writer, now.data());
    EXPECT_TRUE(may_be_seen(now));
    EXPECT_FALSE(may_be_seen(during));
    EXPECT_FALSE(may_be_seen(empty));
}

}  // namespace
}  // namespace page_map_lab::stress
