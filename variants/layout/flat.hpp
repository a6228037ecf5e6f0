// The floor: one array of slots, reserved once, so that index to slot is an addition.
//
// Thread safety: find_slot by anyone; everything else under the map's lock. Progress: find_slot is wait-free.
//
// Invariants:
//   1. The reservation never moves: a slot's address is stable (invariant 5).
//   2. A page's bit in the claimed map is set exactly while its slot is claimed.
//
// Cost: 8.1 bytes a page where pages are dense; the address space of the whole object, of which only what is touched
// takes memory, and a scan of the claimed map, a bit a page, for iteration.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "impl/core/check.hpp"
#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/slot.hpp"
#include "impl/platform/node_arena.hpp"

namespace page_map_lab {

/// Address space for `count` zeroed items, of which only what is touched takes memory.
class Reservation {
public:
    explicit Reservation(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, page_size)) {
        memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory_ == MAP_FAILED) {
            throw std::runtime_error("layout flat: cannot reserve " + std::to_string(bytes_) + " bytes of addresses (" +
                                     std::strerror(errno) +
                                     "): use layout radix, or allow it with ulimit -v and vm.overcommit_memory");
        }
        ::madvise(memory_, bytes_, MADV_NOHUGEPAGE);  // as the nodes of other layouts; where it fails there are none
    }
    ~Reservation() { ::munmap(memory_, bytes_); }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    void* memory() const noexcept { return memory_; }

    /// Bytes of the reservation's first `bytes` that take memory.
    std::size_t resident_bytes(std::size_t bytes) const {
        std::vector<unsigned char> resident((std::min(bytes, bytes_) + page_size - 1) / page_size);
        if (resident.empty() || ::mincore(memory_, resident.size() * page_size, resident.data()) != 0) {
            return 0;
        }
        return page_size * static_cast<std::size_t>(std::count_if(resident.begin(), resident.end(),
                                                                  [](unsigned char page) { return (page & 1) != 0; }));
    }

private:
    std::size_t bytes_;
    void* memory_;
};

template <class ReadPath>
class FlatArray {
public:
    using Machine = typename ReadPath::Machine;
    static constexpr bool stable_under_readers = true;
    static constexpr std::uint64_t max_pages = std::uint64_t{1} << 32;

    /// Throws std::runtime_error where `pages` is past max_pages or cannot be reserved.
    FlatArray(NodeArena& arena, std::uint64_t pages)
        : capacity_(checked(pages)),
          displacement_bytes_(arena.displacement_lines() * cache_line_size),
          slot_memory_(displacement_bytes_ + capacity_ * sizeof(Slot<Machine>)),
          claimed_memory_((capacity_ + 63) / 64 * sizeof(std::uint64_t)),
          // Zeroed memory is an array of empty slots; constructing them would touch all of it.
          slots_(reinterpret_cast<Slot<Machine>*>(static_cast<std::byte*>(slot_memory_.memory()) + displacement_bytes_)),
          claimed_(static_cast<std::uint64_t*>(claimed_memory_.memory())) {}

    Slot<Machine>* find_slot(PageIndex index) const noexcept {
        return index < capacity_ ? &slots_[index] : nullptr;
    }

    Result<Slot<Machine>*> claim(PageIndex index) {
        if (index >= capacity_) {
            return fail(ErrorCode::past_end, "page " + std::to_string(index) + " lies past the map's " +
                                                 std::to_string(capacity_) + " pages: make the map larger");
        }
        claimed_[index / 64] |= bit(index);
        claimed_end_ = std::max(claimed_end_, index + 1);
        return &slots_[index];
    }

    void release(PageIndex index) noexcept {
        check(index < capacity_ && (claimed_[index / 64] & bit(index)) != 0, "a released slot was claimed");
        claimed_[index / 64] &= ~bit(index);
    }

    template <class Visit>
    void for_each(PageRange range, Visit&& visit) const {
        const PageIndex end = range.wraps() ? claimed_end_ : std::min(range.end(), claimed_end_);
        for (PageIndex index = range.first; index < end;) {
            const std::uint64_t left = claimed_[index / 64] >> (index % 64);
            if (left == 0) {
                index = (index / 64 + 1) * 64;
                continue;
            }
            index += static_cast<unsigned>(std::countr_zero(left));
            if (index >= end || !visit(index, slots_[index])) {
                return;
            }
            ++index;
        }
    }

    /// There are no nodes: nothing ever waits for a grace period.
    struct Retired {
        void free_all() noexcept {}
    };
    std::size_t retired() const noexcept { return 0; }
    Retired take_retired() noexcept { return {}; }
    std::uint64_t capacity() const noexcept { return capacity_; }

    /// Bytes that take memory, of slots and of the claimed map.
    std::size_t memory_bytes() const {
        return slot_memory_.resident_bytes(displacement_bytes_ + claimed_end_ * sizeof(Slot<Machine>)) +
               claimed_memory_.resident_bytes((claimed_end_ + 63) / 64 * sizeof(std::uint64_t));
    }

private:
    static constexpr std::uint64_t bit(PageIndex index) noexcept { return std::uint64_t{1} << (index % 64); }

    static std::uint64_t checked(std::uint64_t pages) {
        if (pages > max_pages) {
            throw std::runtime_error("layout flat: " + std::to_string(pages) + " pages are past its limit of " +
                                     std::to_string(max_pages) + ": use layout radix or xarray");
        }
        return pages;
    }

    std::uint64_t capacity_;
    std::size_t displacement_bytes_;  // of the first slot in its memory, as the arena wishes
    Reservation slot_memory_;
    Reservation claimed_memory_;
    Slot<Machine>* slots_;
    std::uint64_t* claimed_;
    PageIndex claimed_end_ = 0;  ///< one past the largest index ever claimed
};

struct Flat {
    static constexpr std::string_view name = "flat";
    template <class ReadPath>
    using With = FlatArray<ReadPath>;
};

}  // namespace page_map_lab
