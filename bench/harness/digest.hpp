// A digest of what a workload did, for its check at the end: equal sequences have equal digests. Not cryptographic.
//
// Thread safety: none. Source: the finaliser of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014).
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace page_map_lab::bench {

/// A bijection on 64 bits whose output looks random.
constexpr std::uint64_t mix(std::uint64_t value) noexcept {
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

class Digest {
public:
    /// Depends on the order of the calls.
    constexpr void add(std::uint64_t value) noexcept { state_ = mix(state_ ^ value); }
    constexpr std::uint64_t value() const noexcept { return state_; }
    std::string text() const {
        char digits[17];
        std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(state_));
        return digits;
    }

private:
    std::uint64_t state_ = 0;
};

}  // namespace page_map_lab::bench
