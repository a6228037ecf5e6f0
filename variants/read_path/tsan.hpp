// What ThreadSanitizer has to be told, because the library that provides the grace periods is not instrumented.
//
// Only the edge that a grace period really gives is announced: what a reader did in a section that is closed comes
// before whatever follows the grace period. Nothing is suppressed, and a node that is freed without a grace period has
// no such edge, so that the reader's access and the free are still reported as a race
// (tests/variants/early_free_test.cpp).
//
// Thread safety: all functions. Cost: nothing without ThreadSanitizer.
#pragma once

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define PAGE_MAP_LAB_THREAD_SANITIZER 1
#else
#define PAGE_MAP_LAB_THREAD_SANITIZER 0
#endif

namespace page_map_lab {

inline constexpr bool thread_sanitizer = PAGE_MAP_LAB_THREAD_SANITIZER != 0;

/// This thread's sections so far come before the end of every grace period of `grace_periods` that ends from now on.
inline void announce_sections_closed([[maybe_unused]] void* grace_periods) noexcept {
#if PAGE_MAP_LAB_THREAD_SANITIZER
    __tsan_release(grace_periods);
#endif
}

/// A grace period of `grace_periods` has ended: what was announced before comes before what this thread does next.
inline void announce_grace_period([[maybe_unused]] void* grace_periods) noexcept {
#if PAGE_MAP_LAB_THREAD_SANITIZER
    __tsan_acquire(grace_periods);
#endif
}

}  // namespace page_map_lab
