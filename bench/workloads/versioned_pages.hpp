// Who wrote what: versions of pages that many threads read and each of which one thread writes, and what a reader may
// see.
//
// The first 64 bytes of a page hold the contents of its version; the rest keeps version 0. A page's first word is its
// version, hidden behind a key of the page, so one read tells which version it saw. A writer announces a version before
// it writes and confirms it afterwards: a reader that saw an older one than was confirmed before it looked, or a newer
// one than is announced after, has met a lost or an invented write.
//
// Thread safety: `read` any thread; `write` one thread a page at a time.
// Cost: a read is three loads and a comparison, a write about 15 ns.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "bench/harness/digest.hpp"
#include "impl/store/page_contents.hpp"
#include "impl/store/store.hpp"

namespace page_map_lab::bench {

class VersionedPages {
public:
    static constexpr std::size_t written_bytes = 64;

    explicit VersionedPages(std::uint64_t pages)
        : pages_(pages), own_(std::make_unique<State[]>(pages)), states_(own_.get()) {
        write_keys();
    }

    /// The same in memory that processes share, so many bytes (bytes_for) of it, all zero.
    VersionedPages(std::uint64_t pages, std::byte* memory) : VersionedPages(view(pages, memory)) { write_keys(); }
    static std::size_t bytes_for(std::uint64_t pages) { return pages * sizeof(State); }
    /// What another process made there.
    static VersionedPages view(std::uint64_t pages, std::byte* memory) {
        return VersionedPages(pages, reinterpret_cast<State*>(memory));
    }

    std::uint64_t pages() const { return pages_; }

    /// Reads the page's version at `place`. Returns whether it is one that may be seen.
    bool read(PageIndex page, std::byte* place) const noexcept {
        const State& state = states_[page];
        // [page-version] acquire: pairs with the release of `confirmed` in write.
        const std::uint64_t oldest = state.confirmed.load(std::memory_order_acquire);
        // [page-word] acquire: who sees a version sees that it was announced.
        const std::uint64_t word = word_at(place).load(std::memory_order_acquire);
        // relaxed: the acquire above orders.
        const std::uint64_t newest = state.announced.load(std::memory_order_relaxed);
        const std::uint64_t version = word ^ state.key;
        return version - oldest <= newest - oldest;
    }

    /// Writes the page's next version at `place`.
    void write(PageIndex page, std::byte* place) noexcept {
        State& state = states_[page];
        // relaxed: one thread writes a page.
        const std::uint64_t version = state.announced.load(std::memory_order_relaxed) + 1;
        state.announced.store(version, std::memory_order_relaxed);  // relaxed: the release of the word publishes it
        std::byte contents[written_bytes];
        fill_contents(contents, page, version);
        std::uint64_t word = 0;
        std::memcpy(&word, contents, sizeof word);
        std::memcpy(place + sizeof word, contents + sizeof word, written_bytes - sizeof word);
        // [page-word] release: pairs with the acquire in read.
        word_at(place).store(word, std::memory_order_release);
        // [page-version] release: pairs with the acquire in read.
        state.confirmed.store(version, std::memory_order_release);
    }

    /// A page whose bytes in `store` are not those that were written last, or nothing. While nobody writes.
    Result<std::optional<PageIndex>> find_lost(Store& store, Digest& digest) const {
        alignas(page_size) std::byte bytes[page_size];
        for (PageIndex page = 0; page < pages_; ++page) {
            if (Status read = store.read_pages({page, 1}, bytes); !read) {
                return tl::unexpected(read.error());
            }
            // relaxed: nobody writes.
            const std::uint64_t version = states_[page].confirmed.load(std::memory_order_relaxed);
            const auto all = std::span<const std::byte>(bytes);
            if (find_mismatch(all.first(written_bytes), page, version) ||
                find_mismatch(all.subspan(written_bytes), page, 0, written_bytes)) {
                return std::optional<PageIndex>(page);
            }
            digest.add(version);
        }
        return std::optional<PageIndex>();
    }

private:
    struct State {
        std::atomic<std::uint64_t> announced{0};
        std::atomic<std::uint64_t> confirmed{0};
        std::uint64_t key = 0;  ///< the first word of version 0
    };

    VersionedPages(std::uint64_t pages, State* states) : pages_(pages), states_(states) {}

    void write_keys() {
        for (PageIndex page = 0; page < pages_; ++page) {
            fill_contents(std::as_writable_bytes(std::span(&states_[page].key, 1)), page, 0);
        }
    }

    static std::atomic_ref<std::uint64_t> word_at(std::byte* place) noexcept {
        return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(place));
    }

    const std::uint64_t pages_;
    std::unique_ptr<State[]> own_;
    State* states_;
};

}  // namespace page_map_lab::bench
