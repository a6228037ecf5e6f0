// A store in a regular file, through preadv and pwritev.
//
// Thread safety: any number of threads; the descriptor's position is never used. Interrupted calls are repeated and
// partial ones continued. The last page is written whole, so writing it rounds the file up to whole pages.
// Invariants: what lies past the end of the file reads as zero.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "impl/store/store.hpp"

struct iovec;

namespace page_map_lab {

class FileStore final : public Store {
public:
    enum class Access : std::uint8_t { read_only, read_write };

    /// Opens an existing regular file; the object is as long as the file, rounded up to whole pages.
    /// Errors, each naming the file: usage (not there, or not a regular file), denied, io, system (too many open files).
    static Result<FileStore> open(const std::string& path, Access access = Access::read_write);

    /// Makes the file, or empties it, and gives it `size_pages` pages that read as zero and take no disk space yet.
    /// Errors, each naming the file: usage (no such folder, or too large for its file system), denied, io, system
    /// (too many open files).
    static Result<FileStore> create(const std::string& path, std::uint64_t size_pages);

    FileStore(FileStore&& other) noexcept;
    FileStore& operator=(FileStore&&) = delete;
    ~FileStore() override;

    Status read_pages(PageRange range, std::span<std::byte> bytes) override;
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override;
    /// One preadv for every 1024 pages.
    Status read_scattered(PageIndex first, std::span<std::byte* const> pages) override;
    /// One pwritev for every 1024 pages.
    Status write_gathered(PageIndex first, std::span<const std::byte* const> pages) override;
    /// fdatasync.
    Status sync() override;
    std::uint64_t size_pages() const override { return size_pages_; }
    std::string name() const override { return "'" + path_ + "'"; }

private:
    FileStore(std::string path, int descriptor, std::uint64_t size_pages)
        : path_(std::move(path)), descriptor_(descriptor), size_pages_(size_pages) {}

    Status read_vector(PageIndex first, std::span<iovec> parts);
    Status write_vector(PageIndex first, std::span<iovec> parts);

    std::string path_;
    int descriptor_;
    std::uint64_t size_pages_;
};

}  // namespace page_map_lab
