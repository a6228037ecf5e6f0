// Construction, and looking at a map: info, and the audit of what must hold at rest.
#pragma once

#include <sstream>
#include <stdexcept>

#include "impl/page_map/page_map_locking.hpp"

namespace page_map_lab {

template <class Variant>
PageMap<Variant>::PageMap(Options options)
    : layout_(options.arena != nullptr ? *options.arena
                                       : throw std::runtime_error("a page map needs an arena for its nodes"),
              options.size_pages),
      options_(std::move(options)),
      frames_(options_.frames),
      memory_(options_.memory) {
    if (frames_ == nullptr) {
        throw std::runtime_error("a page map needs a frame table");
    }
    if (options_.size_pages == 0) {
        throw std::runtime_error("an object of 0 pages has no page map: give it at least one page");
    }
    if (memory_ != nullptr && memory_->size_pages() < options_.size_pages) {
        throw std::runtime_error("the object's memory is smaller than the object: give it " +
                                 std::to_string(options_.size_pages) + " pages");
    }
    if (options_.keep_memory && frames_->frame_count() < options_.size_pages) {
        throw std::runtime_error("frames:keep is for objects that fit their frames: give it " +
                                 std::to_string(options_.size_pages) + " frames, or frames:return");
    }
}

template <class Variant>
PageMap<Variant>::~PageMap() {
    check(page_count_ == 0 && regions_.empty(), "a page map is destroyed before it goes away");
    layout_.take_retired().free_all();  // nobody reads a map that goes away
}

template <class Variant>
PageMapInfo PageMap<Variant>::info() {
    WriterLock lock(*this);
    PageMapInfo info{page_count_, {}};
    for (const auto& region : regions_) {
        const TableGuard guard(region->space());
        info.regions.push_back({&region->space(), region->base(), region->pages(), region->protection, region->sharing(),
                                region->locked});
    }
    return info;
}

template <class Variant>
std::uint64_t PageMap<Variant>::page_count() {
    WriterLock lock(*this);
    return page_count_;
}

template <class Variant>
Status PageMap<Variant>::audit() {
    WriterLock lock(*this);
    std::ostringstream wrong;
    std::uint64_t pages = 0;
    layout_.for_each({0, options_.size_pages}, [&](PageIndex index, Slot<Machine>& slot) {
        // relaxed: pages enter and leave slots under the map's lock, which is held.
        const SlotWord word{slot.load(std::memory_order_relaxed)};
        if (word.frame() > frames_->frame_count()) {
            wrong << "slot " << index << " names frame " << word.frame() << " of " << frames_->frame_count() << "; ";
            return true;
        }
        if (word.has_page()) {
            ++pages;
            const PageType& page = (*frames_)[word.frame()];
            if (page.index != index || page.slot != &slot || page.owner != this) {
                wrong << "the descriptor of page " << index << " is another page's; ";
            }
            if (page.on_worklist || word.removal()) {
                wrong << "page " << index << " is marked and nobody removes it; ";
            }
        }
        return true;
    });
    if (pages != page_count_) {
        wrong << pages << " pages are in slots and " << page_count_ << " are counted; ";
    }
    for (const auto& region : regions_) {
        const TableGuard guard(region->space());
        for (PageIndex index = region->pages().first; index != region->pages().end(); ++index) {
            const PageTableEntry& entry = region->entry(index);
            if (entry.maps_shared_page()) {
                Slot<Machine>* slot = layout_.find_slot(index);
                // relaxed: as above
                if (slot == nullptr || SlotWord{slot->load(std::memory_order_relaxed)}.frame() != entry.frame()) {
                    wrong << "an entry of page " << index << " names a frame that the map does not hold; ";
                }
            }
            if (!entry.present()) {
                // Invariant 4.
                if (Machine::readable(region->space().process(), region->address_of(index))) {
                    wrong << "page " << index << " can be read through a region whose entry is not present; ";
                }
            }
        }
    }
    const std::string found = wrong.str();
    if (!found.empty()) {
        return fail(ErrorCode::malformed, "the page map's invariants do not hold: " + found);
    }
    return {};
}

}  // namespace page_map_lab
