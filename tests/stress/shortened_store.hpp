// A store that can be shortened while it is used, as a file is before its pages are truncated.
//
// What is cut off reads as zero and refuses to be written, until it is given back, empty: a page map that truncates keeps
// what is written meanwhile.
// Thread safety: reads and writes any thread; one cut at a time.
#pragma once

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "impl/store/memory_store.hpp"

namespace page_map_lab::stress {

class ShortenedStore final : public Store {
public:
    explicit ShortenedStore(std::uint64_t size_pages) : inner_(size_pages) {}

    /// Waits for writes under way. Pages of `range` hold nothing from now on.
    Status cut(PageRange range) {
        const std::unique_lock guard(lock_);
        cut_ = range;
        const std::vector<std::byte> zeroes(range.count * page_size);
        return inner_.write_pages(range, zeroes);
    }
    void give_back() {
        const std::unique_lock guard(lock_);
        cut_ = {};
    }

    Status read_pages(PageRange range, std::span<std::byte> bytes) override { return inner_.read_pages(range, bytes); }
    /// Errors: denied, where a part of the range is cut off.
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override {
        const std::shared_lock guard(lock_);
        if (!cut_.intersection(range).empty()) {
            return fail(ErrorCode::denied, "the store is shortened there");
        }
        return inner_.write_pages(range, bytes);
    }
    std::uint64_t size_pages() const override { return inner_.size_pages(); }
    std::string name() const override { return "the shortened store"; }

private:
    MemoryStore inner_;
    std::shared_mutex lock_;
    PageRange cut_;
};

}  // namespace page_map_lab::stress
