// An address space: its page-table lock, the regions in it, whose fault is whose, and how its hardware is changed.
//
// The threads of this process are one; each worker process is another, whose page tables its agent changes on request.
// Which of the two a space is decides a branch before a system call, and nothing in a loop.
//
// Invariant 7, lock order: page map, then address space. Nothing takes a page map's lock inside the page-table lock. The
// list lock is innermost: no lock of this layer is taken inside it. A shootdown of the whole space closes regions under it,
// and so may wait there for an agent, within the agent's bound: an agent takes no lock of its owner's.
//
// Thread safety: all members.
#pragma once

#include <unistd.h>

#include <map>
#include <utility>

#include "impl/page_map/fault_handler.hpp"
#include "impl/page_map/map_lock.hpp"
#include "impl/page_map/region.hpp"
#include "impl/page_map/worker.hpp"

namespace page_map_lab {

template <class Machine>
class AddressSpace final : private FaultDomain {
public:
    using Memory = typename Machine::Memory;

    /// A space whose faults are served from now on: on the real machine for the life of the process.
    AddressSpace() { Machine::serve_faults_with(*this); }

    /// The threads of this process. Never destroyed: the fault handler asks it for the life of the process.
    static AddressSpace& this_process() {
        static AddressSpace& space = *new AddressSpace;
        return space;
    }

    /// The address space of a worker process, whose faults are served here from now on. `worker` outlives it. Throws
    /// std::runtime_error where the system has no room.
    explicit AddressSpace(Worker& worker) : worker_(&worker) { worker.begin_service(*this); }

    /// Its regions were removed. On the real machine only a worker's goes away.
    ~AddressSpace() {
        if (worker_ != nullptr) {
            worker_->end_service();
        } else {
            Machine::serve_no_faults_with(*this);
        }
        check(regions_.empty(), "an address space goes away after its regions");
    }
    AddressSpace(const AddressSpace&) = delete;
    AddressSpace& operator=(const AddressSpace&) = delete;

    /// The worker whose space it is; nullptr for this process's own.
    Worker* worker() const noexcept { return worker_; }
    pid_t process() const noexcept { return worker_ == nullptr ? ::getpid() : worker_->process(); }

    /// A worker's space whose access cannot be taken, because the worker was killed and does not end. What is present
    /// there stays as it is.
    bool lost() const noexcept { return worker_ != nullptr && worker_->agent().lost(); }

    /// Gives [base, base + bytes) rights in this space. A worker that has ended has no rights left, and says yes to
    /// everything, here and in `revoke`. Errors: the machine's; unavailable where the space is lost.
    Status grant(std::byte* base, std::size_t bytes, Access access) noexcept {
        return worker_ == nullptr ? Machine::set_access(base, bytes, access) : worker_->agent().grant(base, bytes, access);
    }

    /// Takes the rights but for those that are `left`; they are gone on every core when it returns. Errors: as grant.
    Status revoke(std::byte* base, std::size_t bytes, Access left) noexcept {
        return worker_ == nullptr ? Machine::set_access(base, bytes, left) : worker_->agent().revoke(base, bytes, left);
    }

    /// Maps pages of an object, with no access. Errors: no_memory, system; unavailable where the worker has ended.
    Result<std::byte*> map(Memory& memory, PageRange pages, Sharing sharing) noexcept {
        if (worker_ == nullptr) {
            return memory.map(pages, sharing);
        }
        return worker_->agent().map(memory.file(), pages.first * page_size, pages.count * page_size, sharing,
                                    /*open=*/false);
    }

    /// Gives the addresses of `count` pages back. Errors: system.
    Status unmap(std::byte* base, std::uint64_t count) noexcept {
        return worker_ == nullptr ? Memory::unmap(base, count) : worker_->agent().unmap(base, count * page_size);
    }

    /// Makes the kernel copy a page of a copy-on-write mapping now. Errors: as ObjectMemory::copy_now.
    Status copy_now(std::byte* page) noexcept {
        return worker_ == nullptr ? Memory::copy_now(page) : worker_->agent().copy_now(page);
    }

    /// Unmaps every region of this space from its page map: what a worker wrote stays there, what it held is free. For
    /// workers that have ended, or that no longer need them. Errors, with that region and those not looked at still
    /// there: as PageMap::remove_region.
    Status remove_regions() {
        for (;;) {
            Region<Machine>* region = nullptr;
            {
                const Guard guard(list_lock_);
                if (!regions_.empty()) {
                    region = regions_.begin()->second;
                }
            }
            if (region == nullptr) {
                return {};
            }
            if (Status removed = region->server().unmap_region(*region); !removed) {
                return removed;
            }
        }
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

    Worker* const worker_ = nullptr;
    MapLock<Machine> page_table_lock_;
    MapLock<Machine> list_lock_;
    std::map<const std::byte*, Region<Machine>*> regions_;
};

}  // namespace page_map_lab
