// Bringing pages in: insert, load, load_nowait, and the page lock that a loader holds across I/O.
//
// Source: the reference, lines 142 to 264.
#pragma once

#include "impl/page_map/page_map_locking.hpp"

namespace page_map_lab {

template <class Variant>
Result<typename PageMap<Variant>::Counted> PageMap<Variant>::insert(PageIndex index, FrameNumber frame) {
    if (index >= options_.size_pages) {
        return fail(ErrorCode::past_end);
    }
    PageType& page = (*frames_)[frame];
    WriterLock lock(*this);
    if (Slot<Machine>* slot = layout_.find_slot(index)) {
        // relaxed: whoever changes a word between empty and not empty holds this lock.
        const SlotWord word{slot->load(std::memory_order_relaxed)};
        if (!word.empty()) {
            return fail(word.has_page() ? ErrorCode::already_present : ErrorCode::busy);
        }
    }
    Result<Slot<Machine>*> claimed = layout_.claim(index);
    if (!claimed) {
        return tl::unexpected(std::move(claimed.error()));
    }
    page.index = index;
    page.slot = *claimed;
    page.owner = this;
    // relaxed: the frame is not published yet.
    page.flags.fetch_or(page_flag::page_map, std::memory_order_relaxed);
    ++page_count_;
    // [slot-publish] release: the descriptor above is seen by the acquire in find.
    (*claimed)->store(SlotWord{}.with_frame(frame).with_one_more().bits(), std::memory_order_release);
    return Counted{*claimed, frame};
}

template <class Variant>
Result<typename PageMap<Variant>::Counted> PageMap<Variant>::load_nowait(PageIndex index) noexcept {
    const Counted page = find(index);
    if (page.saturated()) {
        return fail(ErrorCode::refcount_saturated);
    }
    if (!page) {
        return fail(ErrorCode::try_again);
    }
    // [page-current] acquire: the bytes were there before the release in unlock_page.
    if ((descriptor(page).flags.load(std::memory_order_acquire) & page_flag::up_to_date) == 0) {
        put(page);
        return fail(ErrorCode::try_again);
    }
    return page;
}

template <class Variant>
Result<typename PageMap<Variant>::Counted> PageMap<Variant>::load(PageIndex index) {
    if (index >= options_.size_pages) {
        return fail(ErrorCode::past_end);
    }
    for (;;) {
        const Counted found = find(index);
        if (found.saturated()) {
            return fail(ErrorCode::refcount_saturated, "page " + std::to_string(index) + " has 2047 references: put some");
        }
        if (found) {
            return wait_until_current(found);
        }
        Result<FrameNumber> frame = take_frame();
        if (!frame) {
            return tl::unexpected(std::move(frame.error()));
        }
        PageType& page = (*frames_)[*frame];
        // relaxed: not published yet. LOCKED from the start, so that whoever finds the page waits for its bytes.
        page.flags.store(page_flag::locked | page_flag::page_map, std::memory_order_relaxed);
        Result<Counted> inserted = insert(index, *frame);
        if (inserted) {
            return read_locked_page(*inserted);
        }
        frames_->release(*frame);
        const ErrorCode code = inserted.error().code;
        if (code == ErrorCode::busy) {
            // The page that was here is giving its memory back; its remover is in a system call.
            typename Thread::OfflineScope offline;
            Machine::yield();
        } else if (code != ErrorCode::already_present) {
            return inserted;
        }
    }
}

/// A free frame, reclaiming as often as that frees something.
template <class Variant>
Result<FrameNumber> PageMap<Variant>::take_frame() {
    for (;;) {
        if (const FrameNumber frame = frames_->allocate(); frame != 0) {
            return frame;
        }
        if (!options_.reclaim || !options_.reclaim()) {
            return fail(ErrorCode::no_frame, "all " + std::to_string(frames_->frame_count()) +
                                                 " frames are taken: give the map more, or remove pages");
        }
        // Whom we wait for to free a frame may be waiting for a grace period.
        ReadPath::quiescent();
    }
}

template <class Variant>
Result<typename PageMap<Variant>::Counted> PageMap<Variant>::wait_until_current(Counted counted) {
    PageType& page = descriptor(counted);
    // [page-current] acquire: the bytes were there before the release in unlock_page.
    if ((page.flags.load(std::memory_order_acquire) & page_flag::up_to_date) != 0) [[likely]] {
        return counted;
    }
    lock_page(page);
    // Once more under the lock: whom we waited for was reading it, and a second read could overwrite newer data.
    // relaxed: lock_page's acquire orders.
    if ((page.flags.load(std::memory_order_relaxed) & page_flag::up_to_date) != 0) {
        unlock_page(page);
        return counted;
    }
    return read_locked_page(counted);
}

/// Reads the page that the caller has locked and counted. A failure only unlocks: those who wait try themselves.
template <class Variant>
Result<typename PageMap<Variant>::Counted> PageMap<Variant>::read_locked_page(Counted counted) {
    PageType& page = descriptor(counted);
    const PageIndex index = page.index;
    Status read = [&] {
        typename Thread::OfflineScope offline;
        return options_.store->read_pages({index, 1}, bytes(counted));
    }();
    if (read) {
        unlock_page(page, page_flag::up_to_date);
        return counted;
    }
    unlock_page(page);
    put(counted);
    discard_never_read(index);
    return tl::unexpected(std::move(read.error()));
}

/// Takes a page that never became up to date out of the map, unless somebody holds it: their put would otherwise hit the
/// next page's count (defect 10).
template <class Variant>
void PageMap<Variant>::discard_never_read(PageIndex index) noexcept {
    RemovalOutcome ignored;
    WriterLock lock(*this);
    Slot<Machine>* slot = layout_.find_slot(index);
    if (slot == nullptr) {
        return;
    }
    // relaxed: a guess that the compare-and-swap confirms; the descriptor is read under the map's lock.
    std::uint64_t seen = slot->load(std::memory_order_relaxed);
    const SlotWord word{seen};
    if (!word.has_page() || word.refcount() != 0) {
        return;
    }
    PageType& page = (*frames_)[word.frame()];
    // relaxed: a count of 0 means that nobody reads it now; who starts makes the compare-and-swap fail.
    if ((page.flags.load(std::memory_order_relaxed) & (page_flag::up_to_date | page_flag::locked)) != 0) {
        return;
    }
    // [slot-put] acquire: pairs with the release of the last put. relaxed on failure: somebody took it.
    if (slot->compare_exchange_strong(seen, SlotWord{}.with_removal().bits(), std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        EmptiedPages emptied(*frames_);
        emptied.append(word.frame());
        give_back(emptied, lock, ignored);
    }
}

template <class Variant>
void PageMap<Variant>::lock_page(PageType& page) noexcept {
    // relaxed: a guess that the compare-and-swap confirms.
    std::uint32_t flags = page.flags.load(std::memory_order_relaxed);
    for (;;) {
        if ((flags & page_flag::locked) != 0) {
            typename Thread::OfflineScope offline;
            Machine::wait(page.flags, flags);
            flags = page.flags.load(std::memory_order_relaxed);  // relaxed: as above
        } else if (page.flags.compare_exchange_weak(flags, flags | page_flag::locked,
                                                    // [page-lock] acquire: pairs with the release in unlock_page.
                                                    std::memory_order_acquire,
                                                    std::memory_order_relaxed)) {  // relaxed: tries again
            return;
        }
    }
}

/// Unlocks, and sets `also_set` in the same step.
template <class Variant>
void PageMap<Variant>::unlock_page(PageType& page, std::uint32_t also_set) noexcept {
    // LOCKED is set and only we may clear it, so subtracting it and adding what is not set yet is one atomic step.
    // [page-lock, page-current] release: what was done under the lock precedes the acquires in lock_page, load_nowait and
    // wait_until_current.
    page.flags.fetch_add(also_set - page_flag::locked, std::memory_order_release);
    Machine::wake_all(page.flags);
}

template <class Variant>
void PageMap<Variant>::mark_dirty(Counted counted) noexcept {
    PageType& page = descriptor(counted);
    // [page-dirty] release: what was written before is seen by the acquire in clear_dirty, and so by the write-out.
    const std::uint32_t before = page.flags.fetch_or(page_flag::dirty, std::memory_order_release);
    if constexpr (MarkedLayout<Layout>) {
        if ((before & page_flag::dirty) == 0) {
            WriterLock lock(*this);
            layout_.set_mark(page.index, Mark::dirty);
        }
    }
}

template <class Variant>
std::span<std::byte> PageMap<Variant>::bytes(Counted page) const noexcept {
    return memory_->bytes({descriptor(page).index, 1});
}

}  // namespace page_map_lab
