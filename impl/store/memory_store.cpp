#include "impl/store/memory_store.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

#include "impl/store/page_contents.hpp"

namespace page_map_lab {

// Every count is relaxed: it is a number of its own, and whoever compares it with something else has joined or
// otherwise synchronised with the threads that counted.

MemoryStore::MemoryStore(std::uint64_t size_pages, Fresh fresh) : size_pages_(size_pages), fresh_(fresh) {
    if (size_pages == 0) {
        return;
    }
    constexpr std::uint64_t most_pages = (std::uint64_t{1} << 47) / page_size;  // a process has no more addresses
    void* address = MAP_FAILED;
    if (size_pages > most_pages) {
        errno = ENOMEM;
    } else {
        address = mmap(nullptr, size_pages * page_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (address == MAP_FAILED) {
        throw std::runtime_error("a memory store of " + std::to_string(size_pages) +
                                 " pages: ask for fewer pages, or use a file (" +
                                 std::generic_category().message(errno) + ")");
    }
    bytes_ = static_cast<std::byte*>(address);
    try {
        states_ = std::make_unique<PageState[]>(size_pages);
    } catch (...) {
        munmap(bytes_, size_pages * page_size);
        throw;
    }
}

MemoryStore::~MemoryStore() {
    if (bytes_ != nullptr) {
        munmap(bytes_, size_pages_ * page_size);
    }
}

void MemoryStore::copy_out(PageIndex page, std::span<std::byte, page_size> bytes) const {
    const std::lock_guard guard(lock_of(page));
    if (states_[page].written) {
        std::memcpy(bytes.data(), bytes_of(page), page_size);
    } else if (fresh_ == Fresh::versioned) {
        fill_contents(bytes, page, 0);
    } else {
        std::fill(bytes.begin(), bytes.end(), std::byte{0});
    }
}

Status MemoryStore::read_pages(PageRange range, std::span<std::byte> bytes) {
    if (auto valid = check_request(range, bytes.size()); !valid) {
        return valid;
    }
    for (PageIndex page = range.first; page < range.end(); ++page) {
        copy_out(page, bytes.subspan((page - range.first) * page_size).first<page_size>());
        states_[page].reads.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    }
    return {};
}

Status MemoryStore::write_pages(PageRange range, std::span<const std::byte> bytes) {
    if (auto valid = check_request(range, bytes.size()); !valid) {
        return valid;
    }
    for (PageIndex page = range.first; page < range.end(); ++page) {
        const std::lock_guard guard(lock_of(page));
        std::memcpy(bytes_of(page), bytes.data() + (page - range.first) * page_size, page_size);
        states_[page].written = true;
        states_[page].writes.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    }
    return {};
}

std::uint64_t MemoryStore::reads_of(PageIndex page) const {
    return states_[page].reads.load(std::memory_order_relaxed);  // relaxed: a count
}

std::uint64_t MemoryStore::writes_of(PageIndex page) const {
    return states_[page].writes.load(std::memory_order_relaxed);  // relaxed: a count
}

std::uint64_t MemoryStore::total_reads() const {
    std::uint64_t total = 0;
    for (PageIndex page = 0; page < size_pages_; ++page) {
        total += reads_of(page);
    }
    return total;
}

std::uint64_t MemoryStore::total_writes() const {
    std::uint64_t total = 0;
    for (PageIndex page = 0; page < size_pages_; ++page) {
        total += writes_of(page);
    }
    return total;
}

std::optional<PageIndex> MemoryStore::read_twice() const {
    for (PageIndex page = 0; page < size_pages_; ++page) {
        if (reads_of(page) > 1) {
            return page;
        }
    }
    return std::nullopt;
}

void MemoryStore::reset_counts() {
    for (PageIndex page = 0; page < size_pages_; ++page) {
        states_[page].reads.store(0, std::memory_order_relaxed);  // relaxed: a count
        states_[page].writes.store(0, std::memory_order_relaxed);  // relaxed: a count
    }
}

std::optional<std::uint64_t> MemoryStore::stored_version(PageIndex page) const {
    std::array<std::byte, page_size> bytes;
    copy_out(page, bytes);
    return version_of(bytes, page);
}

void MemoryStore::store_version(PageIndex page, std::uint64_t version) {
    const std::lock_guard guard(lock_of(page));
    fill_contents({bytes_of(page), page_size}, page, version);
    states_[page].written = true;
}

}  // namespace page_map_lab
