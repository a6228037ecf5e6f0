// The reverse map: adding, protecting, pinning and removing regions.
//
// Source: the reference, lines 15 to 31; munmap and mprotect as docs/semantics.md corrects them.
#pragma once

#include <algorithm>
#include <new>

#include "impl/page_map/page_map_locking.hpp"

namespace page_map_lab {

template <class Variant>
Result<typename PageMap<Variant>::RegionType*> PageMap<Variant>::add_region(Space& space, const RegionOptions& options) {
    if (memory_ == nullptr) {
        return fail(ErrorCode::unavailable, "a map without memory has no regions: give it an ObjectMemory");
    }
    if (options.pages.empty() || options.pages.wraps()) {
        return fail(ErrorCode::bad_range, "a region has at least one page and does not wrap around");
    }
    if (options.pages.end() > memory_->size_pages()) {
        return fail(ErrorCode::past_end, "a region of pages [" + std::to_string(options.pages.first) + ", " +
                                             std::to_string(options.pages.end()) + ") leaves the object's " +
                                             std::to_string(memory_->size_pages()) + " pages");
    }
    Result<std::byte*> base = [&] {
        const AgentScope waits_for_agents(space.worker() != nullptr);
        return space.map(*memory_, options.pages, options.sharing);
    }();
    if (!base) {
        return tl::unexpected(std::move(base.error()));
    }
    FaultServer<Machine>& server = *this;  // a private base: make_unique cannot convert to it
    try {
        std::list<std::unique_ptr<RegionType>> link;
        link.push_back(std::make_unique<RegionType>(space, server, options, *base));
        RegionType* added = link.front().get();
        // Under the map's lock, so that no fault is served through a region that a removal does not see.
        WriterLock lock(*this);
        space.attach(*added);
        regions_.splice(regions_.end(), link);
        worker_regions_ += space.worker() != nullptr;
        if (options.locked) {
            spare(options.pages);
        }
        return added;
    } catch (const std::bad_alloc&) {
        static_cast<void>(space.unmap(*base, options.pages.count));
        return fail(ErrorCode::no_memory, "no memory for the page table of " + std::to_string(options.pages.count) +
                                              " pages: map fewer");
    }
}

/// Close the hardware; fold and clear under the page-table lock; mark the region dead; unlink it under the map's lock; wait
/// for its pins; only then give the addresses back.
template <class Variant>
Status PageMap<Variant>::remove_region(RegionType* region) {
    std::unique_ptr<RegionType> unlinked;
    {
        WriterLock lock(*this);
        {
            const TableGuard guard(region->space());
            const AgentScope waits_for_agents(region->space().worker() != nullptr);
            if (Status closed = region->close_hardware(); !closed) {
                return closed;
            }
            for (PageIndex index = region->pages().first; index != region->pages().end(); ++index) {
                PageTableEntry& entry = region->entry(index);
                if (entry.maps_shared_page() && entry.dirty()) {
                    PageType& page = (*frames_)[entry.frame()];
                    set_dirty(page);  // defect 2
                }
                entry.unmap();
            }
            region->dead = true;
        }
        const auto position =
            std::find_if(regions_.begin(), regions_.end(), [&](const auto& held) { return held.get() == region; });
        check(position != regions_.end(), "a region is removed once, from the map it was added to");
        unlinked = std::move(*position);
        regions_.erase(position);
        worker_regions_ -= region->space().worker() != nullptr;
    }
    region->space().detach(*region);
    {
        typename Thread::OfflineScope offline;
        while (region->pinned()) {
            Machine::yield();  // a fault in flight; it finds the region dead
        }
    }
    // The region is gone either way. The system may have merged its mapping with its neighbours' and have no room to split
    // it again: then the addresses stay reserved, and closed.
    const AgentScope waits_for_agents(unlinked->space().worker() != nullptr);
    static_cast<void>(unlinked->space().unmap(unlinked->base(), unlinked->pages().count));
    return {};
}

template <class Variant>
Status PageMap<Variant>::protect_region(RegionType& region, Access protection) {
    WriterLock lock(*this);
    const TableGuard guard(region.space());
    const AgentScope waits_for_agents(region.space().worker() != nullptr);
    if (protection < region.protection) {
        // What was written stays dirty in its entry, whatever the protection is now (defect 14). Entries that are still
        // allowed something stay present and fault back.
        if (Status closed = region.close_hardware(); !closed) {
            return closed;
        }
        for (PageIndex index = region.pages().first; index != region.pages().end(); ++index) {
            PageTableEntry& entry = region.entry(index);
            if (!entry.private_copy()) {
                entry.clear_writable();
            }
            if (protection == Access::none) {
                entry.clear_present();
            }
        }
    }
    region.protection = protection;
    return {};
}

template <class Variant>
void PageMap<Variant>::set_region_locked(RegionType& region, bool locked) {
    WriterLock lock(*this);
    region.space().set_locked(region, locked);
    if (locked) {
        spare(region.pages());
    }
}

/// Visits every mapped entry of the regions in `range`, each region under its page-table lock: `visit(region, index, entry)`.
/// Private copies are nobody's business but their region's. Map lock; `marks` as WriterLock's.
template <class Variant>
template <class Visit>
void PageMap<Variant>::for_each_entry(PageRange range, bool skip_pinned, Visit&& visit, PhaseMarks* marks) {
    for (const auto& region : regions_) {
        if (skip_pinned && region->locked) {
            continue;
        }
        // Where the region and the range overlap, wherever either begins (defect 1).
        const PageRange common = region->pages().intersection(range);
        if (common.empty()) {
            continue;
        }
        const TableGuard guard(region->space(), marks);
        for (PageIndex index = common.first; index != common.end(); ++index) {
            if (PageTableEntry& entry = region->entry(index); entry.maps_shared_page()) {
                visit(*region, index, entry);
            }
        }
    }
}

}  // namespace page_map_lab
