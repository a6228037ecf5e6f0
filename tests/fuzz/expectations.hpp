// What every fuzz target expects of what it calls.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "impl/core/error.hpp"

namespace page_map_lab::fuzz {

/// Ends the program, which libFuzzer reports with the input, unless `holds`.
inline void expect(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "finding: %s\n", what);
        std::abort();
    }
}

/// A refusal says what is wrong.
inline void expect_message(const Error& error) {
    expect(!error.message.empty(), "an error without a message");
    expect(error.message.size() < 20000, "an error longer than anyone reads");
}

}  // namespace page_map_lab::fuzz
