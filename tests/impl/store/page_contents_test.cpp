#include "impl/store/page_contents.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace page_map_lab {
namespace {

using Page = std::array<std::byte, page_size>;

Page made_from(PageIndex page, std::uint64_t version) {
    Page bytes;
    fill_contents(bytes, page, version);
    return bytes;
}

TEST(PageContents, tell_their_version) {
    for (const std::uint64_t version : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
        EXPECT_EQ(version_of(made_from(7, version), 7), version);
    }
}

TEST(PageContents, of_another_page_are_no_version_of_this_one) {
    EXPECT_EQ(version_of(made_from(7, 3), 8), std::nullopt);
}

TEST(PageContents, a_zeroed_page_is_no_version) { EXPECT_EQ(version_of(Page{}, 0), std::nullopt); }

TEST(PageContents, any_changed_byte_is_found) {
    const Page right = made_from(5, 9);
    for (const std::size_t place : {0UL, 7UL, 8UL, 2049UL, page_size - 1}) {
        Page wrong = right;
        wrong[place] ^= std::byte{1};
        EXPECT_EQ(version_of(wrong, 5), std::nullopt) << place;
        EXPECT_EQ(find_mismatch(wrong, 5, 9), place);
    }
}

TEST(PageContents, two_versions_differ_in_every_word) {
    const Page old_page = made_from(5, 9);
    const Page new_page = made_from(5, 10);
    for (std::size_t place = 0; place < page_size; place += 8) {
        EXPECT_FALSE(std::equal(old_page.begin() + place, old_page.begin() + place + 8, new_page.begin() + place))
            << place;
    }
}

TEST(PageContents, a_torn_page_is_found_at_the_tear) {
    Page torn = made_from(5, 10);
    const Page old_page = made_from(5, 9);
    std::copy(old_page.begin() + 1000, old_page.end(), torn.begin() + 1000);
    EXPECT_EQ(find_mismatch(torn, 5, 10), 1000U);
}

TEST(PageContents, a_part_of_a_page_is_filled_as_the_whole_would_be) {
    const Page whole = made_from(11, 4);
    for (std::size_t first : {0UL, 3UL, 8UL, 517UL, 4090UL}) {
        for (std::size_t count : {0UL, 1UL, 5UL, 6UL}) {
            std::array<std::byte, 6> part{};
            const auto bytes = std::span(part).first(count);
            fill_contents(bytes, 11, 4, first);
            EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), whole.begin() + first)) << first << " " << count;
            EXPECT_EQ(find_mismatch(bytes, 11, 4, first), std::nullopt);
        }
    }
}

TEST(PageContents, a_part_at_another_place_does_not_match) {
    const Page whole = made_from(11, 4);
    EXPECT_NE(find_mismatch(std::span(whole).subspan(16, 64), 11, 4, 24), std::nullopt);
}

}  // namespace
}  // namespace page_map_lab
