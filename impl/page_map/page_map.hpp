// The page map: (page index) to counted page frame, who maps it, and taking pages away again.
//
// One object's pages: `find` and `put` keep a page by counting in its slot word; `load` brings it in; regions map it;
// `remove_contig` takes a range away in six passes (page_map_removal.hpp); `writeback` makes the store equal. A variant is
// a composition of policies: PageMap<Variant<Radix, RcuQsbr, Batched, Mprotect>>.
//
// Thread safety: every member from any thread that holds a ReaderThread<ReadPath>, construction and destruction apart.
// Members that exclude each other by the removal word say what a concurrent caller gets.
//
// Invariants (docs/memory-model.md), each kept where it is named:
//   1. A thread that holds a slot reference sees its page's data unchanged by removal until it puts it.
//      (empty_unclaimed_slots takes a page only while its word is {0 references, REMOVAL})
//   2. A page is freed only after every address space that could hold a translation for it was shot down, and every entry
//      unmapped. (remove_contig: flush, then collect_dirty_and_unmap, then empty_unclaimed_slots)
//   3. No write is lost. (dirty bits are folded under the lock that clears them; DIRTY is cleared before the write-out,
//      LOCKED is held until it completed)
//   4. Hardware access implies an entry marked present. (page_table.hpp; grant, revoke_entries)
//   5. A slot's address is stable while its page is in the map. (concepts.hpp, Layout)
//   6. The refcount saturates with an error. (find)
//   7. Lock order: page map, then page table. (address_space.hpp)
//   8. No grace period is awaited under a lock; a thread is offline before it blocks. (WriterLock, free_retired_nodes)
//
// Source: the reference, lines 97 to 607. The read walk under RCU is its to-do of lines 115, 387 and 551.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "impl/page_map/concepts.hpp"
#include "impl/page_map/frame_table.hpp"
#include "impl/page_map/phase.hpp"
#include "impl/page_map/reader_thread.hpp"
#include "impl/page_map/region.hpp"
#include "impl/page_map/shootdown.hpp"
#include "impl/store/store.hpp"

namespace page_map_lab {

/// A reference to a page in a map, counted in its slot; owed to `put`. Converts to false where there is no page.
template <class Machine>
struct [[nodiscard]] CountedPage {
    Slot<Machine>* slot = nullptr;
    FrameNumber frame = 0;

    explicit operator bool() const noexcept { return frame != 0; }
    /// No page was taken because the slot's count would not fit (invariant 6).
    bool saturated() const noexcept { return slot != nullptr && frame == 0; }
};

/// What a removal did.
struct RemovalOutcome {
    std::uint64_t removed = 0;         ///< pages that left the map
    std::uint64_t written_back = 0;    ///< pages written to the store
    std::uint64_t zeroed = 0;          ///< remove_or_zero: pages in use, zeroed instead
    std::uint64_t quarantined = 0;     ///< pages kept, because a worker that does not end may reach them
    std::uint64_t write_failures = 0;  ///< pages whose write failed: still dirty, still in the map
    std::optional<Error> write_error;  ///< the first of them
    std::optional<Error> punch_error;  ///< memory that could not be given back: its frames are quarantined
    ShootdownCost shootdown;
};

/// What `info` tells about one region.
struct RegionInfo {
    const void* space;
    const std::byte* base;
    PageRange pages;
    Access protection;
    Sharing sharing;
    bool locked;
};

/// What `info` tells.
struct PageMapInfo {
    std::uint64_t pages;
    std::vector<RegionInfo> regions;

    /// One line for the map, one a region, in the manner of the reference's print_page_map_info.
    std::string text() const;
};

template <class VariantType>
class PageMap final : private FaultServer<typename VariantType::Machine> {
public:
    using Variant = VariantType;
    using Machine = typename Variant::Machine;
    using Memory = typename Machine::Memory;
    using ReadPath = typename Variant::ReadPath;
    using Layout = typename Variant::Layout;
    using Shootdown = typename Variant::Shootdown;
    using Counted = CountedPage<Machine>;
    using Frames = FrameTable<Machine>;
    using PageType = Page<Machine>;
    using RegionType = Region<Machine>;
    using Space = AddressSpace<Machine>;
    using Thread = ReaderThread<ReadPath>;
    /// Offline where a call may wait for a worker's agent, so that no grace period waits for the worker (invariant 8).
    using AgentScope = typename Thread::OfflineScope;

    struct Options {
        std::uint64_t size_pages = 0;     ///< the object's size; an index at or past it is past its end
        NodeArena* arena = nullptr;       ///< where the layout's nodes come from
        /// Bounds how many pages are resident; may be shared by several maps. Each thread that loads holds one for a
        /// moment even where another thread wins the race: an object that is to fit needs that many more.
        Frames* frames = nullptr;
        Store* store = nullptr;           ///< needed by load and by everything that writes back
        Memory* memory = nullptr;         ///< needed by load and by regions; lookups go without
        bool keep_memory = false;         ///< removal leaves the pages' memory allocated (frames:keep)
        /// How many address spaces a shootdown gathers before it flushes early; 10 in the reference.
        std::size_t shootdown_spaces = default_shootdown_spaces;
        /// Called with no lock held where no frame is free: evicts something and returns whether to try again.
        std::function<bool()> reclaim{};
    };

    /// An empty map. Throws std::runtime_error for options that do not fit together.
    explicit PageMap(Options options);
    /// Everything was destroyed, or never had a page; anything else ends the program.
    ~PageMap();
    PageMap(const PageMap&) = delete;
    PageMap& operator=(const PageMap&) = delete;

    // --- Readers -----------------------------------------------------------------------------------------------------

    /// The page at `index`, counted; false where there is none, or where its count is saturated. Clears REMOVAL: a late
    /// user aborts a removal in progress. Lock-free where the read path is. Cost: one walk, one compare-and-swap.
    Counted find(PageIndex index) noexcept {
        debug_check([] { return Thread::is_online(); }, "a thread that reads is registered and online");
        typename ReadPath::Section section(lock_);
        Slot<Machine>* slot = layout_.find_slot(index);
        if (slot == nullptr) [[unlikely]] {
            return {};
        }
        // relaxed: a guess that the compare-and-swap confirms.
        std::uint64_t seen = slot->load(std::memory_order_relaxed);
        for (;;) {
            const SlotWord word{seen};
            if (!word.has_page()) [[unlikely]] {
                return {};
            }
            if (word.saturated()) [[unlikely]] {
                return {slot, 0};  // invariant 6
            }
            // [slot-publish] acquire: sees the descriptor that insert wrote before its release.
            // relaxed on failure: tries again with what it saw.
            if (slot->compare_exchange_weak(seen, word.without_removal().with_one_more().bits(),
                                            std::memory_order_acquire, std::memory_order_relaxed)) [[likely]] {
                return {slot, word.frame()};
            }
        }
    }

    /// Gives a reference back. Wait-free: one subtraction at the slot's address; no walk, no lock (invariant 5).
    static void put(Counted page) noexcept {
        debug_check([&] { return page && SlotWord{page.slot->load(std::memory_order_relaxed)}.refcount() != 0; },
                    "a reference is put once");  // relaxed: a look at the count alone
        // [slot-put] release: what was done to the page is seen by the marking acquire in mark_unused.
        page.slot->fetch_sub(SlotWord::one_reference, std::memory_order_release);
    }

    /// As find, for a page whose bytes are there: try_again where it is absent or not up to date.
    /// Errors: try_again, refcount_saturated.
    Result<Counted> load_nowait(PageIndex index) noexcept;

    /// The page at `index`, read from the store if need be, exactly once: others wait for the one who reads it.
    /// Blocks. Errors: past_end, no_frame, no_memory, refcount_saturated, and whatever the store answers.
    Result<Counted> load(PageIndex index);

    /// Puts `frame` at `index`; the map owns it from then on, and the caller holds one reference. The frame's flags stay as
    /// the caller set them; without UPTODATE, or a mark_dirty after filling it, the next load reads the page.
    /// Errors, the frame stays the caller's: already_present, busy (the page that was here is still giving its memory
    /// back: try again), past_end, no_memory.
    Result<Counted> insert(PageIndex index, FrameNumber frame);

    /// Says that the page was written to, and so that its bytes are the object's; before the put of the reference it was
    /// written under.
    void mark_dirty(Counted page) noexcept;

    /// The page's bytes in the kernel-side mapping, for whoever holds a reference to it.
    std::span<std::byte> bytes(Counted page) const noexcept;

    /// The page's descriptor.
    PageType& descriptor(Counted page) const noexcept { return (*frames_)[page.frame]; }

    // --- Regions -----------------------------------------------------------------------------------------------------

    /// Maps a range of the object into `space`; nothing is present yet. Errors: past_end, bad_range, no_memory,
    /// system, unavailable where the map has no memory. Throws std::runtime_error where nobody can serve the faults there.
    Result<RegionType*> add_region(Space& space, const RegionOptions& options);
    /// Unmaps a region; what was written through it stays in the map. Waits for faults in flight, not for write-back.
    /// Nobody may use its addresses any more. Errors: no_memory, system: it could not be closed, and is as it was.
    Status remove_region(RegionType* region);
    /// Changes what the region's user may do. Errors: no_memory, system, with the protection as it was.
    Status protect_region(RegionType& region, Access protection);
    /// Pins or unpins every page of the region's range against removal. Waits for the map's lock, not for write-back.
    void set_region_locked(RegionType& region, bool locked);

    /// Makes a page accessible in a region, as the SIGSEGV handler does.
    /// Errors: no_region, not_permitted, past_end, no_frame, no_memory, or the store's.
    Status fault(RegionType& region, PageIndex index, Access wanted);

    // --- Taking pages away -------------------------------------------------------------------------------------------
    // These exclude each other by the removal word.

    /// Removes the pages of `range` that nobody holds. A caller that meets another removal gets 0 removed at once.
    /// An observer is told of each pass, and of waiting for a lock or a grace period; not where there was no turn.
    /// Errors: bad_range; a failed revocation, after which every page is still in the map.
    Result<RemovalOutcome> remove_contig(PageRange range, PhaseObserver* observer = nullptr);

    /// Truncates: drops the pages of `range` that nobody holds, whatever they hold, and zeroes those in use, word by word.
    /// Shorten the store first, or a later load reads the old bytes. Errors: busy where another removal runs; a failed revocation.
    Result<RemovalOutcome> remove_or_zero(PageRange range);

    /// Drops every page that is unmapped and unreferenced; writes dirty ones first. Errors: busy.
    Result<RemovalOutcome> free_unused();

    /// Writes every dirty page of `range` to the store, one shootdown for all, and keeps the pages.
    /// Errors: busy where a removal runs; a failed revocation, after which nothing was written.
    Result<RemovalOutcome> writeback(PageRange range);

    /// Empties the map for good: writes back, removes everything, frees every node.
    /// Errors, with the map usable: busy (a removal runs, a region or a reference is left), io (a page could not be
    /// written and stays).
    Status destroy();

    // --- Looking -----------------------------------------------------------------------------------------------------

    PageMapInfo info();
    std::uint64_t page_count();
    std::uint64_t size_pages() const noexcept { return options_.size_pages; }
    /// Bytes of memory that the layout takes, by its own account; 0 where it keeps none. At rest.
    std::size_t layout_bytes() const {
        if constexpr (requires(const Layout& layout) { layout.memory_bytes(); }) {
            return layout_.memory_bytes();
        }
        return 0;
    }
    /// Checks every invariant that can be seen at rest: counts, descriptors, entries against slots, and that the hardware
    /// denies what entries do not allow. Returns what is wrong. For tests and benchmarks' checks; not for measured loops.
    Status audit();

private:
    class WriterLock;
    class TableGuard;
    class RemovalTurn;
    class EmptiedPages;

    Status serve_fault(RegionType& region, PageIndex index, Access wanted) noexcept override;
    Status unmap_region(RegionType& region) override;
    Status grant(RegionType& region, PageIndex index, PageTableEntry& entry);
    Status grant_private_copy(RegionType& region, PageIndex index, PageTableEntry& entry);

    Shootdown make_shootdown(Access left) const;
    template <class Call>
    Status ask_store(Call&& call);
    void lock_page(PageType& page) noexcept;
    void unlock_page(PageType& page, std::uint32_t also_set = 0) noexcept;
    Result<FrameNumber> take_frame();
    Result<Counted> wait_until_current(Counted page);
    Result<Counted> read_locked_page(Counted page);
    void discard_never_read(PageIndex index) noexcept;

    void set_dirty(PageType& page) noexcept;
    bool clear_dirty(PageType& page) noexcept;

    template <class Visit>
    void for_each_unpinned_run(PageRange range, Visit&& visit);
    template <class Visit>
    void for_each_entry(PageRange range, bool skip_pinned, Visit&& visit, PhaseMarks* marks = nullptr);

    PageRange mark_unused(PageRange range);
    void spare(PageRange range) noexcept;
    std::uint64_t revoke_entries(PageRange marked, Shootdown& shootdown, PhaseMarks* marks = nullptr);
    void abandon_removal(PageRange marked);
    void collect_dirty_and_unmap(PageRange marked, PhaseMarks* marks = nullptr);
    void write_back_worklist(PageRange marked, WriterLock& lock, RemovalOutcome& outcome);
    EmptiedPages empty_unclaimed_slots(PageRange marked, bool even_dirty);
    void give_back(EmptiedPages emptied, WriterLock& lock, RemovalOutcome& outcome);
    bool free_retired_nodes(std::size_t more_than, PhaseMarks* marks = nullptr);

    Status harvest_dirty(PageRange range, RemovalOutcome& outcome);
    template <class Choose>
    void write_pages(PageRange range, WriterLock& lock, RemovalOutcome& outcome, Choose&& choose);
    void zero_survivors(PageRange range, WriterLock& lock, RemovalOutcome& outcome);

    // Nodes that a removal leaves for a later one to free, so that small removals share a grace period.
    static constexpr std::size_t retired_nodes_kept = 64;
    // Dirty pages that are locked and written at a time, with the map unlocked.
    static constexpr std::size_t write_batch_pages = 64;

    MapLock<Machine> lock_;
    Layout layout_;
    const Options options_;
    Frames* const frames_;
    Memory* const memory_;
    std::uint64_t page_count_ = 0;                             // map lock
    std::list<std::unique_ptr<RegionType>> regions_;           // map lock
    std::uint64_t worker_regions_ = 0;                         // map lock: those of them in worker processes
    typename Machine::template Atomic<std::uint32_t> removal_active_{0};
};

}  // namespace page_map_lab
