// The page map's lock: a test-and-test-and-set spinlock that gives way after a while, since its holder may be in a
// system call.
//
// Thread safety: all members. Progress: blocking. Cost, uncontended: one locked exchange and one store.
#pragma once

#include <atomic>
#include <cstdint>

namespace page_map_lab {

template <class Machine>
class MapLock {
public:
    MapLock() noexcept = default;
    MapLock(const MapLock&) = delete;
    MapLock& operator=(const MapLock&) = delete;

    bool try_lock() noexcept {
        // relaxed: only a hint whether the exchange can succeed; the exchange orders.
        return held_.load(std::memory_order_relaxed) == 0 &&
               // [map-lock] acquire: sees what the last holder wrote before its release in unlock.
               held_.exchange(1, std::memory_order_acquire) == 0;
    }

    void lock() noexcept {
        for (unsigned spins = 0; !try_lock(); ++spins) {
            if (spins < spins_before_yield) {
                Machine::relax();
            } else {
                Machine::yield();
            }
        }
    }

    void unlock() noexcept {
        // [map-lock] release: what was written under the lock is seen by the acquire in try_lock.
        held_.store(0, std::memory_order_release);
    }

private:
    static constexpr unsigned spins_before_yield = 128;
    typename Machine::template Atomic<std::uint32_t> held_{0};
};

/// Holds a lock for a scope.
template <class Lock>
class LockGuard {
public:
    explicit LockGuard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
    ~LockGuard() { lock_.unlock(); }
    LockGuard(const LockGuard&) = delete;
    LockGuard& operator=(const LockGuard&) = delete;

private:
    Lock& lock_;
};

}  // namespace page_map_lab
