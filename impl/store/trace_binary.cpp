// Reads the project's own trace format: see docs/trace-format.md.
#include <array>
#include <unordered_set>

#include "impl/store/trace_parts.hpp"

namespace page_map_lab {
namespace {

constexpr std::string_view magic = "PMLTRACE";
constexpr std::uint64_t known_version = 1;
constexpr std::size_t checksum_size = 4;

// The bits of an operation's first byte.
constexpr std::uint64_t kind_bits = 3;
constexpr std::uint64_t other_file_bit = 4;
constexpr std::uint64_t other_place_bit = 8;
constexpr std::uint64_t other_length_bit = 16;
constexpr std::uint64_t all_bits = 31;

// CRC-32 as in IEEE 802.3 and zlib, a nibble at a time.
std::uint32_t checksum_of(std::string_view bytes) {
    static constexpr auto table = [] {
        std::array<std::uint32_t, 16> entries{};
        for (std::uint32_t nibble = 0; nibble < entries.size(); ++nibble) {
            std::uint32_t value = nibble;
            for (int bit = 0; bit < 4; ++bit) {
                value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320U : 0U);
            }
            entries[nibble] = value;
        }
        return entries;
    }();
    std::uint32_t value = 0xffffffff;
    for (const char byte : bytes) {
        value ^= static_cast<unsigned char>(byte);
        value = (value >> 4) ^ table[value & 15];
        value = (value >> 4) ^ table[value & 15];
    }
    return ~value;
}

class Reader {
public:
    Reader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

    Result<TraceParts> read() {
        position_ = magic.size();
        const auto version = number("the format's version");
        if (!version) {
            return tl::unexpected(version.error());
        }
        if (*version != known_version) {
            return malformed(magic.size(), "format version " + std::to_string(*version) + ", and this program reads " +
                                               std::to_string(known_version));
        }
        TraceParts parts;
        if (auto done = read_files(parts); !done) {
            return tl::unexpected(done.error());
        }
        if (auto done = read_operations(parts); !done) {
            return tl::unexpected(done.error());
        }
        if (auto done = read_checksum(); !done) {
            return tl::unexpected(done.error());
        }
        return parts;
    }

private:
    struct Place {
        std::uint64_t end_bytes = 0;
        std::uint64_t length_bytes = 0;
    };

    tl::unexpected<Error> malformed(std::size_t position, const std::string& what) const {
        return fail(ErrorCode::malformed, "trace '" + name_ + "' is malformed at byte " + std::to_string(position) +
                                              ": " + what + ": record it again");
    }

    std::size_t left() const { return bytes_.size() - position_; }

    // Seven bits a byte, the lowest first; the top bit says that more follow.
    Result<std::uint64_t> number(const char* what) {
        const std::size_t start = position_;
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (left() == 0) {
                return malformed(position_, std::string("it ends within ") + what);
            }
            const auto byte = static_cast<unsigned char>(bytes_[position_++]);
            const std::uint64_t bits = byte & 0x7f;
            if (shift == 63 && bits > 1) {
                break;
            }
            value |= bits << shift;
            if ((byte & 0x80) == 0) {
                return value;
            }
        }
        return malformed(start, std::string(what) + " does not fit 64 bits");
    }

    Status read_files(TraceParts& parts) {
        const std::size_t start = position_;
        const auto count = number("the number of files");
        if (!count) {
            return tl::unexpected(count.error());
        }
        if (*count > Trace::max_files || *count > left()) {
            return malformed(start, "it claims " + std::to_string(*count) + " files");
        }
        std::unordered_set<std::string_view> seen;
        for (std::uint64_t file = 0; file < *count; ++file) {
            const std::size_t name_start = position_;
            const auto length = number("a file name's length");
            if (!length) {
                return tl::unexpected(length.error());
            }
            if (*length == 0 || *length > Trace::max_name_bytes || *length > left()) {
                return malformed(name_start, "a file name of " + std::to_string(*length) + " bytes");
            }
            const std::string_view file_name = bytes_.substr(position_, *length);
            if (file_name.find('\0') != file_name.npos || !seen.insert(file_name).second) {
                return malformed(name_start, "a file name that holds a zero byte or is there twice");
            }
            parts.file_names.emplace_back(file_name);
            position_ += *length;
        }
        return {};
    }

    Status read_operations(TraceParts& parts) {
        const std::size_t start = position_;
        const auto count = number("the number of operations");
        if (!count) {
            return tl::unexpected(count.error());
        }
        // Each takes a byte or more, so that what is reserved here is bounded by the size of the trace.
        if (*count > Trace::max_operations || *count > left()) {
            return malformed(start, "it claims " + std::to_string(*count) + " operations");
        }
        if (*count > 0 && parts.file_names.empty()) {
            return malformed(start, "operations, but no file");
        }
        parts.operations.reserve(*count);
        std::vector<Place> places(parts.file_names.size());
        std::uint32_t file = 0;
        for (std::uint64_t operation = 0; operation < *count; ++operation) {
            if (auto done = read_operation(parts, places, file); !done) {
                return done;
            }
        }
        return {};
    }

    Status read_operation(TraceParts& parts, std::vector<Place>& places, std::uint32_t& file) {
        const std::size_t start = position_;
        const auto head = number("an operation");
        if (!head) {
            return tl::unexpected(head.error());
        }
        const auto kind = static_cast<TraceOperation::Kind>(*head & kind_bits);
        const bool moves = kind != TraceOperation::Kind::sync;
        if (*head > all_bits || kind > TraceOperation::Kind::sync ||
            (!moves && (*head & (other_place_bit | other_length_bit)) != 0)) {
            return malformed(start, "an operation that starts with " + std::to_string(*head));
        }
        if ((*head & other_file_bit) != 0) {
            const auto other = number("an operation's file");
            if (!other) {
                return tl::unexpected(other.error());
            }
            if (*other >= places.size()) {
                return malformed(start, "an operation on file " + std::to_string(*other) + " of " +
                                            std::to_string(places.size()));
            }
            file = static_cast<std::uint32_t>(*other);
        }
        TraceOperation operation{kind, file, 0, 0};
        if (moves) {
            if (auto done = read_place(*head, start, places[file]); !done) {
                return done;
            }
            operation.length_bytes = places[file].length_bytes;
            operation.offset_bytes = places[file].end_bytes - operation.length_bytes;
        }
        parts.operations.push_back(operation);
        return {};
    }

    // Moves `place` on to the end of the operation that started at byte `start`.
    Status read_place(std::uint64_t head, std::size_t start, Place& place) {
        std::uint64_t offset = place.end_bytes;
        if ((head & other_place_bit) != 0) {
            const auto distance = number("an operation's offset");
            if (!distance) {
                return tl::unexpected(distance.error());
            }
            // Zigzag: 0, -1, 1, -2 ... as 0, 1, 2, 3 ...; the sum wraps as two's complement does.
            offset += (*distance >> 1) ^ (~(*distance & 1) + 1);
        }
        if ((head & other_length_bit) != 0) {
            const auto length = number("an operation's length");
            if (!length) {
                return tl::unexpected(length.error());
            }
            place.length_bytes = *length;
        }
        if (place.length_bytes == 0 || place.length_bytes > Trace::max_length_bytes) {
            return malformed(start, "an operation of " + std::to_string(place.length_bytes) + " bytes");
        }
        if (offset > Trace::max_offset_bytes - place.length_bytes) {
            return malformed(start, "an operation at offset " + std::to_string(offset));
        }
        place.end_bytes = offset + place.length_bytes;
        return {};
    }

    Status read_checksum() {
        if (left() < checksum_size) {
            return malformed(position_, "it ends within the checksum");
        }
        if (left() > checksum_size) {
            return malformed(position_, std::to_string(left() - checksum_size) + " bytes more than it says");
        }
        std::uint32_t stored = 0;
        for (std::size_t byte = 0; byte < checksum_size; ++byte) {
            stored |= std::uint32_t{static_cast<unsigned char>(bytes_[position_ + byte])} << (8 * byte);
        }
        if (stored != checksum_of(bytes_.substr(0, position_))) {
            return malformed(position_, "the checksum does not match what stands before it");
        }
        return {};
    }

    std::string_view bytes_;
    const std::string& name_;
    std::size_t position_ = 0;
};

}  // namespace

bool is_binary_trace(std::string_view bytes) { return bytes.starts_with(magic); }

Result<TraceParts> read_binary_trace(std::string_view bytes, const std::string& name) {
    return Reader(bytes, name).read();
}

}  // namespace page_map_lab
