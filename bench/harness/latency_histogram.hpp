// A histogram of latencies with a bounded relative error: exact below 256 ns, within 0.8 % above.
//
// Thread safety: none; each thread records into its own, and they are merged afterwards.
// Invariant: a value v falls into a bucket [lower, upper) with upper - lower <= max(1, v / 128).
// Cost: record is an index computation and three additions; no allocation. 57 KiB each.
// Source: the log-linear layout of Gil Tene's HdrHistogram.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

namespace page_map_lab::bench {

class LatencyHistogram {
public:
    /// Decimal digits of a value that survive: the error is below 1 %.
    static constexpr unsigned significant_digits = 2;

    /// Values in [lower_ns, upper_ns) and how many there were.
    struct Bucket {
        std::uint64_t lower_ns;
        std::uint64_t upper_ns;
        std::uint64_t count;
    };

    void record(std::uint64_t latency_ns) noexcept {
        ++counts_[bucket_of(latency_ns)];
        ++count_;
        sum_ += latency_ns;
        minimum_ = latency_ns < minimum_ ? latency_ns : minimum_;
        maximum_ = latency_ns > maximum_ ? latency_ns : maximum_;
    }

    /// Adds all that `other` recorded.
    void merge(const LatencyHistogram& other) noexcept;
    void clear() noexcept { *this = LatencyHistogram{}; }

    std::uint64_t count() const noexcept { return count_; }
    std::uint64_t sum_ns() const noexcept { return sum_; }
    /// Smallest and largest value recorded, exactly; 0 where nothing was.
    std::uint64_t minimum_ns() const noexcept { return count_ == 0 ? 0 : minimum_; }
    std::uint64_t maximum_ns() const noexcept { return maximum_; }

    /// The smallest latency that at least `fraction` (0 to 1) of the values do not exceed, up to the bucket's width;
    /// 0 where nothing was recorded.
    std::uint64_t quantile_ns(double fraction) const noexcept;

    /// The buckets that are not empty, ascending.
    std::vector<Bucket> buckets() const;

private:
    static constexpr unsigned linear_bits = 8;               // below 2^8 each value has its own bucket
    static constexpr unsigned steps_bits = linear_bits - 1;  // above, 2^7 steps an octave
    static constexpr unsigned octaves = 64 - linear_bits;
    static constexpr unsigned bucket_count = (1U << linear_bits) + (octaves << steps_bits);

    static constexpr unsigned bucket_of(std::uint64_t value) noexcept {
        if (value < (1U << linear_bits)) {
            return static_cast<unsigned>(value);
        }
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - linear_bits;
        // The top eight bits of the value; its leading one is implied by the octave.
        const auto step = static_cast<unsigned>(value >> shift) - (1U << steps_bits);
        return (1U << linear_bits) + ((shift - 1) << steps_bits) + step;
    }
    static constexpr std::uint64_t lower_of(unsigned bucket) noexcept {
        if (bucket < (1U << linear_bits)) {
            return bucket;
        }
        const unsigned above = bucket - (1U << linear_bits);
        const unsigned shift = (above >> steps_bits) + 1;
        return std::uint64_t{(above & ((1U << steps_bits) - 1)) + (1U << steps_bits)} << shift;
    }
    static constexpr std::uint64_t upper_of(unsigned bucket) noexcept {
        return bucket + 1 == bucket_count ? std::numeric_limits<std::uint64_t>::max() : lower_of(bucket + 1);
    }

    std::array<std::uint64_t, bucket_count> counts_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t minimum_ = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t maximum_ = 0;
};

}  // namespace page_map_lab::bench
