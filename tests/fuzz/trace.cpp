// Traces in the project's own format: whatever the bytes, an error or a trace that keeps its invariants.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/trace_expectations.hpp"

namespace {

// As trace_binary.cpp computes it, bit by bit: a mutated trace is given its checksum, or no mutation gets past it.
std::uint32_t checksum_of(std::string_view bytes) {
    std::uint32_t value = 0xffffffff;
    for (const char byte : bytes) {
        value ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320U : 0U);
        }
    }
    return ~value;
}

std::string with_checksum(std::string_view bytes) {
    constexpr std::size_t checksum_size = 4;
    std::string whole(bytes.substr(0, bytes.size() - checksum_size));
    const std::uint32_t checksum = checksum_of(whole);
    for (unsigned byte = 0; byte < checksum_size; ++byte) {
        whole.push_back(static_cast<char>(checksum >> (8 * byte) & 0xff));
    }
    return whole;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    page_map_lab::fuzz::expect_error_or_sound_trace(bytes);
    if (size >= 4) {
        page_map_lab::fuzz::expect_error_or_sound_trace(with_checksum(bytes));
    }
    return 0;
}
