// Fingerprints that were seen before, up to a bound of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace page_map_lab::explorer {

class FingerprintSet {
public:
    explicit FingerprintSet(std::size_t most) : most_(most) {}

    /// Whether it was not there, and is now. A full set takes nothing more, and `full` says so from then on.
    bool insert(std::uint64_t fingerprint) {
        if (size_ * 2 >= places_.size()) {
            grow();
        }
        fingerprint = fingerprint == 0 ? 1 : fingerprint;
        std::uint64_t& place = place_of(fingerprint);
        if (place == fingerprint) {
            return false;
        }
        if (size_ == most_) {
            full_ = true;
            return false;
        }
        place = fingerprint;
        ++size_;
        return true;
    }

    /// Whether something was refused: what `insert` says of anything new is no answer then.
    bool full() const noexcept { return full_; }

private:
    /// Where it is, or would be.
    std::uint64_t& place_of(std::uint64_t fingerprint) {
        std::size_t at = fingerprint % places_.size();
        while (places_[at] != 0 && places_[at] != fingerprint) {
            at = (at + 1) % places_.size();
        }
        return places_[at];
    }

    void grow() {
        const std::vector<std::uint64_t> before = std::exchange(places_, std::vector<std::uint64_t>(places_.size() * 2));
        for (const std::uint64_t fingerprint : before) {
            if (fingerprint != 0) {
                place_of(fingerprint) = fingerprint;
            }
        }
    }

    std::size_t most_;
    std::vector<std::uint64_t> places_ = std::vector<std::uint64_t>(1024);
    std::size_t size_ = 0;
    bool full_ = false;
};

}  // namespace page_map_lab::explorer
