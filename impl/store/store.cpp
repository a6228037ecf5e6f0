#include "impl/store/store.hpp"

namespace page_map_lab {

Status Store::check_request(PageRange range, std::size_t byte_count) const {
    if (range.wraps() || range.end() > size_pages()) {
        return fail(ErrorCode::bad_range, "pages " + std::to_string(range.first) + " to " +
                                              std::to_string(range.first + range.count) + " are not in " + name() +
                                              ", which has " + std::to_string(size_pages()));
    }
    // Dividing, because a count that large would overflow as bytes.
    if (byte_count % page_size != 0 || byte_count / page_size != range.count) {
        return fail(ErrorCode::bad_range, std::to_string(byte_count) + " bytes are not " +
                                              std::to_string(range.count) + " pages of " + name());
    }
    return {};
}

Status Store::read_scattered(PageIndex first, std::span<std::byte* const> pages) {
    for (std::size_t position = 0; position < pages.size(); ++position) {
        if (auto done = read_pages({first + position, 1}, {pages[position], page_size}); !done) {
            return done;
        }
    }
    return {};
}

Status Store::write_gathered(PageIndex first, std::span<const std::byte* const> pages) {
    for (std::size_t position = 0; position < pages.size(); ++position) {
        if (auto done = write_pages({first + position, 1}, {pages[position], page_size}); !done) {
            return done;
        }
    }
    return {};
}

}  // namespace page_map_lab
