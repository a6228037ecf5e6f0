// What a shootdown owes: an object that gathers revocations and then makes them true in every TLB at once.
//
// `add(region, pages)` gathers; `flush()` revokes and returns an error that may not be ignored. Destroying one that still
// holds revocations ends the program: that is the bug it exists to prevent. The regions stay alive and their addresses
// reserved in between, because the page map's lock is held.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>

#include "impl/core/check.hpp"
#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/address_space.hpp"

namespace page_map_lab {

/// What a shootdown cost, and what it expects of the hardware.
struct ShootdownCost {
    std::uint64_t pages = 0;         ///< pages that were to be revoked
    std::uint64_t ranges = 0;        ///< runs of adjacent pages they made
    std::uint64_t system_calls = 0;  ///< each is one flush: one interrupt to every other core that runs the space
    std::uint64_t fallbacks = 0;     ///< times a whole region was closed because the system had no room to split it

    ShootdownCost& operator+=(const ShootdownCost& other) noexcept {
        pages += other.pages;
        ranges += other.ranges;
        system_calls += other.system_calls;
        fallbacks += other.fallbacks;
        return *this;
    }
};

/// A shootdown on a machine. Constructed with the access that is left: none for a removal, read for write-back.
template <class S>
concept Shootdown = std::constructible_from<S, Access> &&
                    requires(S& shootdown, Region<typename S::Machine>& region, PageRange pages) {
                        shootdown.add(region, pages);
                        { shootdown.flush() } -> std::same_as<Status>;
                        { shootdown.cost() } -> std::convertible_to<ShootdownCost>;
                    };

/// A shootdown that goes by runs of adjacent pages: a fixed list, so that gathering under a lock allocates nothing; a full
/// list flushes early. The first failure is kept for `flush`.
///
/// `Revoke` is the policy: `Revoke{left}` is called as `revoke(region, pages, cost)` for each run and returns a Status.
template <class MachineType, class Revoke>
class RangeShootdown {
public:
    using Machine = MachineType;

    explicit RangeShootdown(Access left) noexcept : revoke_{left} {}
    ~RangeShootdown() { check(length_ == 0, "a shootdown was dropped before it was flushed"); }
    RangeShootdown(const RangeShootdown&) = delete;
    RangeShootdown& operator=(const RangeShootdown&) = delete;

    void add(Region<MachineType>& region, PageRange pages) {
        cost_.pages += pages.count;
        if (length_ != 0) {
            Run& last = runs_[length_ - 1];
            if (last.region == &region && last.pages.end() == pages.first) {
                last.pages.count += pages.count;
                return;
            }
        }
        if (length_ == runs_.size()) {
            revoke_all();
        }
        runs_[length_++] = Run{&region, pages};
        ++cost_.ranges;
    }

    [[nodiscard]] Status flush() {
        revoke_all();
        return std::exchange(outcome_, Status{});
    }

    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    struct Run {
        Region<MachineType>* region;
        PageRange pages;
    };

    void revoke_all() {
        for (std::size_t position = 0; position < length_; ++position) {
            Status revoked = revoke_(*runs_[position].region, runs_[position].pages, cost_);
            if (!revoked && outcome_) {
                outcome_ = std::move(revoked);
            }
        }
        length_ = 0;
    }

    Revoke revoke_;
    std::array<Run, 64> runs_{};
    std::size_t length_ = 0;
    Status outcome_{};
    ShootdownCost cost_{};
};

/// Revokes one run with one call. A call that fails leaves the hardware unknown, so the whole region is closed instead;
/// what was not to be revoked stays present in its entries and faults back.
template <class Machine>
Status revoke_range(Region<Machine>& region, PageRange pages, Access left, ShootdownCost& cost) {
    ++cost.system_calls;
    if (Machine::set_access(region.address_of(pages.first), pages.count * page_size, left)) {
        return {};
    }
    ++cost.fallbacks;
    ++cost.system_calls;
    return region.close_hardware();
}

}  // namespace page_map_lab
