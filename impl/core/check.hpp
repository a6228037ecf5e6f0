// Checks that stay in release builds, and checks for debug builds only.
//
// `check` guards what would corrupt data if it were wrong; it ends the program with one line that names the place.
// `debug_check` is for measured loops: its condition is not evaluated unless PAGE_MAP_LAB_DEBUG_CHECKS is on.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace page_map_lab {

inline constexpr bool debug_checks = PAGE_MAP_LAB_DEBUG_CHECKS;

[[noreturn, gnu::cold, gnu::noinline]] inline void check_failed(const char* what, const std::source_location& where) {
    std::fprintf(stderr, "%s:%u: check failed: %s\n", where.file_name(), where.line(), what);
    std::abort();
}

/// Ends the program unless `holds`. `what` says what was expected.
inline void check(bool holds, const char* what, const std::source_location& where = std::source_location::current()) {
    if (!holds) [[unlikely]] {
        check_failed(what, where);
    }
}

/// As `check`, in debug builds only. Takes a callable, so that a release build does not evaluate the condition.
template <class Condition>
inline void debug_check(Condition&& holds, const char* what,
                        const std::source_location& where = std::source_location::current()) {
    if constexpr (debug_checks) {
        check(holds(), what, where);
    }
}

}  // namespace page_map_lab
