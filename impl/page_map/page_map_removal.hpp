// remove_contig: six passes over a range of pages, and what its passes are made of.
//
// The marks make a removal abortable: pass 1 sets REMOVAL in the slots of unused pages, whoever uses such a page clears it
// on the way (find), and pass 6 drops only what still has it. What is revoked in between faults back softly.
//
// Source: the reference, lines 284 to 594, corrected as docs/semantics.md says.
#pragma once

#include <algorithm>

#include "impl/page_map/page_map_locking.hpp"

namespace page_map_lab {

/// Pages that left their slots, chained through their descriptors so that a removal allocates nothing.
template <class Variant>
class PageMap<Variant>::EmptiedPages {
public:
    explicit EmptiedPages(Frames& frames) noexcept : frames_(&frames) {}

    void append(FrameNumber frame) noexcept {
        (*frames_)[frame].next = 0;
        if (last_ == 0) {
            first_ = frame;
        } else {
            (*frames_)[last_].next = frame;
        }
        last_ = frame;
        ++count_;
    }

    std::uint64_t count() const noexcept { return count_; }
    FrameNumber first() const noexcept { return first_; }
    FrameNumber after(FrameNumber frame) const noexcept { return (*frames_)[frame].next; }

private:
    Frames* frames_;
    FrameNumber first_ = 0;
    FrameNumber last_ = 0;
    std::uint64_t count_ = 0;
};

template <class Variant>
Result<RemovalOutcome> PageMap<Variant>::remove_contig(PageRange range, PhaseObserver* observer) {
    if (range.wraps()) {
        return fail(ErrorCode::bad_range, "a range to remove does not wrap around");
    }
    RemovalOutcome outcome;
    PhaseMarks phases(observer);
    {
        const RemovalTurn turn(*this);
        if (range.empty() || !turn) {
            return outcome;
        }
        WriterLock lock(*this, &phases);

        phases.enter(Phase::mark);
        const PageRange marked = mark_unused(range);

        Status flushed;
        {
            const AgentScope waits_for_agents(worker_regions_ != 0);
            phases.enter(Phase::revoke);
            Shootdown shootdown = make_shootdown(Access::none);
            outcome.quarantined = revoke_entries(marked, shootdown, &phases);

            phases.enter(Phase::flush);
            flushed = shootdown.flush();
            outcome.shootdown = shootdown.cost();
        }
        if (!flushed) {
            abandon_removal(marked);
            return tl::unexpected(std::move(flushed.error()));
        }

        phases.enter(Phase::collect);
        collect_dirty_and_unmap(marked, &phases);

        phases.enter(Phase::write_back);
        write_back_worklist(marked, lock, outcome);

        phases.enter(Phase::free);
        give_back(empty_unclaimed_slots(marked, /*even_dirty=*/false), lock, outcome);
    }
    free_retired_nodes(retired_nodes_kept, &phases);
    return outcome;
}

/// Calls `visit(run)` for each part of `range` that no pinned region holds, even where it was never faulted. Map lock.
template <class Variant>
template <class Visit>
void PageMap<Variant>::for_each_unpinned_run(PageRange range, Visit&& visit) {
    PageIndex from = range.first;
    while (from < range.end()) {
        PageIndex to = range.end();
        bool pinned = false;
        for (const auto& region : regions_) {
            if (!region->locked) {
                continue;
            }
            if (region->pages().contains(from)) {
                from = region->pages().end();
                pinned = true;
                break;
            }
            if (region->pages().first > from) {
                to = std::min(to, region->pages().first);
            }
        }
        if (!pinned) {
            visit(PageRange{from, to - from});
            from = to;
        }
    }
}

/// Pass 1: marks the slots of pages that nobody holds, and puts the pages on the worklist. Returns a range that holds them
/// all. Map lock.
template <class Variant>
PageRange PageMap<Variant>::mark_unused(PageRange range) {
    PageIndex first = range.end();
    PageIndex end = range.first;
    for_each_unpinned_run(range, [&](PageRange run) {
        layout_.for_each(run, [&](PageIndex index, Slot<Machine>& slot) {
            // relaxed: a guess that the compare-and-swap confirms.
            std::uint64_t seen = slot.load(std::memory_order_relaxed);
            for (;;) {
                const SlotWord word{seen};
                if (!word.has_page() || word.refcount() != 0) {
                    return true;
                }
                // [slot-put] acquire: what the last user did, DIRTY included, is seen from here on.
                // relaxed on failure: tries again with what it saw.
                if (slot.compare_exchange_weak(seen, word.with_removal().bits(), std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
                    (*frames_)[word.frame()].on_worklist = true;
                    first = std::min(first, index);
                    end = std::max(end, index + 1);
                    return true;
                }
            }
        });
    });
    return first < end ? PageRange{first, end - first} : PageRange{};
}

/// Pass 2: makes the marked pages' entries not present in every unpinned region, and gathers what the hardware still
/// allows. Invariant 4 is owed until the flush. Pages that a lost address space may still reach stay in the map; returns
/// how many. Map lock.
template <class Variant>
std::uint64_t PageMap<Variant>::revoke_entries(PageRange marked, Shootdown& shootdown, PhaseMarks* marks) {
    std::uint64_t quarantined = 0;
    const auto revoke = [&](RegionType& region, PageIndex index, PageTableEntry& entry) {
        if (PageType& page = (*frames_)[entry.frame()]; entry.present() && page.on_worklist) {
            if (region.space().lost()) [[unlikely]] {
                // As a late user would. relaxed: only gives up our own mark; the map's lock is held.
                page.slot->fetch_and(~SlotWord::removal_mask, std::memory_order_relaxed);
                ++quarantined;
                return;
            }
            entry.clear_present();
            shootdown.add(region, {index, 1});
        }
    };
    for_each_entry(marked, /*skip_pinned=*/true, revoke, marks);
    return quarantined;
}

/// A shootdown that gathers as many address spaces as this map is told to.
template <class Variant>
typename PageMap<Variant>::Shootdown PageMap<Variant>::make_shootdown(Access left) const {
    if constexpr (std::constructible_from<Shootdown, Access, std::size_t>) {
        return Shootdown(left, options_.shootdown_spaces);
    } else {
        return Shootdown(left);
    }
}

/// A revocation failed: nothing is dropped. Entries are present again, since the hardware may still be open (invariant 4).
/// Map lock.
template <class Variant>
void PageMap<Variant>::abandon_removal(PageRange marked) {
    for_each_entry(marked, /*skip_pinned=*/true, [&](RegionType& region, PageIndex, PageTableEntry& entry) {
        if ((*frames_)[entry.frame()].on_worklist && region.protection != Access::none) {
            entry.set_present();
        }
    });
    spare(marked);
    layout_.for_each(marked, [&](PageIndex, Slot<Machine>& slot) {
        // relaxed: pages enter and leave slots under the map's lock, which is held.
        if (const SlotWord word{slot.load(std::memory_order_relaxed)}; word.has_page()) {
            (*frames_)[word.frame()].on_worklist = false;
        }
        return true;
    });
}

/// Clears the marks of the pages of `range`, as a late user of each would: a removal in progress leaves them in the map. A
/// slot whose page's memory is being returned keeps its mark. Map lock.
template <class Variant>
void PageMap<Variant>::spare(PageRange range) noexcept {
    layout_.for_each(range, [](PageIndex, Slot<Machine>& slot) {
        // relaxed, both: pages enter and leave slots under the map's lock, which is held; users only ever clear this bit.
        if (SlotWord{slot.load(std::memory_order_relaxed)}.has_page()) {
            slot.fetch_and(~SlotWord::removal_mask, std::memory_order_relaxed);
        }
        return true;
    });
}

/// Pass 4: folds the entries' dirty bits into the pages and unmaps the entries, whatever their region's protection is now
/// (defect 14). Entries that are present again belong to a fault that aborted its page's removal. Map lock.
template <class Variant>
void PageMap<Variant>::collect_dirty_and_unmap(PageRange marked, PhaseMarks* marks) {
    const auto collect = [&](RegionType&, PageIndex, PageTableEntry& entry) {
        PageType& page = (*frames_)[entry.frame()];
        if (!page.on_worklist || entry.present()) {
            return;
        }
        if (entry.dirty()) {
            set_dirty(page);
        }
        entry.unmap();
    };
    for_each_entry(marked, /*skip_pinned=*/true, collect, marks);
}

/// Pass 5: writes the marked pages that are dirty, with the map unlocked. What was used since is not written: its removal
/// is off. Map lock, given up and taken again.
template <class Variant>
void PageMap<Variant>::write_back_worklist(PageRange marked, WriterLock& lock, RemovalOutcome& outcome) {
    write_pages(marked, lock, outcome, [](const PageType& page, SlotWord word) {
        return page.on_worklist && word.removal();
    });
}

/// Pass 6: takes out of their slots the marked pages that nobody used since. Pages that are dirty again, or that somebody
/// has locked, stay. The slots are left {REMOVAL, no page}: nobody may insert there before the memory is returned.
/// Map lock.
template <class Variant>
typename PageMap<Variant>::EmptiedPages PageMap<Variant>::empty_unclaimed_slots(PageRange marked, bool even_dirty) {
    EmptiedPages emptied(*frames_);
    const std::uint32_t keeps = page_flag::locked | (even_dirty ? 0 : page_flag::dirty);
    layout_.for_each(marked, [&](PageIndex, Slot<Machine>& slot) {
        // relaxed: a guess that the compare-and-swap confirms.
        std::uint64_t seen = slot.load(std::memory_order_relaxed);
        const SlotWord word{seen};
        if (!word.has_page() || !(*frames_)[word.frame()].on_worklist) {
            return true;
        }
        PageType& page = (*frames_)[word.frame()];
        page.on_worklist = false;
        if (!word.removal()) {
            return true;
        }
        // relaxed: whoever sets a flag holds a reference, and taking it cleared REMOVAL: the exchange below fails then.
        if ((page.flags.load(std::memory_order_relaxed) & keeps) != 0) {
            // relaxed: only gives up our own mark.
            slot.fetch_and(~SlotWord::removal_mask, std::memory_order_relaxed);
            return true;
        }
        // A marked word has no references: taking one clears REMOVAL, and we are the only one to set it (invariant 1).
        // [slot-put] acquire: pairs with the release of the last put. relaxed on failure: somebody took the page.
        if (slot.compare_exchange_strong(seen, SlotWord{}.with_removal().bits(), std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
            emptied.append(word.frame());
        }
        return true;
    });
    return emptied;
}

/// Returns the memory of pages that left their slots, then the slots, then the frames: a page that is loaded again in
/// between waits, so that the punch cannot take its new bytes. Map lock, given up for the system calls.
template <class Variant>
void PageMap<Variant>::give_back(EmptiedPages emptied, WriterLock& lock, RemovalOutcome& outcome) {
    if (emptied.count() == 0) {
        return;
    }
    const bool return_memory = memory_ != nullptr && !options_.keep_memory;
    if (debug_checks && memory_ != nullptr) {
        // A stale translation would read these bytes, and no store holds them.
        for (FrameNumber frame = emptied.first(); frame != 0; frame = emptied.after(frame)) {
            memory_->fill((*frames_)[frame].index, std::byte{0xdb});
        }
    }
    if (return_memory) {
        lock.unlock();
        for (FrameNumber frame = emptied.first(); frame != 0;) {
            PageRange run{(*frames_)[frame].index, 0};
            const FrameNumber run_start = frame;
            for (; frame != 0 && (*frames_)[frame].index == run.end(); frame = emptied.after(frame)) {
                ++run.count;
            }
            if (Status returned = memory_->give_back(run); !returned) {
                for (FrameNumber kept = run_start; kept != frame; kept = emptied.after(kept)) {
                    (*frames_)[kept].unreturned = true;
                }
                outcome.punch_error = std::move(returned.error());
            }
        }
        lock.lock();
    }
    for (FrameNumber frame = emptied.first(); frame != 0; frame = emptied.after(frame)) {
        const PageType& page = (*frames_)[frame];
        // relaxed: find reads no page here before and after; inserting takes the map's lock.
        page.slot->store(SlotWord{}.bits(), std::memory_order_relaxed);
        layout_.release(page.index);
    }
    page_count_ -= emptied.count();  // defect 12
    outcome.removed += emptied.count();
    frames_->release_chain(emptied.first());
}

/// Frees what the layout retired, once more than `more_than` nodes wait: one grace period for all of them, awaited under no
/// lock and outside the removal word, for which a reader may be waiting (invariant 8). Returns whether there were any.
template <class Variant>
bool PageMap<Variant>::free_retired_nodes(std::size_t more_than, PhaseMarks* marks) {
    WriterLock lock(*this, marks);
    if (layout_.retired() <= more_than) {
        return false;
    }
    auto retired = layout_.take_retired();
    {
        const PhaseMarks::Waiting waits_for_readers(marks, Phase::grace_period);
        lock.unlock();
        ReadPath::synchronize();
    }
    retired.free_all();
    return true;
}

/// Sets DIRTY, and the layout's mark where it has marks. Map lock.
template <class Variant>
void PageMap<Variant>::set_dirty(PageType& page) noexcept {
    // relaxed: the hardware was closed by a system call before, and the map's lock orders who reads it.
    page.flags.fetch_or(page_flag::dirty, std::memory_order_relaxed);
    if constexpr (MarkedLayout<Layout>) {
        layout_.set_mark(page.index, Mark::dirty);
    }
}

/// Clears DIRTY and the mark before a write-out; returns whether the page was dirty. Map lock, and no revocation of the
/// page unflushed.
template <class Variant>
bool PageMap<Variant>::clear_dirty(PageType& page) noexcept {
    if constexpr (MarkedLayout<Layout>) {
        layout_.clear_mark(page.index, Mark::dirty);
    }
    // [page-dirty] acquire: pairs with the release in mark_dirty; what was written before it is written out.
    return (page.flags.fetch_and(~page_flag::dirty, std::memory_order_acquire) & page_flag::dirty) != 0;
}

}  // namespace page_map_lab
