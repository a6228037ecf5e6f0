#include "bench/harness/latency_histogram.hpp"

#include <algorithm>
#include <cmath>

namespace page_map_lab::bench {

void LatencyHistogram::merge(const LatencyHistogram& other) noexcept {
    for (unsigned bucket = 0; bucket < bucket_count; ++bucket) {
        counts_[bucket] += other.counts_[bucket];
    }
    count_ += other.count_;
    sum_ += other.sum_;
    minimum_ = std::min(minimum_, other.minimum_);
    maximum_ = std::max(maximum_, other.maximum_);
}

std::uint64_t LatencyHistogram::quantile_ns(double fraction) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < bucket_count; ++bucket) {
        seen += counts_[bucket];
        if (counts_[bucket] != 0 && seen >= wanted) {
            return std::min(upper_of(bucket) - 1, maximum_);
        }
    }
    return 0;
}

std::vector<LatencyHistogram::Bucket> LatencyHistogram::buckets() const {
    std::vector<Bucket> filled;
    for (unsigned bucket = 0; bucket < bucket_count; ++bucket) {
        if (counts_[bucket] != 0) {
            filled.push_back({lower_of(bucket), upper_of(bucket), counts_[bucket]});
        }
    }
    return filled;
}

}  // namespace page_map_lab::bench
