#include "impl/store/page_contents.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "impl/core/check.hpp"

namespace page_map_lab {
namespace {

constexpr std::size_t word_size = sizeof(std::uint64_t);

// The finaliser of the SplitMix64 generator (Steele, Lea and Flood, 2014): every input bit reaches every output bit.
constexpr std::uint64_t mix(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

// The first word carries the version itself, hidden behind the page, so that version_of can find it.
std::uint64_t word_at(PageIndex page, std::uint64_t version, std::size_t position) {
    return position == 0 ? version ^ mix(page) : mix(mix(page) + mix(~version) + position);
}

// Calls visit(place in bytes, the expected bytes there) word by word until it returns false.
template <class Visit>
void for_each_word(std::size_t byte_count, PageIndex page, std::uint64_t version, std::size_t first_byte,
                   Visit&& visit) {
    check(first_byte <= page_size && byte_count <= page_size - first_byte, "the bytes lie in one page");
    std::size_t done = 0;
    while (done < byte_count) {
        const std::size_t place = first_byte + done;
        const std::uint64_t word = word_at(page, version, place / word_size);
        std::array<std::byte, word_size> bytes;
        std::memcpy(bytes.data(), &word, word_size);
        const std::size_t skipped = place % word_size;
        const std::size_t count = std::min(word_size - skipped, byte_count - done);
        if (!visit(done, std::span<const std::byte>(bytes).subspan(skipped, count))) {
            return;
        }
        done += count;
    }
}

}  // namespace

void fill_contents(std::span<std::byte> bytes, PageIndex page, std::uint64_t version, std::size_t first_byte) {
    for_each_word(bytes.size(), page, version, first_byte, [&](std::size_t place, std::span<const std::byte> expected) {
        std::memcpy(bytes.data() + place, expected.data(), expected.size());
        return true;
    });
}

std::optional<std::size_t> find_mismatch(std::span<const std::byte> bytes, PageIndex page, std::uint64_t version,
                                         std::size_t first_byte) {
    std::optional<std::size_t> found;
    for_each_word(bytes.size(), page, version, first_byte, [&](std::size_t place, std::span<const std::byte> expected) {
        const auto actual = bytes.subspan(place, expected.size());
        const auto difference = std::mismatch(expected.begin(), expected.end(), actual.begin());
        if (difference.first == expected.end()) {
            return true;
        }
        found = place + static_cast<std::size_t>(difference.first - expected.begin());
        return false;
    });
    return found;
}

std::optional<std::uint64_t> version_of(std::span<const std::byte, page_size> bytes, PageIndex page) {
    std::uint64_t first_word = 0;
    std::memcpy(&first_word, bytes.data(), word_size);
    const std::uint64_t version = first_word ^ mix(page);
    return find_mismatch(bytes, page, version) ? std::nullopt : std::optional(version);
}

}  // namespace page_map_lab
