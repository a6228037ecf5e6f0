#include "impl/core/page_index.hpp"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();

TEST(PageRange, contains_its_first_page_and_not_its_end) {
    constexpr PageRange range{10, 3};
    EXPECT_FALSE(range.contains(9));
    EXPECT_TRUE(range.contains(10));
    EXPECT_TRUE(range.contains(12));
    EXPECT_FALSE(range.contains(13));
    EXPECT_FALSE(PageRange{}.contains(0));
    EXPECT_TRUE(PageRange{}.empty());
}

TEST(PageRange, wraps_only_where_its_end_does_not_fit) {
    EXPECT_FALSE((PageRange{largest - 2, 2}.wraps()));
    EXPECT_TRUE((PageRange{largest - 2, 4}.wraps()));
    EXPECT_TRUE((PageRange{1, largest}.wraps()));
    EXPECT_FALSE((PageRange{largest, 0}.wraps()));
}

TEST(PageRange, intersection_is_what_both_hold) {
    constexpr PageRange range{10, 10};
    EXPECT_EQ(range.intersection({5, 7}), (PageRange{10, 2}));
    EXPECT_EQ(range.intersection({15, 100}), (PageRange{15, 5}));
    EXPECT_EQ(range.intersection({12, 3}), (PageRange{12, 3}));
    EXPECT_EQ(PageRange({12, 3}).intersection(range), (PageRange{12, 3}));
    EXPECT_TRUE(range.intersection({20, 5}).empty()) << "neighbours share nothing";
    EXPECT_TRUE(range.intersection({0, 10}).empty());
    EXPECT_TRUE(range.intersection({}).empty());
}

TEST(PageRange, page_size_and_shift_agree) {
    EXPECT_EQ(std::size_t{1} << page_shift, page_size);
}

}  // namespace
}  // namespace page_map_lab
