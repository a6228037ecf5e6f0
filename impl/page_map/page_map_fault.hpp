// Serving faults: from a page of the map to an entry of a region and an open mapping.
//
// Grant is one step: writing an entry as present and the call that opens the hardware happen together under the page-table
// lock; otherwise a late call would reopen what a remover closed in between. The page is held by a slot reference until
// its entry is written; from then on the entry is a weak reference that a remover can take away.
//
// Source: the reference's handle_page_fault, as docs/semantics.md tells it.
#pragma once

#include <algorithm>
#include <exception>
#include <new>

#include "impl/page_map/page_map_locking.hpp"

namespace page_map_lab {

template <class Variant>
Status PageMap<Variant>::serve_fault(RegionType& region, PageIndex index, Access wanted) noexcept {
    // The thread may be unregistered or offline: it was touching memory, not calling us.
    typename Thread::OnlineScope online;
    try {
        return fault(region, index, wanted);
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::no_memory);
    } catch (const std::exception& failure) {
        return fail(ErrorCode::system, failure.what());
    }
}

template <class Variant>
Status PageMap<Variant>::unmap_region(RegionType& region) {
    return remove_region(&region);
}

template <class Variant>
Status PageMap<Variant>::fault(RegionType& region, PageIndex index, Access wanted) {
    if (!region.pages().contains(index)) {
        return fail(ErrorCode::no_region);
    }
    const auto forbidden = [&]() -> Status {  // page-table lock
        if (region.dead) {
            return fail(ErrorCode::no_region);
        }
        if (wanted > region.protection) {
            return fail(ErrorCode::not_permitted);
        }
        return {};
    };
    {
        const TableGuard guard(region.space());
        if (Status refused = forbidden(); !refused) {
            return refused;
        }
        PageTableEntry& entry = region.entry(index);
        if (entry.private_copy()) {
            entry.set_present();
        }
        if (entry.rights() >= wanted) {
            // Closed but present: a shootdown spared the entry and not the hardware. Or a spurious fault.
            return grant(region, index, entry);
        }
    }
    if (index >= options_.size_pages) {
        return fail(ErrorCode::past_end);
    }
    const auto map_and_grant = [&](FrameNumber frame) -> Status {
        const TableGuard guard(region.space());
        // Dead or protected since we looked: the pin keeps the addresses, not the right to open them.
        if (Status refused = forbidden(); !refused) {
            return refused;
        }
        PageTableEntry& entry = region.entry(index);
        if (entry.private_copy()) {
            entry.set_present();
            return grant(region, index, entry);
        }
        entry.map_shared(frame);
        if (wanted == Access::write) {
            if (region.sharing() == Sharing::copy_on_write) {
                return grant_private_copy(region, index, entry);
            }
            entry.set_writable_and_dirty();
        }
        return grant(region, index, entry);
    };
    for (;;) {
        Result<Counted> page = load_nowait(index);
        if (!page) {
            page = load(index);
        }
        if (page) {
            const Status granted = map_and_grant(page->frame);
            put(*page);
            return granted;
        }
        if (page.error().code != ErrorCode::refcount_saturated) {
            return tl::unexpected(std::move(page.error()));
        }
        // Whoever faults has nobody to tell that the slot cannot count one more. The map's lock stands in for the
        // reference: while it is held, no page leaves its slot and none is marked.
        {
            WriterLock lock(*this);
            if (Slot<Machine>* slot = layout_.find_slot(index)) {
                // relaxed: pages enter and leave slots under the map's lock, which is held.
                const SlotWord word{slot->load(std::memory_order_relaxed)};
                // [page-current] acquire: the bytes were there before the release in unlock_page.
                if (word.saturated() &&
                    ((*frames_)[word.frame()].flags.load(std::memory_order_acquire) & page_flag::up_to_date) != 0) {
                    return map_and_grant(word.frame());
                }
            }
        }
        // Put in the meantime, or its references are those of threads that wait for its bytes.
        typename Thread::OfflineScope offline;
        Machine::yield();
    }
}

/// Opens the hardware as far as the entry allows; a failure leaves the region closed. Page-table lock.
template <class Variant>
Status PageMap<Variant>::grant(RegionType& region, PageIndex index, PageTableEntry& entry) {
    const AgentScope waits_for_agents(region.space().worker() != nullptr);
    std::byte* address = region.address_of(index);
    const Access rights = std::min(entry.rights(), region.protection);
    for (bool again = false;; again = true) {
        Status opened = region.space().grant(address, page_size, rights);
        if (opened) {
            return opened;
        }
        // No room for another mapping, and the hardware unknown: close the region, which merges it, and try again.
        if (Status closed = region.close_hardware(); !closed) {
            return closed;
        }
        if (again) {
            return opened;
        }
    }
}

/// Gives a region its own copy of the page it maps. The kernel copies now, while the caller holds the page: later, a
/// removal could have returned the original. Page-table lock.
template <class Variant>
Status PageMap<Variant>::grant_private_copy(RegionType& region, PageIndex index, PageTableEntry& entry) {
    const AgentScope waits_for_agents(region.space().worker() != nullptr);
    PageTableEntry copied;
    copied.map_private_copy();
    for (;;) {
        if (Status opened = grant(region, index, copied); !opened) {
            return opened;
        }
        Status done = region.space().copy_now(region.address_of(index));
        if (done) {
            entry = copied;
            return {};
        }
        if (done.error().code != ErrorCode::try_again) {
            // Still the shared page: back to reading it.
            if (Status closed = grant(region, index, entry); !closed) {
                return closed;
            }
            return done;
        }
        // Closed again meanwhile, by a shootdown that spares this page and not its region.
    }
}

}  // namespace page_map_lab
