#include "impl/page_map/fault_handler.hpp"

#include <signal.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "impl/page_map/faults_served.hpp"

namespace page_map_lab {

namespace {

// One per machine composition that the process uses; more than a handful would be a mistake.
constexpr std::size_t domain_limit = 16;
std::array<std::atomic<FaultDomain*>, domain_limit> domains{};
struct sigaction previous_action {};
std::mutex installing;
bool installed = false;
thread_local ErrorCode last_failure_of_thread = ErrorCode::system;
thread_local std::uint64_t served_on_thread = 0;

/// What the faulting instruction wanted; nothing where it was the instruction itself that could not be fetched.
std::optional<Access> wanted_access([[maybe_unused]] const void* context) noexcept {
#if defined(__x86_64__)
    constexpr greg_t write_fault = 2;
    constexpr greg_t instruction_fetch = 16;
    const auto* machine = static_cast<const ucontext_t*>(context);
    const greg_t error = machine->uc_mcontext.gregs[REG_ERR];
    if ((error & instruction_fetch) != 0) {
        return std::nullopt;
    }
    return (error & write_fault) != 0 ? Access::write : Access::read;
#elif defined(__aarch64__)
    // The kernel appends the syndrome register to the frame; bit 6 of a data abort's syndrome is "write, not read".
    const auto* machine = static_cast<const ucontext_t*>(context);
    const auto* record = reinterpret_cast<const struct _aarch64_ctx*>(machine->uc_mcontext.__reserved);
    while (record->magic != 0) {
        if (record->magic == ESR_MAGIC) {
            const auto syndrome = reinterpret_cast<const struct esr_context*>(record)->esr;
            constexpr auto instruction_abort = 0x20;  // the exception class, bits 31 to 26, of one from user space
            if (((syndrome >> 26) & 0x3f) == instruction_abort) {
                return std::nullopt;
            }
            return (syndrome & (1u << 6)) != 0 ? Access::write : Access::read;
        }
        record = reinterpret_cast<const struct _aarch64_ctx*>(reinterpret_cast<const std::byte*>(record) + record->size);
    }
    return Access::write;
#else
#error "the access that a fault wanted is unknown on this processor: add it here"
#endif
}

/// Gives the signal to the handler that was there before, masked as it asked for.
void pass_on(int signal_number, siginfo_t* information, void* context) noexcept {
    ::pthread_sigmask(SIG_BLOCK, &previous_action.sa_mask, nullptr);
    if ((previous_action.sa_flags & SA_NODEFER) != 0) {
        sigset_t own;
        ::sigemptyset(&own);
        ::sigaddset(&own, signal_number);
        ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
    }
    if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
        previous_action.sa_sigaction(signal_number, information, context);
        return;
    }
    if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
        previous_action.sa_handler(signal_number);
        return;
    }
    const bool sent_by_somebody = information->si_code <= 0;
    if (sent_by_somebody && previous_action.sa_handler == SIG_IGN) {
        return;
    }
    // Back to the default action: the instruction runs again and the process dies of its own fault, with a true core. A
    // fault cannot be ignored, so SIG_IGN means the same. What was sent has no instruction, and is sent again.
    struct sigaction fatal {};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(SIGSEGV, &fatal, nullptr);
    if (sent_by_somebody) {
        ::raise(SIGSEGV);
    }
}

void handle(int signal_number, siginfo_t* information, void* context) noexcept {
    const int saved_errno = errno;
    // A signal that somebody sent (kill(2)) carries no address.
    if (information->si_code > 0 && information->si_code != SI_KERNEL) {
        auto* address = static_cast<std::byte*>(information->si_addr);
        // Regions are not executable, and serving such a fault as a read would serve it for ever.
        const std::optional<Access> access = wanted_access(context);
        for (const auto& entry : domains) {
            // [fault-domain] acquire: the domain was built before the release in add.
            FaultDomain* domain = entry.load(std::memory_order_acquire);
            if (domain == nullptr || !access) {
                break;
            }
            const FaultOutcome outcome = domain->serve(address, *access, last_failure_of_thread);
            if (outcome == FaultOutcome::served) {
                ++served_on_thread;
                errno = saved_errno;
                return;
            }
            if (outcome == FaultOutcome::failed) {
                break;
            }
        }
    }
    errno = saved_errno;
    pass_on(signal_number, information, context);
}

}  // namespace

void FaultHandler::add(FaultDomain& domain) {
    const std::lock_guard guard(installing);
    if (!installed) {
        struct sigaction action {};
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO;
        ::sigemptyset(&action.sa_mask);
        // A handler that asked for a stack of its own is there for threads that overflow theirs: only on that stack can
        // such a fault be passed on to it. Faults of ours are served there, too, and need room for the store's call.
        const bool asked = ::sigaction(SIGSEGV, nullptr, &previous_action) == 0;
        action.sa_flags |= previous_action.sa_flags & SA_ONSTACK;
        if (!asked || ::sigaction(SIGSEGV, &action, &previous_action) != 0) {
            throw std::runtime_error("the SIGSEGV handler that serves page faults could not be installed");
        }
        installed = true;
    }
    for (auto& entry : domains) {
        // relaxed: only writers under `installing` change it.
        if (entry.load(std::memory_order_relaxed) == nullptr) {
            // [fault-domain] release: pairs with the acquire in handle.
            entry.store(&domain, std::memory_order_release);
            return;
        }
    }
    throw std::runtime_error("too many address spaces serve faults in this process: share one per machine");
}

ErrorCode FaultHandler::last_failure() noexcept { return last_failure_of_thread; }

std::uint64_t faults_served_on_this_thread() noexcept { return served_on_thread; }

}  // namespace page_map_lab
