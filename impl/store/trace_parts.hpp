// What the readers of the two trace formats hand over, before it is checked and summed up.
//
// Thread safety: plain values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/store/trace.hpp"

namespace page_map_lab {

struct TraceParts {
    std::vector<std::string> file_names;
    std::vector<TraceOperation> operations;
    std::uint64_t skipped_operations = 0;
};

/// Whether `bytes` start as a trace of this project does; then read_binary_trace knows what is wrong with the rest.
bool is_binary_trace(std::string_view bytes);
/// Errors: malformed, with the byte at which it shows.
Result<TraceParts> read_binary_trace(std::string_view bytes, const std::string& name);

/// Whether `bytes` start as fio's iolog does, of any version.
bool is_iolog(std::string_view bytes);
/// Errors: malformed, with the line and the byte at which it shows.
Result<TraceParts> read_iolog(std::string_view bytes, const std::string& name);

}  // namespace page_map_lab
