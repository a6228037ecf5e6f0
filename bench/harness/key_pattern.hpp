// The orders in which a workload visits pages, computed before the clock starts.
//
// Thread safety: plain functions. Equal arguments give equal keys, so that a floor and a variant do the same work.
// Source: the zipfian generator samples by rejection-inversion (Hörmann and Derflinger, TOMACS 1996), exactly, without
// tables; ranks are scattered over the range by a bijection, so that popular pages do not share a leaf.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"

namespace page_map_lab::bench {

enum class KeyPattern : std::uint8_t {
    sequential,  // first to last, again and again
    uniform,     // each page equally likely
    zipf,        // the page of rank k with a probability proportional to k^-0.99
    one_hot,     // the same page every time
};

/// The names as the command line has them, in the order of the enumeration.
std::vector<std::string> key_pattern_names();
std::string_view to_string(KeyPattern pattern);
/// Errors: usage, naming the patterns there are.
Result<KeyPattern> parse_key_pattern(std::string_view name);

inline constexpr double zipf_exponent = 0.99;

/// `count` indexes inside `range` (not empty), in the order in which to visit them. `seed` decides the random patterns.
std::vector<PageIndex> make_keys(KeyPattern pattern, PageRange range, std::size_t count, std::uint64_t seed);

/// How many keys a thread should have for a range of that size: enough that a pass does not live in the caches by
/// accident of repetition.
std::size_t advised_key_count(std::uint64_t pages);

}  // namespace page_map_lab::bench
