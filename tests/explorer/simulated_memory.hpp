// Simulated memory: an object's pages, the page tables and TLBs that lead to them, and the store behind them.
//
// A page's bytes are one number, and each page knows whether it holds memory and which life of it this is. So what would
// corrupt bytes is reported at the access where it happens: through a translation of an earlier life, to a page that was
// freed, a freed page whose last number the store does not hold, a second read over newer bytes.
//
// Thread safety: none; steps of the one simulation. Addresses are never dereferenced.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/fault_handler.hpp"
#include "impl/platform/object_memory.hpp"
#include "impl/platform/protection.hpp"
#include "impl/store/store.hpp"
#include "tests/explorer/simulation.hpp"

namespace page_map_lab::explorer {

using Where = std::source_location;

/// A page of the object, in memory and in the store.
struct PageState {
    std::uint64_t value = 0;     ///< the bytes, while it is resident
    std::uint64_t newest = 0;    ///< what was written last, wherever it is now
    std::uint64_t stored = 0;    ///< what the store holds
    std::uint64_t life = 0;      ///< how often its memory was given back
    unsigned reads = 0;          ///< successful ones of the store
    bool resident = false;       ///< holds what the object holds
    bool in_transfer = false;    ///< being read or written out
    bool truncating = false;     ///< what it holds may be dropped
    std::uint64_t in_store = 0;  ///< only its address is used: the location of what is stored
};

/// The object's bytes: what ObjectMemory is to the real machine.
class SimulatedMemory {
public:
    explicit SimulatedMemory(std::uint64_t size_pages);

    std::uint64_t size_pages() const noexcept { return size_pages_; }
    /// Where the bytes would be: to be handed to the store, not to be touched.
    std::span<std::byte> bytes(PageRange pages) const noexcept;
    /// There is none to hand to another process.
    int file() const noexcept { return -1; }
    void fill(PageIndex page, std::byte value, const Where& where = Where::current());
    Status give_back(PageRange pages, const Where& where = Where::current());
    Result<std::byte*> map(PageRange pages, Sharing sharing);
    static Status unmap(std::byte* base, std::uint64_t count, const Where& where = Where::current());
    static Status copy_now(std::byte* page, const Where& where = Where::current());

    /// What a user does who holds a reference: through the kernel-side mapping.
    std::uint64_t read(PageIndex page, const Where& where = Where::current());
    void write(PageIndex page, std::uint64_t value, const Where& where = Where::current());

    /// What is true of a page now, as part of the step that the core took last.
    PageState look_at(PageIndex index, const Where& where = Where::current());

    /// For setting up, and at the end.
    PageState& page(PageIndex index) { return pages_[index]; }
    std::map<PageIndex, PageState>& pages() noexcept { return pages_; }

private:
    void drop(PageIndex index, PageState& page);

    std::uint64_t size_pages_;
    std::map<PageIndex, PageState> pages_;
};

/// A store whose transfers take two steps: what is read, or to be written, is seen at the first.
class SimulatedStore final : public Store {
public:
    explicit SimulatedStore(SimulatedMemory& memory) : memory_(memory) {}

    Status read_pages(PageRange range, std::span<std::byte> bytes) override;
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override;
    std::uint64_t size_pages() const override { return memory_.size_pages(); }

    /// The next read, or write, of `page` fails.
    void fail_a_read_of(PageIndex page) { failing_reads_.insert(page); }
    void fail_a_write_of(PageIndex page) { failing_writes_.insert(page); }
    /// The pages become zero in the store, as those of a file that is shortened; what the map holds of them may be dropped.
    void shorten(PageRange range, const Where& where = Where::current());

private:
    SimulatedMemory& memory_;
    std::set<PageIndex> failing_reads_;
    std::set<PageIndex> failing_writes_;
};

/// Page tables, TLBs, and who waits for whom.
class Hardware {
public:
    static Hardware& instance();
    void begin();

    std::byte* add_mapping(SimulatedMemory& memory, PageRange pages, Sharing sharing);
    void remove_mapping(std::byte* base, const Where& where);
    Status set_access(std::byte* base, std::size_t bytes, Access access, const Where& where);
    Status copy_now(std::byte* address, const Where& where);
    bool readable(const std::byte* address) noexcept;

    /// The core touches an address as a program does: translation, fault, and again. Errors: what the fault answers, where
    /// a real program would get its SIGSEGV.
    Result<std::uint64_t> read(std::byte* address, const Where& where = Where::current());
    Status write(std::byte* address, std::uint64_t value, const Where& where = Where::current());

    void serve_faults_with(FaultDomain& domain) { domains_.push_back(&domain); }

    void sleep_on(const void* word, const Where& where);
    void wake_all(const void* word, const Where& where);

    /// The n-th call from now on that takes rights fails, and every one after it, `count` in all.
    void refuse_revocations(unsigned count, const Where& where = Where::current()) {
        refused_ = count;
        Simulation::instance().record("revocations are refused, or no more", {{&refused_, true}}, where);
    }

private:
    /// A page-table entry, and what each core has of it.
    struct Translation {
        Access rights = Access::none;
        bool private_copy = false;
        std::uint64_t private_value = 0;
        struct Cached {
            Access rights = Access::none;
            std::uint64_t life = 0;
            bool private_copy = false;
        };
        std::array<Cached, max_cores + 1> tlb{};
    };
    struct Mapping {
        std::byte* base;
        SimulatedMemory* memory;
        PageRange pages;
        Sharing sharing;
        std::vector<Translation> translations;

        Translation& at(const std::byte* address) { return translations[offset(address)]; }
        PageIndex index_of(const std::byte* address) const { return pages.first + offset(address); }
        std::size_t offset(const std::byte* address) const { return static_cast<std::size_t>(address - base) / page_size; }
    };

    Mapping* mapping_of(const std::byte* address) noexcept;
    Status access(std::byte* address, Access wanted, std::uint64_t& value, const Where& where);
    Status fault(std::byte* address, Access wanted);
    void change_shared(Mapping& mapping, std::byte* address, bool writes, std::uint64_t& value);
    static void copy_for_writing(Mapping& mapping, std::byte* address, Translation& translation);
    void flush(Mapping& mapping, std::size_t first, std::size_t count, const Where& where);

    std::vector<std::unique_ptr<Mapping>> mappings_;
    std::uintptr_t next_base_ = 0;
    std::vector<FaultDomain*> domains_;
    std::array<const void*, max_cores + 1> sleeps_on_{};
    unsigned refused_ = 0;
};

}  // namespace page_map_lab::explorer
