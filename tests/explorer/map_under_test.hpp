// A page map on the simulated machine behind one interface, so that scenarios are compiled once for all variants.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "impl/page_map/page_map.hpp"
#include "tests/explorer/simulated_memory.hpp"

namespace page_map_lab::explorer {

/// A reference to a page, owed to `put`.
struct [[nodiscard]] Held {
    void* slot = nullptr;
    FrameNumber frame = 0;
    explicit operator bool() const noexcept { return frame != 0; }
};

/// A region of the map under test.
struct MappedRegion {
    void* region = nullptr;
    std::byte* base = nullptr;
    PageRange pages;
    std::byte* address_of(PageIndex index) const noexcept { return base + (index - pages.first) * page_size; }
};

class MapUnderTest {
public:
    virtual ~MapUnderTest() = default;

    /// Calls `body` as a thread that is registered with the read path.
    virtual void as_thread(const std::function<void()>& body) = 0;
    /// Says that this thread holds nothing, as its loop would now and then.
    virtual void quiescent() = 0;

    virtual Held find(PageIndex index) = 0;
    virtual void put(Held page) = 0;
    /// Whether the page's bytes are the object's.
    virtual bool is_current(Held page) = 0;
    virtual Result<Held> load(PageIndex index) = 0;
    virtual Result<Held> insert(PageIndex index) = 0;
    virtual void mark_dirty(Held page) = 0;

    /// `space` is 0 or 1; where the variant takes regions of one space only, both are the same.
    virtual Result<MappedRegion> add_region(unsigned space, const RegionOptions& options) = 0;
    virtual Status remove_region(const MappedRegion& region) = 0;
    virtual Status protect(const MappedRegion& region, Access protection) = 0;
    virtual void set_locked(const MappedRegion& region, bool locked) = 0;

    virtual Result<RemovalOutcome> remove(PageRange range) = 0;
    virtual Result<RemovalOutcome> remove_or_zero(PageRange range) = 0;
    virtual Result<RemovalOutcome> free_unused() = 0;
    virtual Result<RemovalOutcome> writeback(PageRange range) = 0;
    virtual Status destroy() = 0;

    virtual Status audit() = 0;
    virtual std::uint64_t page_count() = 0;
    virtual std::uint64_t frames_in_use() = 0;
    virtual std::uint64_t frames_quarantined() = 0;
};

/// How often something was added to a shootdown, in all runs of this process.
inline std::uint64_t revocations_gathered = 0;

/// What a map is made of besides its policies.
struct MapParts {
    SimulatedMemory* memory;
    SimulatedStore* store;
    std::uint64_t frame_count;
};

/// One variant of the catalog on the simulated machine.
struct VariantUnderTest {
    std::string name;
    std::string name_without_shootdown;
    std::function<std::unique_ptr<MapUnderTest>(const MapParts&)> make;
};

}  // namespace page_map_lab::explorer
