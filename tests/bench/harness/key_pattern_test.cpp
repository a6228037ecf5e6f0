#include "bench/harness/key_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <gtest/gtest.h>

namespace page_map_lab::bench {
namespace {

constexpr PageRange range{1000, 512};

TEST(KeyPattern, StaysInItsRangeAndRepeatsWithItsSeed) {
    for (const auto& name : key_pattern_names()) {
        const KeyPattern pattern = *parse_key_pattern(name);
        EXPECT_EQ(to_string(pattern), name);
        const auto keys = make_keys(pattern, range, 5000, 7);
        ASSERT_EQ(keys.size(), 5000U);
        EXPECT_TRUE(std::all_of(keys.begin(), keys.end(), [](PageIndex key) { return range.contains(key); })) << name;
        EXPECT_EQ(keys, make_keys(pattern, range, 5000, 7)) << name;
    }
    EXPECT_NE(make_keys(KeyPattern::uniform, range, 5000, 7), make_keys(KeyPattern::uniform, range, 5000, 8));
    EXPECT_NE(make_keys(KeyPattern::zipf, range, 5000, 7), make_keys(KeyPattern::zipf, range, 5000, 8));
}

TEST(KeyPattern, SequentialVisitsEachPageInOrder) {
    const auto keys = make_keys(KeyPattern::sequential, range, 1024, 1);
    for (std::size_t position = 0; position < keys.size(); ++position) {
        EXPECT_EQ(keys[position], range.first + position % range.count);
    }
}

TEST(KeyPattern, OneHotIsOnePage) {
    const auto keys = make_keys(KeyPattern::one_hot, range, 100, 1);
    EXPECT_EQ(std::set<PageIndex>(keys.begin(), keys.end()).size(), 1U);
}

TEST(KeyPattern, UniformVisitsEachPageAboutEquallyOften) {
    std::map<PageIndex, int> visits;
    for (const PageIndex key : make_keys(KeyPattern::uniform, range, 512 * 200, 3)) {
        ++visits[key];
    }
    ASSERT_EQ(visits.size(), range.count);
    for (const auto& [key, count] : visits) {
        EXPECT_NEAR(count, 200, 6 * std::sqrt(200.0)) << key;
    }
}

TEST(KeyPattern, ZipfGivesEachRankItsShare) {
    constexpr std::size_t count = 1000000;
    std::map<PageIndex, double> visits;
    for (const PageIndex key : make_keys(KeyPattern::zipf, range, count, 3)) {
        visits[key] += 1.0 / count;
    }
    std::vector<double> shares;
    for (const auto& [key, share] : visits) {
        shares.push_back(share);
    }
    std::sort(shares.rbegin(), shares.rend());
    double normal = 0;
    for (std::uint64_t rank = 1; rank <= range.count; ++rank) {
        normal += std::pow(static_cast<double>(rank), -zipf_exponent);
    }
    ASSERT_EQ(shares.size(), range.count);
    for (const std::size_t rank : {1U, 2U, 3U, 10U, 100U}) {
        const double owed = std::pow(static_cast<double>(rank), -zipf_exponent) / normal;
        EXPECT_NEAR(shares[rank - 1], owed, 0.05 * owed) << rank;
    }
}

TEST(KeyPattern, ZipfScattersItsPopularPages) {
    std::map<PageIndex, int> visits;
    for (const PageIndex key : make_keys(KeyPattern::zipf, {0, 4096}, 200000, 3)) {
        ++visits[key];
    }
    std::vector<std::pair<int, PageIndex>> popular;
    for (const auto& [key, count] : visits) {
        popular.emplace_back(count, key);
    }
    std::sort(popular.rbegin(), popular.rend());
    std::set<PageIndex> leaves;
    for (std::size_t rank = 0; rank < 8; ++rank) {
        leaves.insert(popular[rank].second / 64);
    }
    EXPECT_EQ(leaves.size(), 8U);
}

TEST(KeyPattern, ZipfOfOnePageIsThatPage) {
    const auto keys = make_keys(KeyPattern::zipf, {5, 1}, 10, 1);
    EXPECT_TRUE(std::all_of(keys.begin(), keys.end(), [](PageIndex key) { return key == 5; }));
}

TEST(KeyPattern, AnUnknownNameIsRefusedWithThoseThereAre) {
    const auto parsed = parse_key_pattern("spiral");
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.error().message.find("one_hot"), std::string::npos);
}

}  // namespace
}  // namespace page_map_lab::bench
