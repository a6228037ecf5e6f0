// The reference's read path: a walk holds the map's lock.
//
// Thread safety: all members. Progress: a section blocks while another thread holds the lock.
// Cost: the lock, taken and given back. Source: the reference's pm_find_page.
#pragma once

#include <atomic>
#include <string_view>

#include "impl/page_map/map_lock.hpp"
#include "variants/read_path/without_grace_periods.hpp"

namespace page_map_lab {

/// There is nothing to wait for: nodes are unlinked under the lock, and no section holds one without it.
template <class MachineType>
struct LockedReads : WithoutGracePeriods {
    using Machine = MachineType;
    static constexpr bool lock_free_readers = false;

    /// Every access is under the map's lock.
    template <class T>
    class Link {
    public:
        constexpr Link() noexcept = default;
        // relaxed, all three: the map's lock orders them.
        T walk() const noexcept { return value_.load(std::memory_order_relaxed); }
        T peek() const noexcept { return value_.load(std::memory_order_relaxed); }
        void publish(T value) noexcept { value_.store(value, std::memory_order_relaxed); }

    private:
        typename Machine::template Atomic<T> value_{};
    };

    class [[nodiscard]] Section {
    public:
        explicit Section(MapLock<Machine>& lock) noexcept : lock_(lock) { lock_.lock(); }
        ~Section() { lock_.unlock(); }
        Section(const Section&) = delete;
        Section& operator=(const Section&) = delete;

    private:
        MapLock<Machine>& lock_;
    };
};

struct Spinlock {
    static constexpr std::string_view name = "spinlock";
    template <class Machine>
    using On = LockedReads<Machine>;
};

}  // namespace page_map_lab
