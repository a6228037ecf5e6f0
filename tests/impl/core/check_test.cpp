#include "impl/core/check.hpp"

#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

TEST(CheckDeathTest, a_failed_check_ends_the_program_and_names_the_place) {
    EXPECT_DEATH(check(false, "water is wet"), "check_test.cpp:[0-9]+: check failed: water is wet");
}

TEST(Check, a_check_that_holds_does_nothing) {
    check(true, "never printed");
    debug_check([] { return true; }, "never printed");
}

TEST(CheckDeathTest, a_debug_check_is_evaluated_in_debug_builds_only) {
    if constexpr (debug_checks) {
        EXPECT_DEATH(debug_check([] { return false; }, "debug"), "check_test.cpp:[0-9]+: check failed: debug");
    } else {
        bool evaluated = false;
        debug_check(
            [&] {
                evaluated = true;
                return false;
            },
            "debug");
        EXPECT_FALSE(evaluated);
    }
}

}  // namespace
}  // namespace page_map_lab
