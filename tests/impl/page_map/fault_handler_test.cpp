// Each test runs in a process of its own: a handler, once installed, stays for the life of the process.
#include "impl/page_map/fault_handler.hpp"

#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

namespace page_map_lab {
namespace {

volatile std::byte* const nobodys_address = reinterpret_cast<std::byte*>(64);

/// Serves one page of memory that is closed at first, and writes down what it is asked.
class OnePage final : public FaultDomain {
public:
    explicit OnePage(int rights = PROT_READ | PROT_WRITE)
        : rights_(rights),
          page_(static_cast<std::byte*>(
              ::mmap(nullptr, page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}

    FaultOutcome serve(std::byte* address, Access access, ErrorCode& why) noexcept override {
        ++asked;
        if (address < page_ || address >= page_ + page_bytes) {
            return FaultOutcome::not_ours;
        }
        last_address = address;
        last_access = access;
        if (refuses) {
            why = ErrorCode::not_permitted;
            return FaultOutcome::failed;
        }
        ::mprotect(page_, page_bytes, rights_);
        errno = EBADMSG;  // the faulting thread must not see it
        return FaultOutcome::served;
    }

    volatile std::byte* at(std::size_t offset) const { return page_ + offset; }

    int asked = 0;
    bool refuses = false;
    std::byte* last_address = nullptr;
    std::optional<Access> last_access;

private:
    static constexpr std::size_t page_bytes = 4096;
    int rights_;
    std::byte* page_;
};

/// Ends the process with the number of the first expectation that does not hold, 0 where all do.
[[noreturn]] void leave_with(std::initializer_list<bool> expectations) {
    int number = 0;
    for (const bool holds : expectations) {
        ++number;
        if (!holds) {
            std::_Exit(number);
        }
    }
    std::_Exit(0);
}

void install(void (*handler)(int), int flags = 0) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    ::sigaction(SIGSEGV, &action, nullptr);
}

TEST(FaultHandler, ServesAFaultAndTellsReadsFromWrites) {
    EXPECT_EXIT(
        {
            OnePage readable(PROT_READ);
            OnePage writable;
            FaultHandler::add(readable);
            FaultHandler::add(writable);
            errno = 0;
            const std::byte read = *readable.at(17);
            *writable.at(40) = std::byte{9};
            leave_with({read == std::byte{0}, readable.last_access == Access::read, readable.last_address == readable.at(17),
                        writable.last_access == Access::write, writable.last_address == writable.at(40),
                        *writable.at(40) == std::byte{9}, errno == 0});
        },
        ::testing::ExitedWithCode(0), "");
}

TEST(FaultHandler, ARealCrashStaysACrash) {
    EXPECT_EXIT(
        {
            OnePage page;
            FaultHandler::add(page);
            *nobodys_address = std::byte{1};
            std::_Exit(0);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}

TEST(FaultHandler, AFaultThatCannotBeServedIsACrash) {
    EXPECT_EXIT(
        {
            OnePage page;
            page.refuses = true;
            FaultHandler::add(page);
            *page.at(0) = std::byte{1};
            std::_Exit(0);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}

sigjmp_buf after_fault;
void jump_back(int) { siglongjmp(after_fault, 1); }

TEST(FaultHandler, PassesWhatIsNotOursToTheHandlerThatWasThereBefore) {
    EXPECT_EXIT(
        {
            install(jump_back);
            OnePage page;
            FaultHandler::add(page);
            *page.at(0) = std::byte{1};
            if (sigsetjmp(after_fault, 1) == 0) {
                *nobodys_address = std::byte{1};
                std::_Exit(100);
            }
            leave_with({page.asked == 2, *page.at(0) == std::byte{1}});
        },
        ::testing::ExitedWithCode(0), "");
}

TEST(FaultHandler, TellsTheHandlerBeforeItWhyAFaultOfOursFailed) {
    EXPECT_EXIT(
        {
            install(jump_back);
            OnePage page;
            page.refuses = true;
            FaultHandler::add(page);
            if (sigsetjmp(after_fault, 1) == 0) {
                *page.at(0) = std::byte{1};
                std::_Exit(100);
            }
            leave_with({FaultHandler::last_failure() == ErrorCode::not_permitted});
        },
        ::testing::ExitedWithCode(0), "");
}

void jump_back_as_it_is(int) { _longjmp(after_fault, 1); }

// A handler that asked to be interruptible leaves by a jump that restores no mask; the next fault must find it again.
TEST(FaultHandler, AHandlerThatAskedNotToBeMaskedIsNot) {
    EXPECT_EXIT(
        {
            install(jump_back_as_it_is, SA_NODEFER);
            OnePage page;
            FaultHandler::add(page);
            volatile int faults = 0;
            if (_setjmp(after_fault) < 2) {
                faults = faults + 1;
                if (faults == 3) {
                    std::_Exit(0);
                }
                *nobodys_address = std::byte{1};
            }
            std::_Exit(100);
        },
        ::testing::ExitedWithCode(0), "");
}

TEST(FaultHandler, ASignalThatSomebodySentStillKills) {
    EXPECT_EXIT(
        {
            OnePage page;
            FaultHandler::add(page);
            ::kill(::getpid(), SIGSEGV);
            ::sleep(1);
            std::_Exit(page.asked == 0 ? 0 : 100);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}

TEST(FaultHandler, ASignalThatSomebodySentIsIgnoredWhereItWasIgnoredBefore) {
    EXPECT_EXIT(
        {
            install(SIG_IGN);
            OnePage page;
            FaultHandler::add(page);
            ::raise(SIGSEGV);
            *page.at(0) = std::byte{1};  // still served
            leave_with({page.asked == 1});
        },
        ::testing::ExitedWithCode(0), "");
}

void leave(int) { std::_Exit(0); }

[[gnu::noinline]] int overflow_the_stack(volatile int depth) {
    volatile char frame[4096];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : overflow_the_stack(depth + 1) + frame[0];
}

// A fault at the end of a thread's stack has no room for a handler: it reaches the one that asked for a stack of its own.
TEST(FaultHandler, AStackOverflowReachesTheHandlerThatHasAStackOfItsOwn) {
    EXPECT_EXIT(
        {
            static std::byte stack[65536];
            stack_t alternate{};
            alternate.ss_sp = stack;
            alternate.ss_size = sizeof stack;
            ::sigaltstack(&alternate, nullptr);
            install(leave, SA_ONSTACK);
            OnePage page;
            FaultHandler::add(page);
            *page.at(0) = std::byte{1};  // served there
            std::_Exit(overflow_the_stack(1) + 100);
        },
        ::testing::ExitedWithCode(0), "");
}

#if defined(__x86_64__)
// Pages are never executable: serving such a fault as a read would serve it for ever.
TEST(FaultHandler, RunningAPageIsACrash) {
    EXPECT_EXIT(
        {
            ::alarm(20);
            OnePage page;
            FaultHandler::add(page);
            reinterpret_cast<void (*)()>(reinterpret_cast<std::uintptr_t>(page.at(0)))();
            std::_Exit(0);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}
#endif

TEST(FaultHandler, RefusesMoreDomainsThanItHasPlacesFor) {
    EXPECT_EXIT(
        {
            static OnePage pages[17];
            int added = 0;
            try {
                for (OnePage& page : pages) {
                    FaultHandler::add(page);
                    ++added;
                }
            } catch (const std::runtime_error&) {
                leave_with({added == 16});
            }
            std::_Exit(100);
        },
        ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace page_map_lab
