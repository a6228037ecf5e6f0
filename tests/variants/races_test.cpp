// Races between operations that a test can bring about through the store's calls, and what must outlive them.
#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class Races : public PageMapTest {
protected:
    /// Calls `act` once in the middle of the next write-back, before its last run of pages is written and after those
    /// before it were, with the map unlocked and the thread online.
    template <class Act>
    void during_the_write_back(Act act, int runs = 1) {
        watched.before_write = [this, act, runs](PageRange) mutable {
            if (--runs == 0) {
                const auto online = map->online_scope();
                act();
            }
            return Status{};
        };
    }

    WatchedStore watched{store};
};
FOR_EVERY_VARIANT(Races);

TEST_P(Races, ARegionThatIsPinnedDuringARemovalKeepsItsPages) {
    make_map({.store = &watched});
    AnyRegion* region = map_region({.pages = {4, 4}});
    for (PageIndex index = 0; index < 12; ++index) {
        write(index, 1);
    }
    during_the_write_back([&] { map->set_region_locked(region, true); });
    EXPECT_EQ(remove({0, 12}), 8u);
    for (PageIndex index = 4; index < 8; ++index) {
        const AnyCounted page = map->find(index);
        EXPECT_TRUE(page) << "page " << index << " was pinned before it was dropped";
        map->put(page);
    }
    map->set_region_locked(region, false);
    EXPECT_EQ(remove({0, 12}), 4u) << "a mark was left";
    remove_region(region);
}

TEST_P(Races, ARegionThatIsAddedPinnedDuringARemovalKeepsItsPages) {
    make_map({.store = &watched});
    for (PageIndex index = 0; index < 12; ++index) {
        write(index, 1);
    }
    AnyRegion* region = nullptr;
    during_the_write_back([&] { region = map_region({.pages = {4, 4}, .locked = true}); });
    EXPECT_EQ(remove({0, 12}), 8u);
    EXPECT_EQ(map->page_count(), 4u);
    remove_region(region);
}

TEST_P(Races, AFaultDuringTheWriteBackKeepsItsPageAndWhatItWrites) {
    make_map({.store = &watched});
    AnyRegion* region = map_region({.pages = {0, 8}});
    write_mapped(region, 2, 1);
    write_mapped(region, 4, 1);
    during_the_write_back([&] { write_mapped(region, 2, 2); }, /*runs=*/2);
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(store.stored_version(2), 1u);
    EXPECT_EQ(mapped_version(region, 2), 2u);
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(store.stored_version(2), 2u);
    remove_region(region);
}

TEST_P(Races, ARegionThatIsUnmappedDuringTheWriteBackLosesNothing) {
    make_map({.store = &watched});
    AnyRegion* region = map_region({.pages = {0, 8}});
    write_mapped(region, 2, 1);
    write_mapped(region, 4, 1);
    during_the_write_back(
        [&] {
            write_mapped(region, 2, 2);
            remove_region(region);
        },
        /*runs=*/2);
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(store.stored_version(2), 1u);
    EXPECT_EQ(version(2), 2u);
    ASSERT_TRUE(map->writeback({0, 8}));
    EXPECT_EQ(store.stored_version(2), 2u);
}

TEST_P(Races, WhatIsWrittenThroughAMappingAfterItWasWrittenBackIsWrittenAgain) {
    make_map({.store = &watched});
    AnyRegion* region = map_region({.pages = {0, 8}});
    write_mapped(region, 2, 1);
    write_mapped(region, 4, 1);
    during_the_write_back([&] { write_mapped(region, 2, 2); }, /*runs=*/2);
    ASSERT_TRUE(map->writeback({0, 8}));
    EXPECT_EQ(store.stored_version(2), 1u);
    ASSERT_TRUE(map->writeback({0, 8}));
    EXPECT_EQ(store.stored_version(2), 2u);
    remove_region(region);
}

TEST_P(Races, FreeUnusedSparesAPageThatIsMappedWhileItWrites) {
    make_map({.store = &watched});
    write(0, 1);
    touch(1);
    AnyRegion* region = map_region({.pages = {0, 2}});
    during_the_write_back([&] { EXPECT_EQ(mapped_version(region, 1), 0u); });
    Result<RemovalOutcome> outcome = map->free_unused();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 1u);
    EXPECT_EQ(mapped_version(region, 1), 0u);
    EXPECT_EQ(map->page_count(), 1u);
    remove_region(region);
}

// Each writer has private copies of its own, which nothing that happens to the object may change or lose; readers of the
// object go on through every change of a protection that still lets them.
TEST_P(Races, PrivateCopiesAndReadersOutliveRemovalsAndProtections) {
    constexpr std::uint64_t pages = 16;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    constexpr int steps = 160;
#else
    constexpr int steps = 400;
#endif
    make_map();
    AnyRegion* shared = map_region({.pages = {0, pages}});
    std::atomic<int> working{3};
    std::atomic<int> wrong{0};
    auto offline = map->offline_scope();  // this thread only waits
    std::vector<std::thread> threads;
    for (std::uint64_t writer = 1; writer <= 2; ++writer) {
        threads.emplace_back([&, writer] {
            const auto registration = map->register_thread();
            AnyRegion* own = map_region({.pages = {0, pages}, .sharing = Sharing::copy_on_write});
            std::array<std::uint64_t, pages> versions{};
            for (std::uint64_t step = 1; step <= steps; ++step) {
                const PageIndex index = (step * 7 + writer) % pages;
                if (step % pages == 0) {
                    // Anew, so that first writes go on meeting shootdowns.
                    remove_region(own);
                    own = map_region({.pages = {0, pages}, .sharing = Sharing::copy_on_write});
                    versions.fill(0);
                }
                wrong += mapped_version(own, index) != versions[index];
                versions[index] = writer << 32 | step;
                write_mapped(own, index, versions[index]);
                wrong += mapped_version(own, index) != versions[index];
                map->quiescent();
            }
            remove_region(own);
            --working;
        });
    }
    threads.emplace_back([&] {
        const auto registration = map->register_thread();
        for (int step = 0; step < steps; ++step) {
            wrong += mapped_version(shared, static_cast<PageIndex>(step) % pages) != 0u;
            map->quiescent();
        }
        --working;
    });
    threads.emplace_back([&] {
        const auto registration = map->register_thread();
        for (std::uint64_t turn = 0; working.load() > 0; ++turn) {
            wrong += !map->remove_contig({turn % pages, 1 + turn % 5});
            wrong += !map->protect_region(shared, turn % 2 == 0 ? Access::read : Access::write);
            map->quiescent();
            std::this_thread::yield();
        }
    });
    for (std::thread& one : threads) {
        one.join();
    }
    offline.reset();
    EXPECT_EQ(wrong.load(), 0);
    remove_region(shared);
}

// A load that has read the old bytes when the store is shortened must not bring them back.
TEST_P(Races, ATruncationReachesAPageThatIsBeingRead) {
    /// Answers with what the store held before it was truncated, once the test says so.
    class SlowStore final : public Store {
    public:
        explicit SlowStore(Store& inner) : inner_(inner) {}
        Status read_pages(PageRange range, std::span<std::byte> bytes) override {
            Status read = inner_.read_pages(range, bytes);
            has_read.store(true, std::memory_order_release);  // [slow-store]
            while (!goes_on.load(std::memory_order_acquire)) {  // [slow-store]
                std::this_thread::yield();
            }
            return read;
        }
        Status write_pages(PageRange range, std::span<const std::byte> bytes) override {
            return inner_.write_pages(range, bytes);
        }
        std::uint64_t size_pages() const override { return inner_.size_pages(); }
        std::atomic<bool> has_read{false};
        std::atomic<bool> goes_on{false};

    private:
        Store& inner_;
    };
    SlowStore slow(store);
    store.store_version(3, 9);
    make_map({.store = &slow});
    std::atomic<bool> truncated{false};
    auto offline = map->offline_scope();  // this thread only waits
    std::thread loader([&] {
        const auto registration = map->register_thread();
        Result<AnyCounted> page = map->load(3);
        EXPECT_TRUE(page);
        map->put(*page);
    });
    while (!slow.has_read.load(std::memory_order_acquire)) {  // [slow-store]
        std::this_thread::yield();
    }
    std::thread truncater([&] {
        const auto registration = map->register_thread();
        EXPECT_TRUE(map->remove_or_zero({0, 8}));
        truncated.store(true, std::memory_order_release);  // [truncated]
    });
    // A truncation that does not wait for the page is over soon; one that does is let go by the loader. Either way the
    // bytes decide.
    for (int patience = 0; patience < 50 && !truncated.load(std::memory_order_acquire); ++patience) {  // [truncated]
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    slow.goes_on.store(true, std::memory_order_release);  // [slow-store]
    loader.join();
    truncater.join();
    offline.reset();
    const AnyCounted page = load(3);
    for (const std::byte one : map->bytes(page)) {
        ASSERT_EQ(one, std::byte{0}) << "the page holds what was cut off";
    }
    map->put(page);
    EXPECT_TRUE(map->destroy());
}

// A failed load retires the nodes that its page needed; nobody removes anything here.
TEST_P(Races, FailedLoadsDoNotPileUpNodes) {
    if (GetParam().layout == "flat") {
        GTEST_SKIP() << "flat has no nodes";
    }
    make_map({.store = &watched, .arena_budget_bytes = 256 << 10});
    watched.before_read = [](PageRange) -> Status { return fail(ErrorCode::io, "the disk is gone", EIO); };
    for (int round = 0; round < 2000; ++round) {
        const PageIndex index = static_cast<PageIndex>(round) % object_pages;
        ASSERT_EQ(map->load(index).error().code, ErrorCode::io) << "in round " << round;
    }
    EXPECT_EQ(map->page_count(), 0u);
    watched.before_read = [](PageRange) { return Status{}; };
}

// Nodes that wait for a grace period are memory that a load can have.
TEST_P(Races, ALoadTakesTheMemoryOfNodesThatARemovalRetired) {
    if (GetParam().layout == "flat") {
        GTEST_SKIP() << "flat has no nodes";
    }
    constexpr std::uint64_t far_apart = 64;
    constexpr std::uint64_t pages = far_apart * 2048;
    MemoryStore large(pages, MemoryStore::Fresh::versioned);
    make_map({.size_pages = pages, .frame_count = 4096, .store = &large, .arena_budget_bytes = 128 << 10});
    std::uint64_t loaded = 0;
    for (;; ++loaded) {
        ASSERT_LT(loaded, 2048u) << "the budget should not hold a leaf for every page";
        Result<AnyCounted> page = map->load(loaded * far_apart);
        if (!page) {
            ASSERT_EQ(page.error().code, ErrorCode::no_memory);
            break;
        }
        map->put(*page);
    }
    ASSERT_GT(loaded, 4u);
    EXPECT_EQ(remove({(loaded - 2) * far_apart, 1}), 1u);
    Result<AnyCounted> page = map->load((loaded - 2) * far_apart + 1);
    ASSERT_TRUE(page) << page.error().text();
    map->put(*page);
    EXPECT_EQ(map->frames_in_use(), map->page_count());
    EXPECT_TRUE(map->destroy());
}

TEST_P(Races, AStoreThatThrowsIsAStoreThatFails) {
    make_map({.store = &watched});
    watched.before_read = [](PageRange) -> Status { throw std::runtime_error("no such device"); };
    Result<AnyCounted> refused = map->load(2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::io);
    EXPECT_EQ(map->frames_in_use(), 0u);
    watched.before_read = [](PageRange) { return Status{}; };
    write(2, 5);
    watched.before_write = [](PageRange) -> Status { throw std::bad_alloc(); };
    Result<RemovalOutcome> outcome = map->remove_contig({0, 8});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 0u);
    EXPECT_EQ(outcome->write_failures, 1u);
    EXPECT_EQ(version(2), 5u);
    watched.before_write = [](PageRange) { return Status{}; };
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(store.stored_version(2), 5u);
    EXPECT_TRUE(map->destroy());
}

// Who inserts a page and fills it himself says so with mark_dirty: a read of the store would overwrite newer data.
TEST_P(Races, APageThatWasFilledByHandIsNotReadOver) {
    make_map();
    Result<AnyCounted> inserted = map->insert(6);
    ASSERT_TRUE(inserted);
    fill_contents(map->bytes(*inserted), 6, 11);
    map->mark_dirty(*inserted);
    map->put(*inserted);
    EXPECT_EQ(version(6), 11u);
    EXPECT_EQ(store.reads_of(6), 0u);
    Result<AnyCounted> current = map->load_nowait(6);
    ASSERT_TRUE(current);
    map->put(*current);
    EXPECT_EQ(remove({6, 1}), 1u);
    EXPECT_EQ(store.stored_version(6), 11u);
}

TEST_P(Races, AMapWithoutMemoryReportsWhatItCannotWriteBack) {
    make_map({.with_memory = false});
    Result<AnyCounted> page = map->insert(1);
    ASSERT_TRUE(page);
    EXPECT_EQ(map->load(2).error().code, ErrorCode::unavailable);
    EXPECT_EQ(map->frames_in_use(), 1u);
    map->mark_dirty(*page);
    map->put(*page);
    Result<RemovalOutcome> outcome = map->remove_contig({0, 8});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 0u);
    ASSERT_TRUE(outcome->write_error);
    EXPECT_EQ(outcome->write_error->code, ErrorCode::unavailable);
    page = map->load(1);
    ASSERT_TRUE(page) << "it is what it was filled with";
    outcome = map->remove_or_zero({0, 8});
    ASSERT_TRUE(outcome) << "there are no bytes to zero";
    map->put(*page);
    outcome = map->remove_or_zero({0, 8});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 1u) << "a truncation writes nothing";
}

}  // namespace
}  // namespace page_map_lab::testing
