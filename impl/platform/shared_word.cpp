#include "impl/platform/shared_word.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace page_map_lab {

namespace {

void futex_wait(const SharedWord& word, std::uint32_t old, const timespec* at_most) noexcept {
    ::syscall(SYS_futex, &word, FUTEX_WAIT, old, at_most, nullptr, 0);
}

}  // namespace

void wait_on(const SharedWord& word, std::uint32_t old, std::chrono::nanoseconds at_most) noexcept {
    if (at_most <= std::chrono::nanoseconds::zero()) {
        return;
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at_most);
    const timespec limit{static_cast<std::time_t>(seconds.count()), static_cast<long>((at_most - seconds).count())};
    futex_wait(word, old, &limit);
}

void wait_on(const SharedWord& word, std::uint32_t old) noexcept { futex_wait(word, old, nullptr); }

void wake_all_on(SharedWord& word) noexcept { ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace page_map_lab
