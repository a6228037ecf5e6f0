// The file that a trace is replayed against: made for it, filled with the contents of version 0, read and written for
// real.
//
// Thread safety: the store's.
// Invariant: the file's name is gone as soon as it is open, so nothing is left behind however the run ends.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "impl/store/file_store.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

class ReplayFile final : public Store {
public:
    /// Makes a file of `pages` pages in `folder`. Errors: the file store's.
    static Result<std::shared_ptr<ReplayFile>> create(const std::filesystem::path& folder, std::uint64_t pages) {
        static std::atomic<unsigned> made{0};
        // relaxed: only a number that nobody else gets.
        const unsigned number = made.fetch_add(1, std::memory_order_relaxed);
        const std::string path =
            folder / ("page-map-replay-" + std::to_string(::getpid()) + "-" + std::to_string(number));
        Result<FileStore> file = FileStore::create(path, pages);
        if (!file) {
            return tl::unexpected(std::move(file.error()));
        }
        ::unlink(path.c_str());
        auto store = std::shared_ptr<ReplayFile>(new ReplayFile(*std::move(file)));
        constexpr std::uint64_t pages_at_once = 256;
        std::vector<std::byte> bytes(std::min(pages, pages_at_once) * page_size);
        for (PageIndex first = 0; first < pages; first += pages_at_once) {
            const PageRange run{first, std::min(pages_at_once, pages - first)};
            for (std::uint64_t place = 0; place < run.count; ++place) {
                fill_contents(std::span(bytes).subspan(place * page_size, page_size), first + place, 0);
            }
            if (Status written = store->write_pages(run, std::span(bytes).first(run.count * page_size)); !written) {
                return tl::unexpected(std::move(written.error()));
            }
        }
        return store;
    }

    Status read_pages(PageRange range, std::span<std::byte> bytes) override {
        // relaxed: a count that is read between runs.
        pages_read_.fetch_add(range.count, std::memory_order_relaxed);
        return file_.read_pages(range, bytes);
    }
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override {
        return file_.write_pages(range, bytes);
    }
    Status sync() override { return file_.sync(); }
    std::uint64_t size_pages() const override { return file_.size_pages(); }
    std::string name() const override { return file_.name(); }

    std::uint64_t pages_read() const {
        // relaxed: read between runs.
        return pages_read_.load(std::memory_order_relaxed);
    }

private:
    explicit ReplayFile(FileStore file) : file_(std::move(file)) {}

    FileStore file_;
    std::atomic<std::uint64_t> pages_read_{0};
};

}  // namespace page_map_lab::bench
