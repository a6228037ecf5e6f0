// The machine that the page map runs on: where its atomics, its waiting, its memory and its revocations come from.
//
// Every layer above takes a Machine and names no std::atomic and no system call itself, so that another machine (the
// simulated one of tests/explorer/, with cores, TLBs and a scheduler of its own) can stand in this place. The real one
// costs nothing.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "impl/core/check.hpp"
#include "impl/page_map/fault_handler.hpp"
#include "impl/platform/object_memory.hpp"

namespace page_map_lab {

/// The processor and the operating system underneath, but for the way access is revoked.
struct RealMachine {
    template <class T>
    using Atomic = std::atomic<T>;

    /// The bytes of an object and the mappings of it.
    using Memory = ObjectMemory;

    /// The calling thread's own T, value-initialised; one for each Owner.
    template <class Owner, class T>
    static T& thread_local_of() noexcept {
        static thread_local T value{};
        return value;
    }

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

    /// Asks `domain` about faults from now on.
    static void serve_faults_with(FaultDomain& domain) { FaultHandler::add(domain); }

    /// Ends that. The fault handler asks its domains for the life of the process.
    static void serve_no_faults_with(FaultDomain&) {
        check(false, "this process's address space lives as long as the process");
    }

    /// Whether the hardware lets anybody read at `address` of `process`. The kernel's own access obeys the same rights as a
    /// user's: EFAULT proves the page closed.
    static bool readable(pid_t process, std::byte* address) noexcept {
        char byte = 0;
        iovec local{&byte, 1};
        iovec remote{address, 1};
        return ::process_vm_readv(process, &local, 1, &remote, 1, 0) != -1;
    }

    /// The life of memory that is shared without a lock begins and ends: what a machine that watches every access wants
    /// to know.
    static void begin_life(void*, std::size_t) noexcept {}
    static void end_life(void*, std::size_t) noexcept {}
};

/// The real machine with one mechanism of changing a mapping's rights:
/// `static Status set_access(std::byte* base, std::size_t bytes, Access access)`, whose taking of rights has reached
/// every core when it returns.
template <class Mechanism>
struct MachineWith : RealMachine, Mechanism {};

}  // namespace page_map_lab
