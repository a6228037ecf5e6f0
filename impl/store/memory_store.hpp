// A store in memory, which remembers how often each page was read and written.
//
// Thread safety: any number of threads; each page moves as a whole. Memory is taken as pages are written.
// Invariants: the counts say how many successful reads and writes each page has had.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "impl/store/store.hpp"

namespace page_map_lab {

class MemoryStore final : public Store {
public:
    /// What a page holds before anything was written to it.
    enum class Fresh : std::uint8_t {
        zero,
        versioned,  // fill_contents(page, version 0)
    };

    /// Throws std::runtime_error where the address space for `size_pages` pages cannot be had.
    explicit MemoryStore(std::uint64_t size_pages, Fresh fresh = Fresh::zero);
    ~MemoryStore() override;

    Status read_pages(PageRange range, std::span<std::byte> bytes) override;
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override;
    std::uint64_t size_pages() const override { return size_pages_; }
    std::string name() const override { return "the memory store"; }

    /// How often `page` was read since the start or the last reset_counts. A page map owes exactly one read a page.
    std::uint64_t reads_of(PageIndex page) const;
    std::uint64_t writes_of(PageIndex page) const;
    std::uint64_t total_reads() const;
    std::uint64_t total_writes() const;
    /// The first page that was read more than once, or nothing.
    std::optional<PageIndex> read_twice() const;
    void reset_counts();

    /// The version `page` holds now (see page_contents.hpp), or nothing where its bytes are no version's.
    std::optional<std::uint64_t> stored_version(PageIndex page) const;
    /// Writes the contents of (`page`, `version`) behind the page map's back; not counted.
    void store_version(PageIndex page, std::uint64_t version);

private:
    struct PageState {
        std::atomic<std::uint32_t> reads{0};
        std::atomic<std::uint32_t> writes{0};
        bool written = false;  // under the page's lock
    };
    static constexpr std::size_t lock_count = 64;

    std::byte* bytes_of(PageIndex page) const { return bytes_ + page * page_size; }
    std::mutex& lock_of(PageIndex page) const { return locks_[page % lock_count]; }
    void copy_out(PageIndex page, std::span<std::byte, page_size> bytes) const;

    std::uint64_t size_pages_;
    Fresh fresh_;
    std::byte* bytes_ = nullptr;
    std::unique_ptr<PageState[]> states_;
    mutable std::array<std::mutex, lock_count> locks_;
};

}  // namespace page_map_lab
