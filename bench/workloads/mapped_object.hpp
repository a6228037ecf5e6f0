// One object behind a page map of some variant: its memory, its frames, its regions; for workloads that move pages.
//
// Thread safety: the map's members as PageMap says; making, attaching and retiring from one thread at a time. Every
// member brings the calling thread online for itself, so that it need not hold a Thread. Invariant: an object that
// cannot be taken apart (its map is broken, or its store fails) is left behind whole: the workload's check reports it,
// and the process goes on to write the record.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/harness/environment.hpp"
#include "bench/workloads/access_probe.hpp"
#include "impl/page_map/page_map.hpp"

namespace page_map_lab::bench {

/// How large an object is, and how much of it may be resident.
struct ObjectShape {
    std::uint64_t pages = 0;
    std::uint64_t frames = 0;
    bool keep_memory = false;
    std::uint64_t shootdown_spaces = 10;  ///< how many a shootdown gathers before it flushes early

    std::uint64_t footprint_bytes() const {
        constexpr std::uint64_t bytes_per_descriptor = 64;
        return std::min(pages, frames) * page_size + frames * bytes_per_descriptor;
    }
};

template <class Variant>
class MappedObject {
public:
    using Map = PageMap<Variant>;
    using Counted = typename Map::Counted;
    using Region = typename Map::RegionType;
    using Online = typename Map::Thread::OnlineScope;

    /// Throws std::runtime_error where the system has no room. `store` outlives the process where the object is left
    /// behind.
    MappedObject(ObjectShape shape, std::shared_ptr<Store> store, Environment& environment,
                 std::function<bool()> reclaim = {})
        : environment_(environment), parts_(std::make_unique<Parts>(shape, std::move(store), environment, std::move(reclaim))) {
        const auto bytes = parts_->memory.bytes({0, shape.pages});
        environment.place(bytes.data(), bytes.size());
    }
    ~MappedObject() {
        if (!retire()) {
            static_cast<void>(parts_.release());
        }
    }
    MappedObject(const MappedObject&) = delete;
    MappedObject& operator=(const MappedObject&) = delete;

    Map& map() { return parts_->map; }
    Store& store() { return *parts_->store; }
    typename Map::Frames& frames() { return parts_->frames; }
    std::span<std::byte> bytes(PageRange pages) const { return parts_->memory.bytes(pages); }
    std::uint64_t resident_bytes() const { return parts_->memory.allocated_pages() * page_size; }

    /// Maps the object, or a part of it, until `detach`.
    Result<Region*> attach(const RegionOptions& options) { return attach(Map::Space::this_process(), options); }
    Result<Region*> attach(typename Map::Space& space, const RegionOptions& options) {
        const Online online;
        Result<Region*> region = map().add_region(space, options);
        if (region) {
            parts_->regions.push_back(*region);
        }
        return region;
    }
    /// Unmaps every region.
    Status detach() {
        const Online online;
        while (!parts_->regions.empty()) {
            if (Status removed = map().remove_region(parts_->regions.back()); !removed) {
                return removed;
            }
            parts_->regions.pop_back();
        }
        return {};
    }

    /// Brings the pages of `range` in.
    Status load(PageRange range) {
        const Online online;
        for (PageIndex index = range.first; index != range.end(); ++index) {
            const auto page = map().load(index);
            if (!page) {
                return tl::unexpected(page.error());
            }
            Map::put(*page);
        }
        return {};
    }

    /// Opens the pages of `range` in `region` as faults would, and has this processor use them.
    Status open(Region& region, PageRange range, Access access) {
        const Online online;
        for (PageIndex index = range.first; index != range.end(); ++index) {
            if (Status served = map().fault(region, index, access); !served) {
                return served;
            }
            touch(region.address_of(index));
        }
        return {};
    }

    /// Notes for the record where the object's memory is; `retire` does it, too, where there may be none left.
    void observe() const {
        const auto all = bytes({0, parts_->memory.size_pages()});
        environment_.observe(all.data(), all.size());
    }

    /// Unmaps, writes back and empties everything; what is left over afterwards is an error that says what leaked.
    Status retire() {
        const Online online;
        environment_.forget(bytes({0, 1}).data());
        environment_.observe(parts_->nodes);
        environment_.observe(parts_->descriptors);
        if (Status detached = detach(); !detached) {
            return detached;
        }
        if (Status destroyed = map().destroy(); !destroyed) {
            return destroyed;
        }
        if (frames().in_use() != 0 || frames().quarantined() != 0) {
            return fail(ErrorCode::malformed, std::to_string(frames().in_use()) + " frames are still in use and " +
                                                  std::to_string(frames().quarantined()) +
                                                  " were lost after the map was emptied");
        }
        if (!parts_->keep_memory && parts_->memory.allocated_pages() != 0) {
            return fail(ErrorCode::malformed, std::to_string(parts_->memory.allocated_pages()) +
                                                  " pages hold memory after the map was emptied");
        }
        return {};
    }

private:
    struct Parts {
        Parts(ObjectShape shape, std::shared_ptr<Store> backing, Environment& environment, std::function<bool()> reclaim)
            : store(std::move(backing)),
              nodes(environment.arena_options()),
              descriptors(environment.arena_options()),
              frames(shape.frames, descriptors),
              memory(shape.pages),
              keep_memory(shape.keep_memory),
              map({.size_pages = shape.pages,
                   .arena = &nodes,
                   .frames = &frames,
                   .store = store.get(),
                   .memory = &memory,
                   .keep_memory = shape.keep_memory,
                   .shootdown_spaces = shape.shootdown_spaces,
                   .reclaim = std::move(reclaim)}) {}

        std::shared_ptr<Store> store;
        NodeArena nodes;
        NodeArena descriptors;
        typename Map::Frames frames;
        ObjectMemory memory;
        const bool keep_memory;
        Map map;
        std::vector<Region*> regions;
    };

    Environment& environment_;
    std::unique_ptr<Parts> parts_;
};

}  // namespace page_map_lab::bench
