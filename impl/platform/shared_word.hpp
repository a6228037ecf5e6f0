// A word that processes share, and waiting on it.
//
// std::atomic::wait works within one process only; these use the futex that the kernel finds by the memory behind an
// address. A waiter may return early, so every use is a loop that looks at the word itself.
//
// Thread safety: all functions, from any process that maps the word. Source: futex(2).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace page_map_lab {

using SharedWord = std::atomic<std::uint32_t>;
static_assert(SharedWord::is_always_lock_free, "a lock inside an atomic would not be shared");

/// Blocks while `word` holds `old`, for `at_most`; may return early. Orders nothing: the caller's next load does.
void wait_on(const SharedWord& word, std::uint32_t old, std::chrono::nanoseconds at_most) noexcept;

/// Blocks while `word` holds `old`; may return early. Orders nothing.
void wait_on(const SharedWord& word, std::uint32_t old) noexcept;

/// Wakes everybody who waits on `word`, in every process. Cost: one system call.
void wake_all_on(SharedWord& word) noexcept;

}  // namespace page_map_lab
