// Writes traces byte by byte, right or wrong ones, by the description in docs/trace-format.md alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace page_map_lab {

class TraceBuilder {
public:
    TraceBuilder& text(std::string_view characters) {
        bytes_ += characters;
        return *this;
    }

    TraceBuilder& number(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) {
            bytes_ += static_cast<char>(0x80 | (value & 0x7f));
        }
        bytes_ += static_cast<char>(value);
        return *this;
    }

    TraceBuilder& name(std::string_view characters) { return number(characters.size()).text(characters); }

    /// The magic, version 1, and one file "a".
    static TraceBuilder with_one_file() { return TraceBuilder().text("PMLTRACE").number(1).number(1).name("a"); }

    /// The bytes without a checksum.
    const std::string& raw() const { return bytes_; }

    /// The bytes with the CRC-32 of IEEE 802.3 behind them, computed bit by bit.
    std::string finished() const {
        std::uint32_t value = 0xffffffff;
        for (const char byte : bytes_) {
            value ^= static_cast<unsigned char>(byte);
            for (int bit = 0; bit < 8; ++bit) {
                value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320U : 0U);
            }
        }
        value = ~value;
        std::string whole = bytes_;
        for (int byte = 0; byte < 4; ++byte) {
            whole += static_cast<char>((value >> (8 * byte)) & 0xff);
        }
        return whole;
    }

private:
    std::string bytes_;
};

}  // namespace page_map_lab
