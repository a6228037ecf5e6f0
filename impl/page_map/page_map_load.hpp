// Bringing pages in: insert, load, load_nowait, and the page lock that a loader holds across I/O.
//
// Source: the reference, lines 142 to 264.
#pragma once

#include <exception>
#include <new>

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
        } else if (code == ErrorCode::no_memory && free_retired_nodes(0)) {
            // What removals have left waiting for a grace period was all that was missing, perhaps.
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
    Status read = ask_store([&](Store& store) { return store.read_pages({index, 1}, bytes(counted)); });
    if (read) {
        unlock_page(page, page_flag::up_to_date);
        return counted;
    }
    unlock_page(page);
    put(counted);
    discard_never_read(index);
    free_retired_nodes(retired_nodes_kept);
    return tl::unexpected(std::move(read.error()));
}

/// Calls the store, offline. What it throws is an error like any other: pages are locked meanwhile.
template <class Variant>
template <class Call>
Status PageMap<Variant>::ask_store(Call&& call) {
    if (options_.store == nullptr || memory_ == nullptr) {
        return fail(ErrorCode::unavailable, "a map without a store and memory can neither load nor write back: give it both");
    }
    typename Thread::OfflineScope offline;
    try {
        return call(*options_.store);
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::no_memory, "the store ran out of memory: free some");
    } catch (const std::exception& failure) {
        return fail(ErrorCode::io, failure.what());
    }
}

/// Takes a page that never became up to date out of the map, unless somebody holds it: their put would otherwise hit the
/// next page's count (defect 10). As in a removal the mark comes first: who loads the page, writes to it and puts it between
/// two looks at the word restores the count, and not the mark.
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
    // [slot-put] acquire: what the last user did to the flags is seen below. relaxed on failure: somebody took the page.
    if (!word.has_page() || word.refcount() != 0 ||
        !slot->compare_exchange_strong(seen, word.with_removal().bits(), std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return;
    }
    constexpr std::uint32_t keeps = page_flag::up_to_date | page_flag::locked | page_flag::dirty;
    // relaxed: whoever sets a flag from now on has cleared the mark.
    if (((*frames_)[word.frame()].flags.load(std::memory_order_relaxed) & keeps) != 0) {
        if (!word.removal()) {
            // relaxed: only gives up our own mark, and not that of a removal in progress.
            slot->fetch_and(~SlotWord::removal_mask, std::memory_order_relaxed);
        }
        return;
    }
    seen = word.with_removal().bits();
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
    if ((before & page_flag::up_to_date) == 0) [[unlikely]] {
        // Inserted, and filled by the caller: from now on no load reads the store over it.
        lock_page(page);
        // relaxed: lock_page's acquire orders.
        unlock_page(page, page_flag::up_to_date & ~page.flags.load(std::memory_order_relaxed));
    }
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
