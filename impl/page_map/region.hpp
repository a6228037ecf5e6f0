// A region: a run of an object's pages mapped into one address space, and its page-table entries.
//
// Thread safety: the entries, `protection` and `dead` under the address space's page-table lock; `locked` is written under
// both the page map's lock and the address space's list lock, so that either suffices to read it; `pins` by anyone;
// the rest is constant.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "impl/core/check.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/page_table.hpp"
#include "impl/platform/object_memory.hpp"

namespace page_map_lab {

template <class Machine>
class AddressSpace;
template <class Machine>
class Region;

/// How a region is made.
struct RegionOptions {
    PageRange pages;                       ///< the object's pages, in ascending order from the region's base
    Access protection = Access::write;     ///< what the region's user may do
    Sharing sharing = Sharing::shared;     ///< copy_on_write: a writer owns its copy from the first write on
    bool locked = false;                   ///< pinned: no removal touches any page of its range
};

/// The page map behind a region, as its faults see it.
template <class Machine>
class FaultServer {
public:
    /// Makes `index` accessible in `region`, which the caller has pinned. Errors: docs/semantics.md, Faults.
    virtual Status serve_fault(Region<Machine>& region, PageIndex index, Access wanted) noexcept = 0;

    /// Removes the region from the page map, as its user would. Errors: unavailable where there is no page map.
    virtual Status unmap_region(Region<Machine>&) { return fail(ErrorCode::unavailable); }

protected:
    ~FaultServer() = default;
};

template <class Machine>
class Region {
public:
    Region(AddressSpace<Machine>& space, FaultServer<Machine>& server, const RegionOptions& options, std::byte* base)
        : space_(space),
          server_(server),
          pages_(options.pages),
          sharing_(options.sharing),
          base_(base),
          protection(options.protection),
          locked(options.locked),
          entries_(options.pages.count) {}
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;

    AddressSpace<Machine>& space() const noexcept { return space_; }
    FaultServer<Machine>& server() const noexcept { return server_; }
    PageRange pages() const noexcept { return pages_; }
    Sharing sharing() const noexcept { return sharing_; }
    std::byte* base() const noexcept { return base_; }
    std::size_t size_bytes() const noexcept { return pages_.count * page_size; }

    std::byte* address_of(PageIndex index) const noexcept { return base_ + (index - pages_.first) * page_size; }
    bool contains(const std::byte* address) const noexcept { return address >= base_ && address < base_ + size_bytes(); }
    PageIndex index_at(const std::byte* address) const noexcept {
        return pages_.first + static_cast<std::size_t>(address - base_) / page_size;
    }

    /// Page-table lock.
    PageTableEntry& entry(PageIndex index) noexcept {
        debug_check([&] { return pages_.contains(index); }, "an entry is asked of the region that holds its page");
        return entries_[index - pages_.first];
    }

    /// Closes the region's hardware at once; entries that stay present fault back. Merges what earlier calls had split,
    /// so it succeeds where the system has no room for another mapping.
    Status close_hardware() noexcept { return space_.revoke(base_, size_bytes(), Access::none); }

    /// Keeps the region's addresses reserved until the matching unpin.
    void pin() noexcept {
        // relaxed: taken under the list lock, which remove_region takes before it waits for the pins.
        pins_.fetch_add(1, std::memory_order_relaxed);
    }
    void unpin() noexcept {
        // [region-pin] release: what was done under the pin precedes the acquire in pinned.
        pins_.fetch_sub(1, std::memory_order_release);
    }
    bool pinned() const noexcept {
        // [region-pin] acquire: pairs with the release in unpin.
        return pins_.load(std::memory_order_acquire) != 0;
    }

private:
    AddressSpace<Machine>& space_;
    FaultServer<Machine>& server_;
    const PageRange pages_;
    const Sharing sharing_;
    std::byte* const base_;

public:
    Access protection;
    bool locked;
    bool dead = false;

private:
    std::vector<PageTableEntry> entries_;
    typename Machine::template Atomic<std::uint32_t> pins_{0};
};

}  // namespace page_map_lab
