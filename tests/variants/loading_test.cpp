#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class Loading : public PageMapTest {};
FOR_EVERY_VARIANT(Loading);

TEST_P(Loading, FindsNothingInAnEmptyMap) {
    make_map();
    EXPECT_FALSE(map->find(0));
    EXPECT_FALSE(map->find(object_pages - 1));
    EXPECT_EQ(map->page_count(), 0u);
}

TEST_P(Loading, LoadsAPageOnceAndFindsItAfterwards) {
    make_map();
    const AnyCounted page = load(7);
    EXPECT_EQ(version_of(map->bytes(page).first<page_size>(), 7), 0u);
    const AnyCounted again = map->find(7);
    ASSERT_TRUE(again);
    EXPECT_EQ(again.frame, page.frame);
    EXPECT_EQ(again.slot, page.slot);
    EXPECT_EQ(SlotWord{map->slot_bits(page)}.refcount(), 2u);
    map->put(again);
    map->put(page);
    touch(7);
    EXPECT_EQ(store.reads_of(7), 1u);
    EXPECT_EQ(map->page_count(), 1u);
}

TEST_P(Loading, ReadsEachPageExactlyOnceWhileThreadsRace) {
    constexpr int thread_count = 4;
    make_map({.frame_count = object_pages + thread_count});
    auto offline = map->offline_scope();  // this thread only waits
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int number = 0; number < thread_count; ++number) {
        threads.emplace_back([&] {
            const auto registration = map->register_thread();
            for (PageIndex index = 0; index < object_pages; ++index) {
                Result<AnyCounted> page = map->load(index);
                if (!page || version_of(map->bytes(*page).first<page_size>(), index) != 0u) {
                    wrong.fetch_add(1, std::memory_order_relaxed);  // relaxed: read after the join
                    continue;
                }
                map->put(*page);
                map->quiescent();
            }
        });
    }
    for (std::thread& one : threads) {
        one.join();
    }
    offline.reset();
    EXPECT_EQ(wrong.load(std::memory_order_relaxed), 0);
    EXPECT_EQ(store.total_reads(), object_pages);
    EXPECT_FALSE(store.read_twice());
    EXPECT_EQ(map->page_count(), object_pages);
    EXPECT_EQ(map->frames_in_use(), object_pages);
}

TEST_P(Loading, LoadNowaitNeverReadsTheStore) {
    make_map();
    Result<AnyCounted> absent = map->load_nowait(3);
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, ErrorCode::try_again);
    touch(3);
    Result<AnyCounted> present = map->load_nowait(3);
    ASSERT_TRUE(present);
    map->put(*present);
    EXPECT_EQ(store.total_reads(), 1u);
}

TEST_P(Loading, LoadNowaitDropsItsReferenceToAPageThatIsNotUpToDate) {
    make_map();
    Result<AnyCounted> inserted = map->insert(3);
    ASSERT_TRUE(inserted);
    Result<AnyCounted> early = map->load_nowait(3);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, ErrorCode::try_again);
    EXPECT_EQ(SlotWord{map->slot_bits(*inserted)}.refcount(), 1u);
    map->put(*inserted);
}

TEST_P(Loading, RefusesWhatIsPastTheEndOfTheObject) {
    make_map();
    EXPECT_EQ(map->load(object_pages).error().code, ErrorCode::past_end);
    EXPECT_EQ(map->insert(object_pages).error().code, ErrorCode::past_end);
    EXPECT_FALSE(map->find(object_pages));
    EXPECT_FALSE(map->find(~PageIndex{0}));
}

TEST_P(Loading, SaysWhenFramesRunOutAndLosesNone) {
    make_map({.frame_count = 2});
    touch(0);
    touch(1);
    Result<AnyCounted> refused = map->load(2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::no_frame);
    EXPECT_NE(refused.error().text().find("2 frames"), std::string::npos);
    EXPECT_EQ(remove({0, 1}), 1u);
    touch(2);
}

TEST_P(Loading, ReclaimsWhereAHookIsGiven) {
    make_map({.frame_count = 4, .reclaim = [&] {
                  Result<RemovalOutcome> evicted = map->remove_contig({0, object_pages});
                  return evicted && evicted->removed > 0;
              }});
    for (PageIndex index = 0; index < object_pages; ++index) {
        touch(index);
    }
    EXPECT_LE(map->page_count(), 4u);
}

TEST_P(Loading, InsertRefusesAPageThatIsThere) {
    make_map();
    touch(9);
    Result<AnyCounted> second = map->insert(9);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::already_present);
    EXPECT_EQ(map->frames_in_use(), 1u);
}

// Defect 4: the reference's bound overflows for keys beyond 30 bits.
TEST_P(Loading, HoldsPagesAtIndexesBeyondThirtyBits) {
    const bool flat = GetParam().layout == "flat";
    if (flat && GetParam().shootdown != "batched") {
        GTEST_SKIP() << "flat looks through a bit for each index below the last page: one shootdown is enough";
    }
#ifdef __SANITIZE_THREAD__
    if (flat) {
        GTEST_SKIP() << "ThreadSanitizer watches each of those looks, of one thread: the other sanitizer and none are enough";
    }
#endif
    const std::uint64_t size = std::uint64_t{1} << (flat ? 32 : 41);
    make_map({.size_pages = size, .frame_count = 64, .with_memory = false});
    std::vector<AnyCounted> pages;
    for (PageIndex index = 1; index < size; index <<= 1) {
        Result<AnyCounted> page = map->insert(index);
        ASSERT_TRUE(page) << index << ": " << page.error().text();
        pages.push_back(*page);
    }
    std::set<void*> slots;
    std::size_t position = 0;
    for (PageIndex index = 1; index < size; index <<= 1) {
        const AnyCounted found = map->find(index);
        ASSERT_TRUE(found) << index;
        EXPECT_EQ(found.slot, pages[position].slot) << "the slot of page " << index << " moved";
        slots.insert(found.slot);
        map->put(found);
        map->put(pages[position++]);
        EXPECT_FALSE(map->find(index + 1 == index << 1 ? index + 2 : index + 1));
    }
    EXPECT_EQ(slots.size(), pages.size());
    EXPECT_EQ(remove({0, size}), pages.size());
}

// Defect 8: the 11-bit count overflows unchecked.
TEST_P(Loading, SaturatesWithAnErrorBeforeTheCountOverflows) {
    make_map();
    std::vector<AnyCounted> references{load(5)};
    while (references.size() < SlotWord::max_refcount) {
        references.push_back(map->find(5));
        ASSERT_TRUE(references.back());
    }
    const AnyCounted refused = map->find(5);
    EXPECT_FALSE(refused);
    EXPECT_TRUE(refused.saturated());
    EXPECT_EQ(map->load(5).error().code, ErrorCode::refcount_saturated);
    EXPECT_EQ(map->load_nowait(5).error().code, ErrorCode::refcount_saturated);
    EXPECT_EQ(SlotWord{map->slot_bits(references[0])}.refcount(), SlotWord::max_refcount);
    for (const AnyCounted& reference : references) {
        map->put(reference);
    }
    EXPECT_EQ(remove({5, 1}), 1u);
}

// Defect 9: an allocation failure inside the tree is an error with nothing changed.
TEST_P(Loading, RunsOutOfNodeMemoryWithNothingChanged) {
    if (GetParam().layout == "flat") {
        GTEST_SKIP() << "flat reserves its array once and allocates nothing afterwards";
    }
    constexpr std::uint64_t far_apart = std::uint64_t{1} << 20;
    make_map({.size_pages = far_apart * 512, .frame_count = 512, .with_memory = false, .arena_budget_bytes = 256 << 10});
    std::uint64_t inserted = 0;
    Result<AnyCounted> page = map->insert(0);
    while (page) {
        map->put(*page);
        page = map->insert(++inserted * far_apart);
    }
    ASSERT_EQ(page.error().code, ErrorCode::no_memory) << page.error().text();
    ASSERT_LT(inserted, 512u);
    EXPECT_EQ(map->page_count(), inserted);
    EXPECT_EQ(map->frames_in_use(), inserted);
    EXPECT_FALSE(map->find(inserted * far_apart));
    for (std::uint64_t number = 0; number < inserted; ++number) {
        const AnyCounted found = map->find(number * far_apart);
        ASSERT_TRUE(found);
        map->put(found);
    }
}

// Defect 10: a failing read is an error to the caller; the page leaves the map.
TEST_P(Loading, AFailedReadLeavesNoPageAndTheNextOneSucceeds) {
    WatchedStore watched(store);
    make_map({.store = &watched});
    watched.before_read = [](PageRange) -> Status { return fail(ErrorCode::io, "the disk is gone", EIO); };
    Result<AnyCounted> refused = map->load(4);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::io);
    EXPECT_EQ(map->page_count(), 0u);
    EXPECT_EQ(map->frames_in_use(), 0u);
    watched.before_read = [](PageRange) { return Status{}; };
    touch(4);
    map->destroy();
}

TEST_P(Loading, WaitersOfAFailedReadReadThemselvesOrGetTheirOwnError) {
    WatchedStore watched(store);
    make_map({.frame_count = object_pages + 3, .store = &watched});
    std::atomic<int> reads{0};
    watched.before_read = [&](PageRange) -> Status {
        // relaxed: a count
        if (reads.fetch_add(1, std::memory_order_relaxed) % 2 == 0) {
            std::this_thread::yield();
            return fail(ErrorCode::io, "every second read fails", EIO);
        }
        return {};
    };
    auto offline = map->offline_scope();  // this thread only waits
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int number = 0; number < 3; ++number) {
        threads.emplace_back([&] {
            const auto registration = map->register_thread();
            for (PageIndex index = 0; index < object_pages; ++index) {
                Result<AnyCounted> page = map->load(index);
                if (page) {
                    if (version_of(map->bytes(*page).first<page_size>(), index) != 0u) {
                        wrong.fetch_add(1, std::memory_order_relaxed);  // relaxed: read after the join
                    }
                    map->put(*page);
                } else if (page.error().code != ErrorCode::io) {
                    wrong.fetch_add(1, std::memory_order_relaxed);  // relaxed: read after the join
                }
                map->quiescent();
            }
        });
    }
    for (std::thread& one : threads) {
        one.join();
    }
    offline.reset();
    EXPECT_EQ(wrong.load(std::memory_order_relaxed), 0);
    EXPECT_EQ(map->frames_in_use(), map->page_count());
    map->destroy();
}

}  // namespace
}  // namespace page_map_lab::testing
