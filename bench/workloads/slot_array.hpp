// The floor of every lookup: an array of slot words, with the compare-and-swap and the subtraction that every page map
// owes, the same bound check and the same check for "no page", and nothing else: no read section, no lock, no
// structure.
//
// Thread safety: find and put by anyone; fill and clear while nobody else is there. Backed by pages of the usual size,
// as the maps' nodes are.
#pragma once

#include <sys/mman.h>

#include <new>

#include "impl/page_map/machine.hpp"
#include "impl/page_map/page_map.hpp"
#include "impl/page_map/slot.hpp"

namespace page_map_lab::bench {

class SlotArray {
public:
    using Machine = RealMachine;
    using Counted = CountedPage<Machine>;

    /// The first slot lies `displacement_lines` cache lines into its page, as those of the maps' arenas do. Throws
    /// std::bad_alloc where the memory cannot be had.
    SlotArray(std::uint64_t slot_count, unsigned displacement_lines)
        : slot_count_(slot_count), bytes_(displacement_lines * cache_line_size + slot_count * sizeof(Slot<Machine>)) {
        memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory_ == MAP_FAILED) {
            throw std::bad_alloc();
        }
        ::madvise(memory_, bytes_, MADV_NOHUGEPAGE);  // where it fails there are none
        slots_ = reinterpret_cast<Slot<Machine>*>(static_cast<std::byte*>(memory_) +
                                                  displacement_lines * cache_line_size);
    }
    ~SlotArray() { ::munmap(memory_, bytes_); }
    SlotArray(const SlotArray&) = delete;
    SlotArray& operator=(const SlotArray&) = delete;

    /// As PageMap::find.
    Counted find(PageIndex index) noexcept {
        if (index >= slot_count_) [[unlikely]] {
            return {};
        }
        Slot<Machine>* slot = &slots_[index];
        // relaxed: a guess that the compare-and-swap confirms.
        std::uint64_t seen = slot->load(std::memory_order_relaxed);
        for (;;) {
            const SlotWord word{seen};
            if (!word.has_page()) [[unlikely]] {
                return {};
            }
            if (word.saturated()) [[unlikely]] {
                return {slot, 0};
            }
            // [slot-publish] acquire, relaxed on failure: as PageMap::find, whose cost this is the floor of.
            if (slot->compare_exchange_weak(seen, word.without_removal().with_one_more().bits(),
                                            std::memory_order_acquire, std::memory_order_relaxed)) [[likely]] {
                return {slot, word.frame()};
            }
        }
    }

    /// As PageMap::put.
    static void put(Counted page) noexcept {
        // [slot-put] release, as in PageMap::put, whose cost this is the floor of.
        page.slot->fetch_sub(SlotWord::one_reference, std::memory_order_release);
    }

    void fill(PageIndex index, FrameNumber frame) noexcept {
        // relaxed: nobody else is there.
        slots_[index].store(SlotWord{}.with_frame(frame).bits(), std::memory_order_relaxed);
    }

    void* memory() const noexcept { return memory_; }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    std::uint64_t slot_count_;
    std::size_t bytes_;
    void* memory_;
    Slot<Machine>* slots_;
};

}  // namespace page_map_lab::bench
