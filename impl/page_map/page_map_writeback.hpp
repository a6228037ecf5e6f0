// Making the store equal to the map, and what is built on it: writeback, free_unused, remove_or_zero, destroy.
//
// Source: the later versions of the reference, as docs/semantics.md tells them; the ABA of its remove_or_zero
// (defect 12) is closed by the REMOVAL mark.
#pragma once

#include <algorithm>
#include <array>

#include "impl/page_map/page_map_removal.hpp"

namespace page_map_lab {

/// Writes the dirty pages of `range` for which `choose(page, word)` holds, a batch at a time, each run of adjacent pages in
/// one call. A page is locked from the clearing of its DIRTY until its write completed; a failure sets DIRTY again first.
/// Map lock, given up for the writes: the removal word keeps the pages where they are.
template <class Variant>
template <class Choose>
void PageMap<Variant>::write_pages(PageRange range, WriterLock& lock, RemovalOutcome& outcome, Choose&& choose) {
    PageIndex next = range.first;
    while (next < range.end()) {
        std::array<PageType*, write_batch_pages> batch;
        std::size_t length = 0;
        const auto take = [&](PageIndex index, Slot<Machine>& slot) {
            // relaxed: pages enter and leave slots under the map's lock, which is held.
            const SlotWord word{slot.load(std::memory_order_relaxed)};
            if (!word.has_page()) {
                return true;
            }
            PageType& page = (*frames_)[word.frame()];
            // relaxed: a hint; clear_dirty decides.
            const std::uint32_t flags = page.flags.load(std::memory_order_relaxed);
            if ((flags & page_flag::dirty) == 0 || !choose(page, word)) {
                return true;
            }
            if (length == batch.size()) {
                next = index;  // go on here after this batch is written
                return false;
            }
            // [page-lock] acquire: pairs with the release in unlock_page. Who holds it writes or reads the page itself.
            if ((page.flags.fetch_or(page_flag::locked, std::memory_order_acquire) & page_flag::locked) != 0) {
                return true;
            }
            batch[length++] = &page;
            return true;
        };
        next = range.end();
        if constexpr (MarkedLayout<Layout>) {
            layout_.for_each_marked({range.first, range.count}, Mark::dirty, take);
        } else {
            layout_.for_each(range, take);
        }
        range = {next, range.end() - next};
        if (length == 0) {
            continue;
        }
        for (std::size_t position = 0; position < length; ++position) {
            clear_dirty(*batch[position]);
        }
        lock.unlock();
        for (std::size_t start = 0; start < length;) {
            std::size_t end = start + 1;
            while (end < length && batch[end]->index == batch[end - 1]->index + 1) {
                ++end;
            }
            const PageRange run{batch[start]->index, end - start};
            Status written = ask_store([&](Store& store) { return store.write_pages(run, memory_->bytes(run)); });
            for (std::size_t position = start; position < end; ++position) {
                PageType& page = *batch[position];
                if (!written) {
                    // relaxed: before the release in unlock_page, after which others may look.
                    page.flags.fetch_or(page_flag::dirty, std::memory_order_relaxed);
                }
                unlock_page(page);
            }
            if (written) {
                outcome.written_back += run.count;
            } else {
                outcome.write_failures += run.count;
                if (!outcome.write_error) {
                    outcome.write_error = std::move(written.error());
                }
            }
            start = end;
        }
        lock.lock();
        if constexpr (MarkedLayout<Layout>) {
            for (std::size_t position = 0; position < length; ++position) {
                // relaxed: the map's lock is held again; a user that sets DIRTY sets the mark after it.
                if ((batch[position]->flags.load(std::memory_order_relaxed) & page_flag::dirty) != 0) {
                    layout_.set_mark(batch[position]->index, Mark::dirty);
                }
            }
        }
    }
}

/// Takes the dirty bits of the entries of `range` into the pages, and the right to write with them: one shootdown. The pages
/// are on the worklist then, whatever became of the shootdown. Map lock.
template <class Variant>
Status PageMap<Variant>::harvest_dirty(PageRange range, RemovalOutcome& outcome) {
    const AgentScope waits_for_agents(worker_regions_ != 0);
    Shootdown shootdown = make_shootdown(Access::read);
    for_each_entry(range, /*skip_pinned=*/false, [&](RegionType& region, PageIndex index, PageTableEntry& entry) {
        if (entry.dirty()) {
            PageType& page = (*frames_)[entry.frame()];
            set_dirty(page);
            if (region.space().lost()) [[unlikely]] {
                ++outcome.quarantined;  // written now, and again: the entry stays dirty
                return;
            }
            page.on_worklist = true;
            entry.clear_dirty();
            if (entry.present() && entry.writable()) {
                shootdown.add(region, {index, 1});
            }
            entry.clear_writable();
        }
    });
    Status flushed = shootdown.flush();
    outcome.shootdown = shootdown.cost();
    return flushed;
}

template <class Variant>
Result<RemovalOutcome> PageMap<Variant>::writeback(PageRange range) {
    if (range.wraps()) {
        return fail(ErrorCode::bad_range, "a range to write back does not wrap around");
    }
    const RemovalTurn turn(*this);
    if (!turn) {
        return fail(ErrorCode::busy);
    }
    RemovalOutcome outcome;
    WriterLock lock(*this);
    Status flushed = harvest_dirty(range, outcome);
    for_each_entry(range, /*skip_pinned=*/false, [&](RegionType& region, PageIndex, PageTableEntry& entry) {
        if (!flushed && (*frames_)[entry.frame()].on_worklist && region.protection == Access::write &&
            region.sharing() == Sharing::shared) {
            entry.set_writable_and_dirty();  // the hardware may still be open (invariant 4)
        }
    });
    layout_.for_each(range, [&](PageIndex, Slot<Machine>& slot) {
        // relaxed: pages enter and leave slots under the map's lock, which is held.
        if (const SlotWord word{slot.load(std::memory_order_relaxed)}; word.has_page()) {
            (*frames_)[word.frame()].on_worklist = false;
        }
        return true;
    });
    if (!flushed) {
        return tl::unexpected(std::move(flushed.error()));
    }
    write_pages(range, lock, outcome, [](const PageType&, SlotWord) { return true; });
    return outcome;
}

template <class Variant>
Result<RemovalOutcome> PageMap<Variant>::free_unused() {
    RemovalOutcome outcome;
    {
        const RemovalTurn turn(*this);
        if (!turn) {
            return fail(ErrorCode::busy);
        }
        WriterLock lock(*this);
        const PageRange marked = mark_unused({0, options_.size_pages});
        for_each_entry(marked, /*skip_pinned=*/false, [&](RegionType&, PageIndex, PageTableEntry& entry) {
            PageType& page = (*frames_)[entry.frame()];
            if (page.on_worklist) {
                page.on_worklist = false;
                // relaxed: only gives up our own mark; a page that is mapped is in use.
                page.slot->fetch_and(~SlotWord::removal_mask, std::memory_order_relaxed);
            }
        });
        write_back_worklist(marked, lock, outcome);
        give_back(empty_unclaimed_slots(marked, /*even_dirty=*/false), lock, outcome);
    }
    free_retired_nodes(0);
    return outcome;
}

template <class Variant>
Result<RemovalOutcome> PageMap<Variant>::remove_or_zero(PageRange range) {
    if (range.wraps()) {
        return fail(ErrorCode::bad_range, "a range to truncate does not wrap around");
    }
    RemovalOutcome outcome;
    {
        const RemovalTurn turn(*this);
        if (!turn) {
            return fail(ErrorCode::busy);
        }
        WriterLock lock(*this);
        const PageRange marked = mark_unused(range);
        Status flushed;
        {
            const AgentScope waits_for_agents(worker_regions_ != 0);
            Shootdown shootdown = make_shootdown(Access::none);
            outcome.quarantined = revoke_entries(marked, shootdown);
            flushed = shootdown.flush();
            outcome.shootdown = shootdown.cost();
        }
        if (!flushed) {
            abandon_removal(marked);
            return tl::unexpected(std::move(flushed.error()));
        }
        collect_dirty_and_unmap(marked);
        give_back(empty_unclaimed_slots(marked, /*even_dirty=*/true), lock, outcome);
        zero_survivors(range, lock, outcome);
    }
    free_retired_nodes(retired_nodes_kept);
    return outcome;
}

/// Zeroes the pages of `range` that are still in the map. They are dirty then: the store may hold the old bytes. A page
/// that is being read from the store is waited for: its reader may have begun before the store was shortened. Map lock,
/// given up while it waits.
template <class Variant>
void PageMap<Variant>::zero_survivors(PageRange range, WriterLock& lock, RemovalOutcome& outcome) {
    if (memory_ == nullptr) {
        return;
    }
    std::optional<PageIndex> being_read;
    const auto zero = [&](PageIndex index, Slot<Machine>& slot) {
        // relaxed: pages enter and leave slots under the map's lock, which is held.
        const SlotWord word{slot.load(std::memory_order_relaxed)};
        if (!word.has_page()) {
            return true;
        }
        PageType& page = (*frames_)[word.frame()];
        // [page-lock] acquire: pairs with the release in unlock_page.
        const std::uint32_t before = page.flags.fetch_or(page_flag::locked, std::memory_order_acquire);
        if ((before & page_flag::locked) != 0) {
            being_read = index;
            return false;
        }
        if ((before & page_flag::up_to_date) != 0) {
            memory_->fill(index, std::byte{0});
            set_dirty(page);
            ++outcome.zeroed;
        }
        unlock_page(page);
        return true;
    };
    for (layout_.for_each(range, zero); being_read; layout_.for_each(range, zero)) {
        range = {*being_read, range.end() - *being_read};
        being_read.reset();
        lock.unlock();
        if (const Counted page = find(range.first)) {
            lock_page(descriptor(page));
            unlock_page(descriptor(page));
            put(page);
        }
        lock.lock();
    }
}

template <class Variant>
Status PageMap<Variant>::destroy() {
    {
        WriterLock lock(*this);
        if (!regions_.empty()) {
            return fail(ErrorCode::busy, std::to_string(regions_.size()) + " regions still map the object: remove them first");
        }
    }
    Result<RemovalOutcome> freed = free_unused();
    if (!freed) {
        return tl::unexpected(std::move(freed.error()));
    }
    if (freed->write_error) {
        return tl::unexpected(std::move(*freed->write_error));
    }
    if (const std::uint64_t left = page_count(); left != 0) {
        return fail(ErrorCode::busy, std::to_string(left) + " pages are still referenced: put them first");
    }
    return {};
}

}  // namespace page_map_lab
