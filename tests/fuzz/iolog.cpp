// fio's iolog, of version 2 and 3: whatever the text, an error or a trace that keeps its invariants.
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/trace_expectations.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    page_map_lab::fuzz::expect_error_or_sound_trace(text);
    page_map_lab::fuzz::expect_error_or_sound_trace("fio version 2 iolog\n" + std::string(text));
    return 0;
}
