// Page-table entries: what a region's address space may do with each of its pages.
//
// Invariant 4: hardware access implies an entry marked present. An entry that is not present, or unmapped, is closed in
// hardware already, or will be before anyone relies on it. The converse does not hold: present but closed is legal, and a
// fault on it reapplies the entry's rights.
// An entry is a weak reference: it names a frame without counting it, and the remover can take it away.
//
// Thread safety: every entry is read and written under its address space's page-table lock.
#pragma once

#include <cstdint>

#include "impl/core/page_index.hpp"
#include "impl/platform/protection.hpp"

namespace page_map_lab {

class PageTableEntry {
public:
    constexpr FrameNumber frame() const noexcept { return bits_ & frame_mask; }
    constexpr bool mapped() const noexcept { return bits_ != 0; }
    constexpr bool present() const noexcept { return (bits_ & present_bit) != 0; }
    constexpr bool writable() const noexcept { return (bits_ & writable_bit) != 0; }
    constexpr bool dirty() const noexcept { return (bits_ & dirty_bit) != 0; }
    constexpr bool private_copy() const noexcept { return (bits_ & private_bit) != 0; }

    /// Maps the map's own page; a removal can take it away.
    constexpr bool maps_shared_page() const noexcept { return mapped() && !private_copy(); }

    /// What the hardware may allow at most.
    constexpr Access rights() const noexcept {
        return !present() ? Access::none : writable() ? Access::write : Access::read;
    }

    /// Names `frame` and is present; a dirty bit from before a racing revocation is kept.
    constexpr void map_shared(FrameNumber frame) noexcept {
        bits_ = frame | present_bit | (bits_ & (dirty_bit | writable_bit));
    }
    /// Owns a copy from now on, which no removal concerns.
    constexpr void map_private_copy() noexcept { bits_ = present_bit | writable_bit | private_bit; }
    constexpr void set_present() noexcept { bits_ |= present_bit; }
    constexpr void clear_present() noexcept { bits_ &= ~present_bit; }
    /// There is no hardware dirty bit to read in user space: what may be written counts as written.
    constexpr void set_writable_and_dirty() noexcept { bits_ |= writable_bit | dirty_bit; }
    constexpr void clear_writable() noexcept { bits_ &= ~writable_bit; }
    constexpr void clear_dirty() noexcept { bits_ &= ~dirty_bit; }
    constexpr void unmap() noexcept { bits_ = 0; }

private:
    static constexpr std::uint64_t frame_mask = (std::uint64_t{1} << 52) - 1;
    static constexpr std::uint64_t present_bit = std::uint64_t{1} << 60;
    static constexpr std::uint64_t writable_bit = std::uint64_t{1} << 61;
    static constexpr std::uint64_t dirty_bit = std::uint64_t{1} << 62;
    static constexpr std::uint64_t private_bit = std::uint64_t{1} << 63;
    std::uint64_t bits_ = 0;
};

}  // namespace page_map_lab
