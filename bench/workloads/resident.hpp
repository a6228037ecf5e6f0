// Fixtures of the lookup workload: resident pages, in a map of some variant or in the floor's array.
//
// A fixture gives LookupCell: `Thread` (held by whoever looks up), `find`, `put`, `quiescent`, `expected_frame`,
// `references` and `audit`. Cells of one subject that differ in pattern or threads share one.
//
// Thread safety: `find`, `put` and `quiescent` from any thread that holds a Thread.
// Invariant: page i of the fixture is at index i * stride; the indexes in between are absent, so that a miss walks as
// far as a hit.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/harness/environment.hpp"
#include "bench/harness/sample.hpp"
#include "bench/workloads/slot_array.hpp"
#include "impl/page_map/page_map.hpp"

namespace page_map_lab::bench {

/// How many pages, and how far apart.
struct ResidentPages {
    std::uint64_t pages = 0;
    std::uint64_t stride = 1;
    std::uint64_t indexes() const { return pages * stride; }
};

/// The pages in a page map. No page has memory: a lookup does not touch it.
template <class Variant>
class ResidentMap {
public:
    using Map = PageMap<Variant>;
    using Counted = typename Map::Counted;
    using Thread = typename Map::Thread;

    static std::uint64_t footprint_bytes(ResidentPages shape) {
        constexpr std::uint64_t bytes_per_page = sizeof(typename Map::PageType) + sizeof(std::uint32_t);
        constexpr std::uint64_t bytes_per_slot = 10;
        return shape.pages * bytes_per_page + shape.indexes() * bytes_per_slot;
    }

    /// Throws std::runtime_error where the pages do not fit into memory.
    ResidentMap(ResidentPages shape, Environment& environment)
        : shape_(shape),
          environment_(environment),
          nodes_(environment.arena_options()),
          descriptors_(environment.arena_options()),
          frames_(shape.pages, descriptors_),
          map_({.size_pages = shape.indexes(), .arena = &nodes_, .frames = &frames_}) {
        const Thread registration;
        frame_of_.reserve(shape.pages);
        const std::size_t bytes_before = nodes_.allocated_bytes();
        for (std::uint64_t page = 0; page < shape.pages; ++page) {
            const FrameNumber frame = frames_.allocate();
            const auto inserted = map_.insert(page * shape.stride, frame);
            if (!inserted) {
                clear();
                throw std::runtime_error("page " + std::to_string(page) + " of " + std::to_string(shape.pages) +
                                         " cannot be inserted: " + inserted.error().text());
            }
            Map::put(*inserted);
            frame_of_.push_back(static_cast<std::uint32_t>(frame));
            note_slot(inserted->slot);
        }
        node_bytes_ = nodes_.allocated_bytes() - bytes_before;
        remember_slots();
    }
    ~ResidentMap() {
        for (const void* range : slot_ranges_) {
            environment_.forget(range);
        }
        environment_.observe(descriptors_);
        const Thread registration;
        clear();
    }
    ResidentMap(const ResidentMap&) = delete;
    ResidentMap& operator=(const ResidentMap&) = delete;

    Counted find(PageIndex index) noexcept { return map_.find(index); }
    static void put(Counted page) noexcept { Map::put(page); }
    static void quiescent() noexcept { Map::ReadPath::quiescent(); }

    /// The frame that a lookup of `index` owes; 0 where the page is absent.
    FrameNumber expected_frame(PageIndex index) const {
        return index % shape_.stride == 0 ? frame_of_[index / shape_.stride] : 0;
    }
    static std::uint64_t references(Counted page) {
        // relaxed: asked while nobody else looks up.
        return SlotWord{page.slot->load(std::memory_order_relaxed)}.refcount();
    }
    Status audit() {
        const Thread registration;
        if (const std::uint64_t count = map_.page_count(); count != shape_.pages) {
            return fail(ErrorCode::malformed, std::to_string(count) + " pages are counted, " +
                                                  std::to_string(shape_.pages) + " were inserted");
        }
        return map_.audit();
    }

    /// Bytes of the layout, page descriptors apart, over the pages.
    Metric bytes_per_page() const {
        // A layout that takes nothing from the arena, whose statistics we trust first, has memory of its own.
        const std::size_t bytes = node_bytes_ != 0 ? node_bytes_ : map_.layout_bytes();
        return {"bytes_per_page", static_cast<double>(bytes) / static_cast<double>(shape_.pages), {}};
    }

private:
    // Which pages of memory the slots are in: where the record's read-back looks.
    static const void* address(std::uintptr_t page) {
        return reinterpret_cast<const void*>(page * page_size);  // NOLINT: back to the address that it was made from
    }
    void note_slot(const void* slot) {
        const auto page = reinterpret_cast<std::uintptr_t>(slot) / page_size;
        if (slot_pages_.empty() || slot_pages_.back() != page) {
            slot_pages_.push_back(page);
        }
    }
    void remember_slots() {
        std::sort(slot_pages_.begin(), slot_pages_.end());
        slot_pages_.erase(std::unique(slot_pages_.begin(), slot_pages_.end()), slot_pages_.end());
        for (std::size_t first = 0; first < slot_pages_.size();) {
            std::size_t last = first + 1;
            while (last < slot_pages_.size() && slot_pages_[last] == slot_pages_[first] + (last - first)) {
                ++last;
            }
            slot_ranges_.push_back(address(slot_pages_[first]));
            environment_.remember(slot_ranges_.back(), (last - first) * page_size);
            first = last;
        }
        slot_pages_ = {};
    }
    void clear() {
        const Status destroyed = map_.destroy();
        check(destroyed.has_value(), "a map that nobody uses can be destroyed");
    }

    ResidentPages shape_;
    Environment& environment_;
    std::vector<std::uintptr_t> slot_pages_;  // while populating
    std::vector<const void*> slot_ranges_;
    NodeArena nodes_;
    NodeArena descriptors_;
    typename Map::Frames frames_;
    Map map_;
    std::vector<std::uint32_t> frame_of_;
    std::size_t node_bytes_ = 0;
};

/// The pages in the floor's array.
class ResidentArray {
public:
    using Counted = SlotArray::Counted;
    struct Thread {
        Thread() {}
        ~Thread() {}  // user-provided, so that one that is only held is no unused variable
    };

    static std::uint64_t footprint_bytes(ResidentPages shape) { return shape.indexes() * sizeof(std::uint64_t); }

    ResidentArray(ResidentPages shape, Environment& environment)
        : shape_(shape), environment_(environment), slots_(shape.indexes(), environment.arena_options().displacement_lines) {
        environment.place(slots_.memory(), slots_.bytes());
        for (std::uint64_t page = 0; page < shape.pages; ++page) {
            slots_.fill(page * shape.stride, page + 1);
        }
    }
    ~ResidentArray() { environment_.forget(slots_.memory()); }
    ResidentArray(const ResidentArray&) = delete;
    ResidentArray& operator=(const ResidentArray&) = delete;

    Counted find(PageIndex index) noexcept { return slots_.find(index); }
    static void put(Counted page) noexcept { SlotArray::put(page); }
    static void quiescent() noexcept {}

    FrameNumber expected_frame(PageIndex index) const {
        return index % shape_.stride == 0 ? index / shape_.stride + 1 : 0;
    }
    static std::uint64_t references(Counted page) {
        // relaxed: asked while nobody else looks up.
        return SlotWord{page.slot->load(std::memory_order_relaxed)}.refcount();
    }
    Status audit() { return {}; }
    Metric bytes_per_page() const {
        return {"bytes_per_page", static_cast<double>(slots_.bytes()) / static_cast<double>(shape_.pages), {}};
    }

private:
    ResidentPages shape_;
    Environment& environment_;
    SlotArray slots_;
};

/// The array between two plain stores to a word of the reader's own: what a read section without fences cannot do
/// without. So it is the floor of the sections that pay with membarrier: on processors where a store between two locked
/// instructions is dear, no such section is cheap.
class ResidentArrayBetweenStores : public ResidentArray {
public:
    using ResidentArray::ResidentArray;

    Counted find(PageIndex index) noexcept {
        // relaxed: nobody reads the word.
        in_section_.store(1, std::memory_order_relaxed);
        keep_order();
        const Counted page = ResidentArray::find(index);
        keep_order();
        // relaxed: as above.
        in_section_.store(0, std::memory_order_relaxed);
        return page;
    }

private:
    /// A barrier to the compiler alone, as in a section.
    static void keep_order() noexcept { asm volatile("" ::: "memory"); }

    alignas(64) static inline thread_local std::atomic<std::uint64_t> in_section_{0};
};

}  // namespace page_map_lab::bench
