#include "bench/harness/latency_histogram.hpp"

#include <gtest/gtest.h>

namespace page_map_lab::bench {
namespace {

TEST(LatencyHistogram, IsExactForSmallValues) {
    LatencyHistogram histogram;
    for (std::uint64_t value = 0; value < 256; ++value) {
        histogram.record(value);
    }
    const auto buckets = histogram.buckets();
    ASSERT_EQ(buckets.size(), 256U);
    for (std::uint64_t value = 0; value < 256; ++value) {
        EXPECT_EQ(buckets[value].lower_ns, value);
        EXPECT_EQ(buckets[value].upper_ns, value + 1);
        EXPECT_EQ(buckets[value].count, 1U);
    }
}

TEST(LatencyHistogram, KeepsTheRelativeErrorBelowOnePercentOverTheWholeRange) {
    for (std::uint64_t value = 1; value < (std::uint64_t{1} << 62); value += value / 3 + 1) {
        LatencyHistogram histogram;
        histogram.record(value);
        const auto bucket = histogram.buckets().at(0);
        EXPECT_LE(bucket.lower_ns, value);
        EXPECT_GT(bucket.upper_ns, value);
        const auto width = static_cast<double>(bucket.upper_ns - bucket.lower_ns);
        EXPECT_TRUE(width == 1 || width / static_cast<double>(value) < 0.01) << value;
    }
}

TEST(LatencyHistogram, HoldsTheLargestValueThereIs) {
    LatencyHistogram histogram;
    histogram.record(std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(histogram.count(), 1U);
    EXPECT_EQ(histogram.maximum_ns(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(histogram.buckets().size(), 1U);
}

TEST(LatencyHistogram, BucketsAreAdjacentAndAscending) {
    LatencyHistogram histogram;
    for (std::uint64_t value = 0; value < 100000; ++value) {
        histogram.record(value);
    }
    std::uint64_t expected_lower = 0;
    std::uint64_t count = 0;
    for (const auto& bucket : histogram.buckets()) {
        EXPECT_EQ(bucket.lower_ns, expected_lower);
        expected_lower = bucket.upper_ns;
        count += bucket.count;
    }
    EXPECT_EQ(count, histogram.count());
}

TEST(LatencyHistogram, QuantilesBoundTheSharesTheyName) {
    LatencyHistogram histogram;
    for (std::uint64_t value = 1; value <= 10000; ++value) {
        histogram.record(value);
    }
    EXPECT_NEAR(static_cast<double>(histogram.quantile_ns(0.5)), 5000, 50);
    EXPECT_NEAR(static_cast<double>(histogram.quantile_ns(0.99)), 9900, 100);
    EXPECT_EQ(histogram.quantile_ns(1.0), 10000U);
    EXPECT_EQ(histogram.sum_ns(), 10000U * 10001U / 2);
    EXPECT_EQ(LatencyHistogram{}.quantile_ns(0.5), 0U);
}

TEST(LatencyHistogram, MergingIsAsRecordingEverythingInOne) {
    LatencyHistogram even;
    LatencyHistogram odd;
    LatencyHistogram all;
    for (std::uint64_t value = 7; value < 5000; ++value) {
        (value % 2 == 0 ? even : odd).record(value * value);
        all.record(value * value);
    }
    even.merge(odd);
    EXPECT_EQ(even.count(), all.count());
    EXPECT_EQ(even.sum_ns(), all.sum_ns());
    EXPECT_EQ(even.minimum_ns(), 49U);
    EXPECT_EQ(even.maximum_ns(), all.maximum_ns());
    EXPECT_EQ(even.quantile_ns(0.9), all.quantile_ns(0.9));
}

}  // namespace
}  // namespace page_map_lab::bench
