// The slot word: one atomic word per cached page, inside a layout's leaf.
//
//     | 63 .. 53 | 52      | 51 .. 0      |
//     | refcount | REMOVAL | frame number |
//
// Invariants:
//   5. A slot's address does not change while its page is in the map: `put` subtracts from it without a walk.
//   6. The refcount saturates with an error before it overflows into nothing (2047).
// A frame number of 0 means "no page" (frame 0 is never handed out). {REMOVAL, frame 0} is a page whose memory is
// being given back: nobody may take it, nobody may insert here yet.
//
// Source: the reference's lines 33 to 93.
#pragma once

#include <cstdint>

#include "impl/core/page_index.hpp"

namespace page_map_lab {

/// A slot's value. Plain arithmetic; the atomic that holds it is the layout's.
class SlotWord {
public:
    static constexpr unsigned removal_bit = 52;
    static constexpr unsigned refcount_shift = removal_bit + 1;
    static constexpr std::uint64_t frame_mask = (std::uint64_t{1} << removal_bit) - 1;
    static constexpr std::uint64_t removal_mask = std::uint64_t{1} << removal_bit;
    static constexpr std::uint64_t one_reference = std::uint64_t{1} << refcount_shift;
    static constexpr std::uint64_t max_refcount = (std::uint64_t{1} << 11) - 1;

    constexpr SlotWord() noexcept = default;
    constexpr explicit SlotWord(std::uint64_t bits) noexcept : bits_(bits) {}

    constexpr std::uint64_t bits() const noexcept { return bits_; }
    constexpr FrameNumber frame() const noexcept { return bits_ & frame_mask; }
    constexpr bool has_page() const noexcept { return frame() != 0; }
    constexpr bool removal() const noexcept { return (bits_ & removal_mask) != 0; }
    constexpr std::uint64_t refcount() const noexcept { return bits_ >> refcount_shift; }
    constexpr bool saturated() const noexcept { return refcount() == max_refcount; }
    constexpr bool empty() const noexcept { return bits_ == 0; }

    constexpr SlotWord with_removal() const noexcept { return SlotWord{bits_ | removal_mask}; }
    constexpr SlotWord without_removal() const noexcept { return SlotWord{bits_ & ~removal_mask}; }
    /// One more reference. The caller has checked that the count is not saturated.
    constexpr SlotWord with_one_more() const noexcept { return SlotWord{bits_ + one_reference}; }
    constexpr SlotWord with_frame(FrameNumber frame) const noexcept {
        return SlotWord{(bits_ & ~frame_mask) | frame};
    }

    friend constexpr bool operator==(SlotWord, SlotWord) noexcept = default;

private:
    std::uint64_t bits_ = 0;
};

/// The atomic that a layout keeps per page. Value-initialised to the empty word.
template <class Machine>
using Slot = typename Machine::template Atomic<std::uint64_t>;

}  // namespace page_map_lab
