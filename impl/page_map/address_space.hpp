// An address space: its page-table lock, the regions in it, and whose fault is whose.
//
// Invariant 7, lock order: page map, then address space. Nothing takes a page map's lock inside the page-table lock. The
// list lock is innermost: nothing is locked inside it.
//
// Thread safety: all members.
#pragma once

#include <map>
#include <utility>

#include "impl/page_map/fault_handler.hpp"
#include "impl/page_map/map_lock.hpp"
#include "impl/page_map/region.hpp"

namespace page_map_lab {

template <class Machine>
class AddressSpace final : private FaultDomain {
public:
    /// The threads of this process. Never destroyed: the fault handler asks it for the life of the process.
    static AddressSpace& this_process() {
        static AddressSpace& space = *new AddressSpace;
        return space;
    }

    /// Guards the entries of every region of this space, and makes a grant one step: the entry and its mprotect.
    MapLock<Machine>& page_table_lock() noexcept { return page_table_lock_; }

    void attach(Region<Machine>& region) {
        const Guard guard(list_lock_);
        regions_.emplace(region.base(), &region);
    }

    void detach(Region<Machine>& region) {
        const Guard guard(list_lock_);
        regions_.erase(region.base());
    }

    /// Changes whether a region is pinned; the caller holds its page map's lock.
    void set_locked(Region<Machine>& region, bool locked) noexcept {
        const Guard guard(list_lock_);
        region.locked = locked;
    }

    /// Takes all access to every region that is not pinned, for shootdowns that spare no page. Regions cannot go away
    /// meanwhile. `visit(region)` returns a Status; the first failure ends the walk and is returned.
    template <class Visit>
    Status for_each_unpinned_region(Visit&& visit) {
        const Guard guard(list_lock_);
        for (auto& [base, region] : regions_) {
            if (!region->locked) {
                if (Status done = visit(*region); !done) {
                    return done;
                }
            }
        }
        return {};
    }

private:
    using Guard = LockGuard<MapLock<Machine>>;

    AddressSpace() { FaultHandler::add(*this); }

    Region<Machine>* pin_region_at(std::byte* address) noexcept {
        const Guard guard(list_lock_);
        auto after = regions_.upper_bound(address);
        if (after == regions_.begin()) {
            return nullptr;
        }
        Region<Machine>* region = std::prev(after)->second;
        if (!region->contains(address)) {
            return nullptr;
        }
        region->pin();
        return region;
    }

    FaultOutcome serve(std::byte* address, Access access, ErrorCode& why) noexcept override {
        Region<Machine>* region = pin_region_at(address);
        if (region == nullptr) {
            return FaultOutcome::not_ours;
        }
        const Status served = region->server().serve_fault(*region, region->index_at(address), access);
        region->unpin();
        if (!served) {
            why = served.error().code;
            return FaultOutcome::failed;
        }
        return FaultOutcome::served;
    }

    MapLock<Machine> page_table_lock_;
    MapLock<Machine> list_lock_;
    std::map<const std::byte*, Region<Machine>*> regions_;
};

}  // namespace page_map_lab
