// A backing store: where an object's pages come from and where dirty ones go back to.
//
// Thread safety: every store may be used by any number of threads at once. Each page moves as a whole where the store
// says so; a page map never reads and writes one page at the same time.
//
// Invariants:
// 1. A successful read defines every byte of the buffer: what the store does not hold is zero.
// 2. A failed read or write leaves the caller's page state alone: nobody may rely on the buffer or on the stored page.
// 3. Every failure names the store and the page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"

namespace page_map_lab {

class Store {
public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    /// Reads the pages of `range` into `bytes`, which holds exactly `range.count * page_size` bytes.
    /// Errors: bad_range (outside the object, or a buffer of another size), io. Blocks. An empty range succeeds.
    virtual Status read_pages(PageRange range, std::span<std::byte> bytes) = 0;

    /// Writes the pages of `range` from `bytes`, which holds exactly `range.count * page_size` bytes.
    /// Errors: bad_range, denied (a read-only store), io (a full disk included). Blocks. An empty range succeeds.
    virtual Status write_pages(PageRange range, std::span<const std::byte> bytes) = 0;

    /// Reads adjacent pages, starting at `first`, into page-sized places that need not be adjacent.
    /// As read_pages; a store without a system call for it reads page by page.
    virtual Status read_scattered(PageIndex first, std::span<std::byte* const> pages);

    /// Writes adjacent pages, starting at `first`, from page-sized places that need not be adjacent.
    /// As write_pages; a store without a system call for it writes page by page.
    virtual Status write_gathered(PageIndex first, std::span<const std::byte* const> pages);

    /// Returns once what was written before would survive a crash, as far as this store can. Errors: io.
    virtual Status sync() { return {}; }

    /// The pages of the object; the last one may be held in part only.
    virtual std::uint64_t size_pages() const = 0;

    /// What error messages call this store.
    virtual std::string name() const { return "the store"; }

protected:
    /// bad_range unless `range` lies in the object and `byte_count` is its size.
    Status check_request(PageRange range, std::size_t byte_count) const;
};

}  // namespace page_map_lab
