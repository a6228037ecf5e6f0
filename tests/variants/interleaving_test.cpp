// Interleavings of a few instructions, made to happen: a machine whose atomics call the test at the step it asks for.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tests/variants/composed_variant.hpp"
#include "variants/layout/radix.hpp"
#include "variants/mechanism/mprotect.hpp"
#include "variants/read_path/rcu_qsbr.hpp"
#include "variants/shootdown/batched.hpp"

namespace page_map_lab::testing {
namespace {

/// What another thread does at a step of this one; run once, on this one, with everything it needs unlocked. Every thread has
/// its own: the address space of this machine is asked about all later faults of the process.
struct Steps {
    /// Before the n-th strong exchange from now on: those take a page out of its slot.
    static inline thread_local int exchanges_to_go = 0;
    static inline thread_local std::function<void()> at_exchange;
    /// After the first unlocking that follows the emptying of a slot: the memory of its page is about to be returned.
    static inline thread_local bool slot_emptied = false;
    static inline thread_local std::function<void()> at_punch;

    static void run(std::function<void()>& step) {
        if (step) {
            std::exchange(step, nullptr)();
        }
    }
};

template <class T>
struct StepAtomic : std::atomic<T> {
    using std::atomic<T>::atomic;
    using std::atomic<T>::operator=;

    bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) noexcept {
        if (Steps::at_exchange && --Steps::exchanges_to_go == 0) {
            Steps::run(Steps::at_exchange);
        }
        const bool exchanged = std::atomic<T>::compare_exchange_strong(expected, desired, success, failure);
        if (exchanged && desired == static_cast<T>(SlotWord{}.with_removal().bits())) {
            Steps::slot_emptied = true;
        }
        return exchanged;
    }

    void store(T value, std::memory_order order) noexcept {
        std::atomic<T>::store(value, order);
        // Unlocking is the one store of a 32-bit zero on the way.
        if (sizeof(T) == 4 && value == T{} && std::exchange(Steps::slot_emptied, false)) {
            Steps::run(Steps::at_punch);
        }
    }
};

/// mprotect that takes no rights while it is told not to.
struct Stubborn {
    static constexpr std::string_view name = "stubborn";
    static inline bool refuses = false;
    /// What a thread of the test does once, under the locks that are held for a change of rights.
    static inline thread_local std::function<void()> under_the_locks;
    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        Steps::run(under_the_locks);
        return refuses && access == Access::none ? fail(ErrorCode::no_memory) : protect(base, bytes, access);
    }
};

struct StepMachine : MachineWith<Stubborn> {
    template <class T>
    using Atomic = StepAtomic<T>;
};

/// The base variant on that machine.
struct SteppedVariant {
    using LayoutTag = Radix;
    using ReadPathTag = RcuQsbr;
    using ShootdownTag = Batched;
    using MechanismTag = Stubborn;
    using Machine = StepMachine;
    using ReadPath = RcuQsbr::On<Machine>;
    using Layout = Radix::With<ReadPath>;
    using Shootdown = Batched::On<Machine>;
};

class Interleaving : public PageMapTest {
protected:
    void SetUp() override { make_map({.store = &watched}); }
    void TearDown() override {
        EXPECT_FALSE(Steps::at_exchange) << "the step was never reached";
        EXPECT_FALSE(Steps::at_punch) << "the step was never reached";
        Steps::at_exchange = nullptr;
        Steps::at_punch = nullptr;
        Steps::slot_emptied = false;
        PageMapTest::TearDown();
    }

    void fail_the_next_read() {
        watched.before_read = [done = false](PageRange) mutable -> Status {
            return std::exchange(done, true) ? Status{} : fail(ErrorCode::io, "this read fails", EIO);
        };
    }

    WatchedStore watched{store};
};

INSTANTIATE_TEST_SUITE_P(Stepped, Interleaving, ::testing::Values(composed_entry<SteppedVariant>()), test_name);

// A failed load takes its page out of the map at a count of zero. In between another thread loads the page, writes to it
// and puts it, which restores the count: dropping it then loses what was written.
TEST_P(Interleaving, AFailedLoadSparesAPageThatWasLoadedAndWrittenMeanwhile) {
    for (int exchange = 1; exchange <= 2; ++exchange) {
        const PageIndex index = static_cast<PageIndex>(exchange);
        fail_the_next_read();
        Steps::exchanges_to_go = exchange;
        Steps::at_exchange = [&] { write(index, 7); };
        EXPECT_EQ(map->load(index).error().code, ErrorCode::io);
        EXPECT_EQ(version(index), 7u) << "at exchange " << exchange;
        EXPECT_EQ(remove({index, 1}), 1u) << "a mark or a reference was left";
        EXPECT_EQ(store.stored_version(index), 7u);
    }
}

TEST_P(Interleaving, AFailedLoadSparesAPageThatSomebodyHolds) {
    AnyCounted held{};
    fail_the_next_read();
    Steps::exchanges_to_go = 1;
    Steps::at_exchange = [&] { held = map->find(3); };
    EXPECT_EQ(map->load(3).error().code, ErrorCode::io);
    ASSERT_TRUE(held);
    EXPECT_EQ(SlotWord{map->slot_bits(held)}.refcount(), 1u);
    EXPECT_FALSE(SlotWord{map->slot_bits(held)}.removal());
    map->put(held);
    EXPECT_EQ(version(3), 0u);
}

// The same for a removal: the mark is what tells that somebody came and went.
TEST_P(Interleaving, ARemovalSparesAPageThatWasWrittenJustBeforeItIsTaken) {
    touch(5);
    Steps::exchanges_to_go = 1;
    Steps::at_exchange = [&] { write(5, 3); };
    EXPECT_EQ(remove({5, 1}), 0u);
    EXPECT_EQ(version(5), 3u);
}

// Defect 12, its second half: so does a truncation, which then zeroes what it cannot drop.
TEST_P(Interleaving, ATruncationZeroesAPageThatWasWrittenJustBeforeItIsTaken) {
    touch(5);
    Steps::exchanges_to_go = 1;
    Steps::at_exchange = [&] { write(5, 3); };
    Result<RemovalOutcome> outcome = map->remove_or_zero({5, 1});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 0u);
    EXPECT_EQ(outcome->zeroed, 1u);
    const AnyCounted page = load(5);
    const auto bytes = map->bytes(page).first<page_size>();
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; }));
    EXPECT_NE(map->flags(page) & page_flag::dirty, 0u) << "the store may hold the old bytes";
    map->put(page);
}

// From emptying a slot until its memory was returned nobody may insert there: the punch would take the new bytes.
TEST_P(Interleaving, NothingIsInsertedWhereAPunchIsUnderWay) {
    write(5, 3);
    Steps::at_punch = [&] {
        Result<AnyCounted> early = map->insert(5);
        EXPECT_FALSE(early);
        EXPECT_EQ(early ? ErrorCode::system : early.error().code, ErrorCode::busy);
        EXPECT_FALSE(map->find(5));
        EXPECT_EQ(map->load_nowait(5).error().code, ErrorCode::try_again);
        EXPECT_EQ(map->frames_in_use(), 1u) << "the frame is handed out only afterwards";
    };
    EXPECT_EQ(remove({5, 1}), 1u);
    EXPECT_EQ(version(5), 3u);
}

/// Calls the test as a phase begins. The map is locked then, which a fault on a page that is there never minds.
struct AtPhase final : PhaseObserver {
    AtPhase(Phase phase, std::function<void()> act) : phase_(phase), act_(std::move(act)) {}
    void enter(Phase phase) noexcept override {
        if (phase == phase_) {
            act_();
        }
    }
    void finish() noexcept override {}

private:
    Phase phase_;
    std::function<void()> act_;
};

// A write between any two passes is kept. Until the flush the hardware lets it pass, and its page goes with it; from then on
// it is a fault that takes its page back: closed, collected, or about to be dropped.
TEST_P(Interleaving, AWriteBetweenTwoPassesIsKept) {
    AnyRegion* region = map_region({.pages = {0, 16}});
    std::uint64_t newest = 0;
    for (const Phase phase : {Phase::revoke, Phase::flush, Phase::collect, Phase::write_back, Phase::free}) {
        for (PageIndex index = 4; index < 8; ++index) {
            write_mapped(region, index, newest + 1);
        }
        newest += 2;
        AtPhase observer(phase, [&] { write_mapped(region, 6, newest); });
        Result<RemovalOutcome> outcome = map->remove_contig({0, 16}, &observer);
        ASSERT_TRUE(outcome);
        const std::string_view name = phase_names[static_cast<std::size_t>(phase)];
        EXPECT_EQ(outcome->removed, phase <= Phase::flush ? 4u : 3u) << name;
        const Status sound = map->audit();
        EXPECT_TRUE(sound) << name << ": " << sound.error().text();
        EXPECT_EQ(mapped_version(region, 6), newest) << name;
        EXPECT_EQ(remove({0, 16}), 1u) << name;
        EXPECT_EQ(store.stored_version(6), newest) << name;
    }
    remove_region(region);
}

/// Notes the phases of a removal.
struct NotedPhases final : PhaseObserver {
    void enter(Phase phase) noexcept override {
        seen.push_back(phase);
        if (phase == Phase::lock) {
            // relaxed: only said and heard.
            waits_for_a_lock.store(true, std::memory_order_relaxed);
        }
    }
    void finish() noexcept override { ++finished; }

    std::vector<Phase> seen;
    int finished = 0;
    std::atomic<bool> waits_for_a_lock{false};
};

/// A thread that changes rights, and holds what locks that takes until the removal says that it waits for one; for a while
/// only, so that a removal that does not say so ends, too.
class LockHolder {
public:
    /// Returns when the locks are held.
    LockHolder(NotedPhases& removal, std::function<void()> change)
        : thread_([this, &removal, change = std::move(change)] {
              Stubborn::under_the_locks = [this, &removal] {
                  // relaxed, all: only said and heard.
                  holds_.store(true, std::memory_order_relaxed);
                  const auto end_of_patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
                  while (!removal.waits_for_a_lock.load(std::memory_order_relaxed) &&
                         std::chrono::steady_clock::now() < end_of_patience) {
                      std::this_thread::yield();
                  }
              };
              change();
              holds_.store(true, std::memory_order_relaxed);
          }) {
        // relaxed: only said and heard.
        while (!holds_.load(std::memory_order_relaxed)) {
            std::this_thread::yield();
        }
    }
    ~LockHolder() { thread_.join(); }
    LockHolder(const LockHolder&) = delete;
    LockHolder& operator=(const LockHolder&) = delete;

private:
    std::atomic<bool> holds_{false};
    std::thread thread_;
};

class RemovalsThatWait : public Interleaving {
protected:
    static constexpr PageIndex leaf_pages = 64;
    static constexpr std::uint64_t size_pages = 80 * leaf_pages;

    void SetUp() override {
        make_map({.size_pages = size_pages, .store = &watched});
        other = map_region({.pages = {100, 4}});
        region = map_region({.pages = {0, 16}});
        write_mapped(region, 5, 1);
    }
    void TearDown() override {
        holder.reset();
        remove_region(region);
        remove_region(other);
        Interleaving::TearDown();
    }

    void hold_the_maps_lock() {
        holder.emplace(noted, [this] { EXPECT_TRUE(map->protect_region(other, Access::none)); });
    }
    std::vector<Phase> phases_of_a_removal() {
        Result<RemovalOutcome> outcome = map->remove_contig({0, 16}, &noted);
        EXPECT_TRUE(outcome);
        EXPECT_EQ(noted.finished, 1);
        return noted.seen;
    }

    AnyRegion* other = nullptr;
    AnyRegion* region = nullptr;
    NotedPhases noted;
    std::optional<LockHolder> holder;
};

INSTANTIATE_TEST_SUITE_P(Stepped, RemovalsThatWait, ::testing::Values(composed_entry<SteppedVariant>()), test_name);

// Is it the TLB or the lock? Waiting is in no pass, wherever in a removal it is.
TEST_P(RemovalsThatWait, ForTheMapsLockSaySo) {
    hold_the_maps_lock();
    EXPECT_THAT(phases_of_a_removal(),
                ::testing::ElementsAre(Phase::lock, Phase::mark, Phase::revoke, Phase::flush, Phase::collect,
                                       Phase::write_back, Phase::free));
}

TEST_P(RemovalsThatWait, ForTheMapsLockAfterTheirWriteBackSaySo) {
    watched.before_write = [&](PageRange) {
        hold_the_maps_lock();
        return Status{};
    };
    EXPECT_THAT(phases_of_a_removal(),
                ::testing::ElementsAre(Phase::mark, Phase::revoke, Phase::flush, Phase::collect, Phase::write_back,
                                       Phase::lock, Phase::write_back, Phase::free));
}

TEST_P(RemovalsThatWait, ForTheMapsLockAfterTheirPunchSaySo) {
    Steps::at_punch = [&] { hold_the_maps_lock(); };
    EXPECT_THAT(phases_of_a_removal(),
                ::testing::ElementsAre(Phase::mark, Phase::revoke, Phase::flush, Phase::collect, Phase::write_back,
                                       Phase::free, Phase::lock, Phase::free));
}

TEST_P(RemovalsThatWait, ForAPageTablesLockSaySo) {
    holder.emplace(noted, [this] { write_mapped(region, 3, 1); });
    EXPECT_THAT(phases_of_a_removal(),
                ::testing::ElementsAre(Phase::mark, Phase::revoke, Phase::lock, Phase::revoke, Phase::flush,
                                       Phase::collect, Phase::write_back, Phase::free));
}

// A leaf for each page: as many nodes as are not left for a later removal to free.
TEST_P(RemovalsThatWait, ForAGracePeriodSaySo) {
    for (PageIndex index = 2 * leaf_pages; index < size_pages; index += leaf_pages) {
        Result<AnyCounted> page = map->insert(index);
        ASSERT_TRUE(page) << page.error().text();
        map->put(*page);
    }
    ASSERT_TRUE(map->remove_contig({2 * leaf_pages, size_pages - 2 * leaf_pages}, &noted));
    EXPECT_THAT(noted.seen, ::testing::ElementsAre(Phase::mark, Phase::revoke, Phase::flush, Phase::collect,
                                                   Phase::write_back, Phase::free, Phase::grace_period, Phase::free));
}

// A failed load returns its page's memory without having the turn to remove, so a removal may fail just then. It clears
// the marks that it made, and not the one that keeps the slot shut.
TEST_P(Interleaving, ARemovalThatFailsLeavesAPunchUnderWayAlone) {
    AnyRegion* region = map_region({.pages = {0, 16}});
    write_mapped(region, 3, 1);
    write_mapped(region, 5, 1);
    fail_the_next_read();
    Steps::at_punch = [&] {
        Stubborn::refuses = true;
        EXPECT_FALSE(map->remove_contig({0, 16}));
        Stubborn::refuses = false;
        Result<AnyCounted> early = map->insert(4);
        EXPECT_FALSE(early) << "the punch would take its bytes";
    };
    EXPECT_EQ(map->load(4).error().code, ErrorCode::io);
    EXPECT_EQ(version(4), 0u);
    EXPECT_EQ(version(5), 1u);
    remove_region(region);
}

}  // namespace
}  // namespace page_map_lab::testing
