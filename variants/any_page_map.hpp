// A page map of any variant behind one interface, for what does not measure: tests, checks and tools.
//
// Instantiated once per variant beside the variant itself, so that a test is compiled once for all of them. Its virtual
// calls keep it out of measured loops.
//
// Thread safety: as PageMap's.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "impl/page_map/frame_table.hpp"
#include "impl/page_map/machine.hpp"
#include "impl/page_map/page_map.hpp"

namespace page_map_lab {

/// A counted page, whatever the variant.
struct [[nodiscard]] AnyCounted {
    void* slot = nullptr;
    FrameNumber frame = 0;
    explicit operator bool() const noexcept { return frame != 0; }
    bool saturated() const noexcept { return slot != nullptr && frame == 0; }
};

/// A region, whatever the variant.
class AnyRegion;

/// The address space of a worker, whatever the variant.
class AnySpace;

class AnyPageMap {
public:
    struct Options {
        std::uint64_t size_pages = 0;
        std::uint64_t frame_count = 0;     ///< the map gets a frame table of its own
        Store* store = nullptr;
        bool with_memory = true;
        bool keep_memory = false;
        std::size_t arena_budget_bytes = std::numeric_limits<std::size_t>::max();
        std::size_t shootdown_spaces = default_shootdown_spaces;
        std::function<bool()> reclaim{};
    };

    virtual ~AnyPageMap() = default;

    /// Registers the calling thread with the read path for as long as the object lives.
    virtual std::shared_ptr<void> register_thread() = 0;
    virtual void quiescent() = 0;
    /// Brings the calling thread online for as long as the object lives, as a fault handler does: a store's calls come
    /// from a thread that is offline.
    virtual std::shared_ptr<void> online_scope() = 0;
    /// Takes the calling thread offline for as long as the object lives: around what blocks.
    virtual std::shared_ptr<void> offline_scope() = 0;

    virtual AnyCounted find(PageIndex index) = 0;
    virtual void put(AnyCounted page) = 0;
    virtual Result<AnyCounted> load_nowait(PageIndex index) = 0;
    virtual Result<AnyCounted> load(PageIndex index) = 0;
    /// Takes a frame and inserts it; the frame goes back where the insert fails.
    virtual Result<AnyCounted> insert(PageIndex index) = 0;
    virtual void mark_dirty(AnyCounted page) = 0;
    virtual void attach_buffer(AnyCounted page, std::unique_ptr<PageBuffer> buffer) = 0;
    virtual std::uint32_t flags(AnyCounted page) = 0;
    virtual std::span<std::byte> bytes(AnyCounted page) = 0;
    virtual std::uint64_t slot_bits(AnyCounted page) = 0;

    virtual Result<AnyRegion*> add_region(const RegionOptions& options) = 0;
    /// The space of a worker, which outlives it; its faults are served as long as the object lives.
    virtual std::shared_ptr<AnySpace> space_of(Worker& worker) = 0;
    virtual Result<AnyRegion*> add_region_in(AnySpace& space, const RegionOptions& options) = 0;
    virtual Status remove_regions(AnySpace& space) = 0;
    virtual Status remove_region(AnyRegion* region) = 0;
    virtual Status protect_region(AnyRegion* region, Access protection) = 0;
    virtual void set_region_locked(AnyRegion* region, bool locked) = 0;
    virtual Status fault(AnyRegion* region, PageIndex index, Access wanted) = 0;
    virtual std::byte* address_of(AnyRegion* region, PageIndex index) = 0;

    virtual Result<RemovalOutcome> remove_contig(PageRange range, PhaseObserver* observer = nullptr) = 0;
    virtual Result<RemovalOutcome> remove_or_zero(PageRange range) = 0;
    virtual Result<RemovalOutcome> free_unused() = 0;
    virtual Result<RemovalOutcome> writeback(PageRange range) = 0;
    virtual Status destroy() = 0;

    virtual PageMapInfo info() = 0;
    virtual Status audit() = 0;
    virtual std::uint64_t page_count() = 0;
    virtual std::uint64_t frames_in_use() = 0;
    virtual std::uint64_t frames_quarantined() = 0;
    virtual std::uint64_t memory_pages() = 0;       ///< pages of the object that hold memory; throws as ObjectMemory does
    virtual std::size_t node_bytes() = 0;           ///< live bytes in the node arena
};

/// One variant of the catalog.
struct VariantEntry {
    std::string name;  ///< all axes
    std::string layout;
    std::string read;
    std::string shootdown;
    std::function<std::unique_ptr<AnyPageMap>(const AnyPageMap::Options&)> make;
};

/// How GoogleTest prints an entry.
inline void PrintTo(const VariantEntry& entry, std::ostream* stream) { *stream << entry.name; }

/// Every variant of the catalog, in the catalog's order.
const std::vector<VariantEntry>& all_variants();

}  // namespace page_map_lab
