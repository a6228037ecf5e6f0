// The bytes of one object: a memfd, the permanent kernel-side mapping of it, and the mappings that regions are made of.
//
// Every region maps the memfd at its own offset, so a page keeps its place in the object; how many pages may be resident
// is the frame table's business. The kernel-side mapping is always readable and writable and never handed to users:
// loading, write-back and checks use it. Reading a hole through it allocates memory, so it is touched only for resident
// pages.
//
// Thread safety: all members; the page map decides who may touch which page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"

namespace page_map_lab {

/// How writes through a mapping behave: seen by all, or copied on the first write.
enum class Sharing : std::uint8_t { shared, copy_on_write };

class ObjectMemory {
public:
    /// An object of `size_pages` pages, all holes. Throws std::runtime_error where the memfd or its mapping cannot be
    /// had. `name` appears in /proc/self/maps.
    explicit ObjectMemory(std::uint64_t size_pages, const std::string& name = "page-map-object");
    ~ObjectMemory();
    ObjectMemory(const ObjectMemory&) = delete;
    ObjectMemory& operator=(const ObjectMemory&) = delete;

    std::uint64_t size_pages() const noexcept { return size_pages_; }

    /// The bytes of `pages` in the kernel-side mapping.
    std::span<std::byte> bytes(PageRange pages) const noexcept {
        return {kernel_side_ + pages.first * page_size, pages.count * page_size};
    }

    /// Sets every byte of a page, through the kernel-side mapping: word by word, so that who uses the page meanwhile never
    /// sees a part of an aligned word changed.
    void fill(PageIndex page, std::byte value) noexcept;

    /// Returns the memory of `pages` to the system: holes again, in every shared mapping. Errors: system.
    Status give_back(PageRange pages) noexcept;

    /// Maps `pages` into this process with no access; not inherited by a forked process. Errors: no_memory, system.
    Result<std::byte*> map(PageRange pages, Sharing sharing) noexcept;

    /// The memfd, to be passed to a process that maps the object itself.
    int file() const noexcept { return file_; }

    /// Gives the addresses of a mapping of `count` pages back. Errors: system.
    static Status unmap(std::byte* base, std::uint64_t count) noexcept;

    /// Makes the kernel copy one page of a copy-on-write mapping now (MADV_POPULATE_WRITE). Errors: try_again where the
    /// page is not writable, no_memory, unavailable.
    static Status copy_now(std::byte* page) noexcept;

    /// How many pages of the object hold memory (st_blocks of the memfd). Throws std::runtime_error where fstat fails.
    std::uint64_t allocated_pages() const;

private:
    std::uint64_t size_pages_;
    int file_ = -1;
    std::byte* kernel_side_ = nullptr;
};

}  // namespace page_map_lab
