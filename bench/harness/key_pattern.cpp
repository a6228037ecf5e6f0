#include "bench/harness/key_pattern.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>

#include "impl/core/check.hpp"

namespace page_map_lab::bench {
namespace {

constexpr std::array<std::string_view, 4> names = {"sequential", "uniform", "zipf", "one_hot"};

/// Ranks 1 to n with probability proportional to rank^-exponent.
class ZipfRanks {
public:
    explicit ZipfRanks(std::uint64_t ranks)
        : ranks_(static_cast<double>(ranks)),
          area_before_(area(1.5) - 1.0),
          area_all_(area(ranks_ + 0.5)),
          surely_inside_(2.0 - area_inverse(area(2.5) - height(2.0))) {}

    template <class Random>
    std::uint64_t operator()(Random& random) {
        std::uniform_real_distribution<double> area_under_hat(area_before_, area_all_);
        while (true) {
            const double under = area_under_hat(random);
            const double position = area_inverse(under);
            const double rank = std::clamp(std::floor(position + 0.5), 1.0, ranks_);
            if (rank - position <= surely_inside_ || under >= area(rank + 0.5) - height(rank)) {
                return static_cast<std::uint64_t>(rank);
            }
        }
    }

private:
    static double height(double x) { return std::pow(x, -zipf_exponent); }
    static double area(double x) { return std::expm1((1.0 - zipf_exponent) * std::log(x)) / (1.0 - zipf_exponent); }
    static double area_inverse(double y) {
        return std::exp(std::log1p((1.0 - zipf_exponent) * y) / (1.0 - zipf_exponent));
    }

    double ranks_;
    double area_before_;
    double area_all_;
    double surely_inside_;
};

/// A step that visits every number below `size` once when taken `size` times: near the golden section, so that
/// neighbouring ranks land far apart.
std::uint64_t scattering_step(std::uint64_t size) {
    constexpr double golden_section = 0.6180339887498949;
    auto step = static_cast<std::uint64_t>(golden_section * static_cast<double>(size)) | 1U;
    while (std::gcd(step, size) != 1) {
        ++step;
    }
    return step;
}

}  // namespace

std::vector<std::string> key_pattern_names() {
    return {names.begin(), names.end()};
}

std::string_view to_string(KeyPattern pattern) {
    return names[static_cast<std::size_t>(pattern)];
}

Result<KeyPattern> parse_key_pattern(std::string_view name) {
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
        return fail(ErrorCode::usage,
                    "'" + std::string(name) + "' is not a pattern; there are sequential, uniform, zipf, one_hot");
    }
    return static_cast<KeyPattern>(found - names.begin());
}

std::vector<PageIndex> make_keys(KeyPattern pattern, PageRange range, std::size_t count, std::uint64_t seed) {
    check(!range.empty() && range.count < (std::uint64_t{1} << 52), "keys come from a range that has some");
    std::vector<PageIndex> keys(count);
    std::mt19937_64 random(seed);
    switch (pattern) {
        case KeyPattern::sequential:
            for (std::size_t position = 0; position < count; ++position) {
                keys[position] = range.first + position % range.count;
            }
            break;
        case KeyPattern::uniform: {
            std::uniform_int_distribution<PageIndex> page(range.first, range.end() - 1);
            std::generate(keys.begin(), keys.end(), [&] { return page(random); });
            break;
        }
        case KeyPattern::zipf: {
            ZipfRanks rank(range.count);
            const std::uint64_t step = scattering_step(range.count);
            std::generate(keys.begin(), keys.end(), [&] {
                // In 128 bits: the product of two numbers of up to 52 bits.
                __extension__ using Wide = unsigned __int128;
                return range.first + static_cast<std::uint64_t>(Wide{rank(random) - 1} * step % range.count);
            });
            break;
        }
        case KeyPattern::one_hot:
            std::fill(keys.begin(), keys.end(), range.first + range.count / 2);
            break;
    }
    return keys;
}

std::size_t advised_key_count(std::uint64_t pages) {
    constexpr std::uint64_t at_least = std::uint64_t{1} << 16;
    constexpr std::uint64_t at_most = std::uint64_t{1} << 22;
    return static_cast<std::size_t>(std::clamp(pages, at_least, at_most));
}

}  // namespace page_map_lab::bench
