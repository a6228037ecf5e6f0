// Who wrote what where: stamps of (page, version, writer), and what a reader may see at each moment.
//
// Each writer owns one word of each page, its lane, so that many threads write one page at once. A stamp says which object,
// page, writer and version it belongs to; the versions of a lane only grow. A writer announces a version before it writes
// and confirms it afterwards: a reader that sees less than was confirmed before it looked, or more than is announced after,
// has met a stale value, a lost or an invented one. A truncation makes zero of a lane: zero may be seen from its beginning
// until a later version is confirmed, and what was confirmed before its beginning never again after its end.
//
// Thread safety: read any thread; write one thread a writer; one truncation at a time a page.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "impl/core/page_index.hpp"

namespace page_map_lab::stress {

class StampedPages {
public:
    static constexpr unsigned most_writers = 16;

    /// How much memory the stamps of an object need.
    static std::size_t bytes_for(std::uint64_t pages) { return pages * sizeof(State); }

    /// A view of stamps in `memory`, which is zero at first and may be shared by processes. `object` tells the stamps of
    /// several objects apart: below 16. `pages` below 2^20.
    StampedPages(unsigned object, std::uint64_t pages, std::byte* memory);

    /// Where the lane of `writer` lies in a page.
    static constexpr std::size_t place_of(unsigned writer) { return writer * (page_size / most_writers); }

    /// Writes the writer's next version into the page at `bytes`, in two steps: a writer that dies between them has
    /// announced what it may have written.
    void begin_write(PageIndex page, unsigned writer, std::byte* bytes) noexcept;
    void confirm_write(PageIndex page, unsigned writer) noexcept;
    void write(PageIndex page, unsigned writer, std::byte* bytes) noexcept {
        begin_write(page, writer, bytes);
        confirm_write(page, writer);
    }

    /// Looks at the lane of `writer` in the page at `bytes`. Returns what is wrong with it, or nothing.
    std::string read(PageIndex page, unsigned writer, const std::byte* bytes) const;

    /// Around a truncation of the page.
    void truncation_begins(PageIndex page) noexcept;
    void truncation_ends(PageIndex page) noexcept;

    std::uint64_t pages() const noexcept { return pages_; }

private:
    using Version = std::uint32_t;
    struct Lane {
        std::atomic<Version> announced{0};
        std::atomic<Version> confirmed{0};
        std::atomic<Version> gone{0};     ///< this version and older ones were truncated away
        std::atomic<Version> at_risk{0};  ///< this version and older ones may have been
        Version going = 0;                ///< the truncation under way: `gone` after it
    };
    struct State {
        std::atomic<std::uint32_t> truncations{0};  ///< under way
        Lane lanes[most_writers];
    };

    std::uint64_t stamp(PageIndex page, unsigned writer, Version version) const noexcept;

    const unsigned object_;
    const std::uint64_t pages_;
    State* states_;
};

}  // namespace page_map_lab::stress
