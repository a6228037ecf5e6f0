// One object under stress: its map, its store, what may be read from it, and the regions that all threads touch.
//
// Thread safety: every member from any thread; construction, `begin` and `finish` apart.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "impl/platform/shared_memory.hpp"
#include "tests/stress/shortened_store.hpp"
#include "tests/stress/stamped_pages.hpp"
#include "tests/stress/stress.hpp"

namespace page_map_lab::stress {

struct ObjectShape {
    std::uint64_t pages;
    std::uint64_t frames;
    bool keep_memory = false;  ///< needs more frames than pages
};

class StressedObject {
public:
    StressedObject(unsigned number, const ObjectShape& shape, const MakeMap& make);

    AnyPageMap& map() noexcept { return *map_; }
    StampedPages& stamps() noexcept { return stamps_; }
    const SharedMemory& stamps_memory() const noexcept { return stamps_memory_; }
    std::uint64_t pages() const noexcept { return shape_.pages; }
    unsigned number() const noexcept { return number_; }

    /// Maps the object: a registered thread does.
    Status begin();

    /// Where `page` is mapped: one of the regions that hold it, as `choice` says.
    std::byte* address(PageIndex page, std::uint64_t choice);

    /// Removes what nobody holds, and counts it. A store that is shortened refuses writes: no failure.
    Status evict(PageRange range);
    /// Shortens the object to nothing in `range` and gives the range back, empty. Errors: whatever the map answers.
    Status truncate(PageRange range);

    std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }  // relaxed: a count

    /// Compares memory and store with what was written, and takes the map apart. While nobody uses it.
    StressOutcome finish();

private:
    struct Mapping {
        PageRange pages;
        AnyRegion* region;
    };

    bool reclaim();
    void compare_memory(StressOutcome& outcome);
    void compare_store(StressOutcome& outcome);

    const unsigned number_;
    const ObjectShape shape_;
    ShortenedStore store_;
    SharedMemory stamps_memory_;  ///< worker processes map it, too
    StampedPages stamps_;
    std::unique_ptr<AnyPageMap> map_;
    std::array<Mapping, 2> mappings_{};
    std::mutex truncating_;
    std::atomic<std::uint64_t> evicted_{0};
    std::atomic<std::uint64_t> hand_{0};
};

}  // namespace page_map_lab::stress
