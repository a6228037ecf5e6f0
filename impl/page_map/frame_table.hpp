// The bounded frame table: page descriptors, and which frames are free.
//
// A frame number is an index into the table; 0 is never handed out. The table bounds how many pages are resident over all
// the page maps that share it.
//
// Thread safety: allocate and release from any thread. A descriptor belongs to whoever its frame was handed to, until the
// slot word that publishes it is written; then the rules beside each field hold.
// Cost: one short spinlock a call; no allocation after construction.
#pragma once

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "impl/core/check.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/map_lock.hpp"
#include "impl/page_map/slot.hpp"
#include "impl/platform/node_arena.hpp"

namespace page_map_lab {

/// Something that hangs off a page while its BUFFER flag is set, for example a file system's block mapping. Destroyed
/// when the page's frame is released, under the page map's lock: it calls nothing of the page map.
class PageBuffer {
public:
    virtual ~PageBuffer() = default;
};

namespace page_flag {
inline constexpr std::uint32_t locked = 1u << 0;      ///< held across I/O: being read or written out
inline constexpr std::uint32_t up_to_date = 1u << 1;  ///< the bytes are the object's
inline constexpr std::uint32_t dirty = 1u << 2;       ///< newer than the store; a writer sets it before its put
inline constexpr std::uint32_t buffer = 1u << 3;      ///< a PageBuffer hangs off the page
inline constexpr std::uint32_t page_map = 1u << 4;    ///< belongs to a page map
}  // namespace page_flag

/// A page's descriptor.
template <class Machine>
struct alignas(cache_line_size) Page {
    typename Machine::template Atomic<std::uint32_t> flags{0};

    // The remover's private worklist (the reference's PG_REMOVAL): touched only by who holds the map's removal word.
    bool on_worklist = false;

    // The page's memory could not be given back: its frame is not handed out again. Set by the remover.
    bool unreturned = false;

    // Written before the slot word is published, constant while the page is in the map.
    PageIndex index = 0;
    Slot<Machine>* slot = nullptr;
    const void* owner = nullptr;

    // The chain a frame is on: free frames, or those a removal emptied.
    FrameNumber next = 0;

    // Valid while flags has `buffer`.
    PageBuffer* attached = nullptr;
};

template <class Machine>
class FrameTable {
public:
    using PageType = Page<Machine>;

    /// A table of `frame_count` frames, descriptors from `arena`. Throws std::runtime_error where they do not fit.
    FrameTable(std::uint64_t frame_count, NodeArena& arena) : arena_(arena), frame_count_(frame_count) {
        if (frame_count == 0) {
            throw std::runtime_error("a frame table of 0 frames holds no page: give it at least one");
        }
        if (frame_count < std::numeric_limits<std::size_t>::max() / sizeof(PageType) - page_size) {
            table_ = static_cast<PageType*>(arena.allocate(table_bytes(), alignof(PageType)));
        }
        if (table_ == nullptr) {
            throw std::runtime_error("no memory for the descriptors of " + std::to_string(frame_count) +
                                     " frames: ask for fewer");
        }
        pages_ = table_ + arena.displacement_lines();
        std::uninitialized_value_construct_n(pages_, frame_count + 1);
    }

    ~FrameTable() {
        std::destroy_n(pages_, frame_count_ + 1);
        arena_.release(table_, table_bytes(), alignof(PageType));
    }

    FrameTable(const FrameTable&) = delete;
    FrameTable& operator=(const FrameTable&) = delete;

    /// A frame with all flags clear, or 0 where every frame is taken.
    FrameNumber allocate() noexcept {
        lock_.lock();
        FrameNumber frame = free_head_;
        if (frame != 0) {
            free_head_ = pages_[frame].next;
        } else if (never_used_ <= frame_count_) {
            frame = never_used_++;
        }
        in_use_ += frame != 0;
        lock_.unlock();
        return frame;
    }

    /// Takes a frame back.
    void release(FrameNumber frame) noexcept {
        pages_[frame].next = 0;
        release_chain(frame);
    }

    /// Takes back the frames that are chained from `first` through their `next`, with one turn of the lock. A frame marked
    /// `unreturned` stays out of circulation for good and is counted: its memory could not be given back.
    void release_chain(FrameNumber first) noexcept {
        FrameNumber kept_head = 0;
        FrameNumber kept_tail = 0;
        std::uint64_t kept = 0;
        std::uint64_t lost = 0;
        for (FrameNumber frame = first; frame != 0;) {
            PageType& page = pages_[frame];
            const FrameNumber following = page.next;
            clear(page);
            if (page.unreturned) {
                ++lost;
            } else {
                page.next = kept_head;
                kept_head = frame;
                kept_tail = kept_tail == 0 ? frame : kept_tail;
                ++kept;
            }
            frame = following;
        }
        lock_.lock();
        if (kept != 0) {
            pages_[kept_tail].next = free_head_;
            free_head_ = kept_head;
        }
        in_use_ -= kept + lost;
        quarantined_ += lost;
        lock_.unlock();
    }

    PageType& operator[](FrameNumber frame) noexcept {
        debug_check([&] { return frame != 0 && frame <= frame_count_; }, "a frame number lies in its table");
        return pages_[frame];
    }

    std::uint64_t frame_count() const noexcept { return frame_count_; }
    std::uint64_t in_use() noexcept { return read(in_use_); }
    std::uint64_t quarantined() noexcept { return read(quarantined_); }

private:
    /// Drops what hangs off a page before its flags are cleared (defects 3 and 7).
    static void clear(PageType& page) noexcept {
        // relaxed: nobody else holds this frame; the lock in release_chain publishes it to its next holder.
        if ((page.flags.load(std::memory_order_relaxed) & page_flag::buffer) != 0) {
            delete std::exchange(page.attached, nullptr);
        }
        page.flags.store(0, std::memory_order_relaxed);  // relaxed: as above
        page.on_worklist = false;
        page.slot = nullptr;
        page.owner = nullptr;
    }

    std::size_t table_bytes() const noexcept {
        return (arena_.displacement_lines() + frame_count_ + 1) * sizeof(PageType);
    }

    std::uint64_t read(const std::uint64_t& count) noexcept {
        lock_.lock();
        const std::uint64_t value = count;
        lock_.unlock();
        return value;
    }

    NodeArena& arena_;
    std::uint64_t frame_count_;
    PageType* table_ = nullptr;
    PageType* pages_ = nullptr;  // in the table: frame 0, which is never handed out
    MapLock<Machine> lock_;
    FrameNumber free_head_ = 0;
    FrameNumber never_used_ = 1;
    std::uint64_t in_use_ = 0;
    std::uint64_t quarantined_ = 0;
};

}  // namespace page_map_lab
