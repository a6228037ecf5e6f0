// The machine that the page map runs on: where its atomics, its waiting and its revocations come from.
//
// Every layer above takes a Machine and names no std::atomic and no system call itself, so that another machine (a
// simulated one with cores, TLBs and a scheduler of its own) can stand in this place. The real one costs nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace page_map_lab {

/// The processor and the operating system underneath, but for the way access is revoked.
struct RealMachine {
    template <class T>
    using Atomic = std::atomic<T>;

    /// Tells the core that this is a spin loop.
    static void relax() noexcept {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

    /// Lets another thread run: what we spin for may be descheduled.
    static void yield() noexcept { std::this_thread::yield(); }

    /// Blocks while `word` holds `old`; may return early. The caller's next load orders. Pairs with wake_all.
    static void wait(const Atomic<std::uint32_t>& word, std::uint32_t old) noexcept {
        word.wait(old, std::memory_order_acquire);  // [page-lock] acquire: with the release in unlock_page
    }

    static void wake_all(Atomic<std::uint32_t>& word) noexcept { word.notify_all(); }
};

/// The real machine with one mechanism of changing a mapping's rights:
/// `static Status set_access(std::byte* base, std::size_t bytes, Access access)`, whose taking of rights has reached
/// every core when it returns.
template <class Mechanism>
struct MachineWith : RealMachine, Mechanism {};

}  // namespace page_map_lab
