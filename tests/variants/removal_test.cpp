#include <vector>

#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class Removal : public PageMapTest {};
FOR_EVERY_VARIANT(Removal);

TEST_P(Removal, RemovesUnusedPagesAndGivesTheirMemoryBack) {
    make_map();
    for (PageIndex index = 0; index < 64; ++index) {
        touch(index);
    }
    EXPECT_EQ(map->memory_pages(), 64u);
    EXPECT_EQ(remove({16, 32}), 32u);
    EXPECT_EQ(map->page_count(), 32u);  // defect 12
    EXPECT_EQ(map->frames_in_use(), 32u);
    EXPECT_EQ(map->memory_pages(), 32u);
    EXPECT_FALSE(map->find(16));
    const AnyCounted kept = map->find(15);
    EXPECT_TRUE(kept);
    map->put(kept);
}

TEST_P(Removal, KeepsTheMemoryWhereToldTo) {
    make_map({.keep_memory = true});
    touch(1);
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(map->memory_pages(), 1u);
    EXPECT_EQ(map->frames_in_use(), 0u);
    store.store_version(1, 5);
    EXPECT_EQ(version(1), 5u) << "what the memory held before is not what the store holds";
}

TEST_P(Removal, TakesEmptyAndFullRangesAndRefusesOnesThatWrap) {
    make_map();
    touch(0);
    touch(object_pages - 1);
    EXPECT_EQ(remove({0, 0}), 0u);
    Result<RemovalOutcome> wrapped = map->remove_contig({~PageIndex{0} - 1, 4});
    ASSERT_FALSE(wrapped);
    EXPECT_EQ(wrapped.error().code, ErrorCode::bad_range);
    EXPECT_EQ(map->page_count(), 2u);
    EXPECT_EQ(remove({0, ~PageIndex{0}}), 2u);
}

TEST_P(Removal, SparesPagesThatAreReferenced) {
    make_map();
    const AnyCounted held = load(3);
    touch(4);
    EXPECT_EQ(remove({0, 8}), 1u);
    EXPECT_EQ(version_of(map->bytes(held).first<page_size>(), 3), 0u);
    EXPECT_FALSE(SlotWord{map->slot_bits(held)}.removal());
    map->put(held);
    EXPECT_EQ(remove({0, 8}), 1u);
}

TEST_P(Removal, WritesDirtyPagesBackFirst) {
    make_map();
    for (PageIndex index = 0; index < 200; ++index) {
        write(index, index + 1);
    }
    Result<RemovalOutcome> outcome = map->remove_contig({0, 200});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 200u);
    EXPECT_EQ(outcome->written_back, 200u);
    for (PageIndex index = 0; index < 200; ++index) {
        EXPECT_EQ(store.stored_version(index), index + 1);
        EXPECT_EQ(store.writes_of(index), 1u);
    }
}

// Defect 10, its other half: a failing write keeps the page dirty and in the map, and is reported.
TEST_P(Removal, KeepsAPageWhoseWriteFails) {
    WatchedStore watched(store);
    make_map({.store = &watched});
    write(3, 1);
    write(100, 2);
    watched.before_write = [](PageRange range) -> Status {
        return range.contains(3) ? fail(ErrorCode::io, "no space left", ENOSPC) : Status{};
    };
    Result<RemovalOutcome> outcome = map->remove_contig({0, object_pages});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 1u);
    EXPECT_EQ(outcome->write_failures, 1u);
    ASSERT_TRUE(outcome->write_error);
    EXPECT_EQ(outcome->write_error->system_errno, ENOSPC);
    EXPECT_EQ(version(3), 1u);
    watched.before_write = [](PageRange) { return Status{}; };
    EXPECT_EQ(remove({0, object_pages}), 1u);
    EXPECT_EQ(store.stored_version(3), 1u);
    EXPECT_TRUE(map->destroy());
}

TEST_P(Removal, IsAbortedByALateUserEvenIfTheyAreGoneAgain) {
    WatchedStore watched(store);
    make_map({.store = &watched});
    write(0, 1);
    touch(1);
    touch(2);
    // The map is unlocked while page 0 is written: page 1 is found and put, which restores every bit but REMOVAL.
    watched.before_write = [&](PageRange) {
        const auto online = map->online_scope();
        const AnyCounted late = map->find(1);
        EXPECT_TRUE(late);
        map->put(late);
        return Status{};
    };
    EXPECT_EQ(remove({0, 3}), 2u);
    EXPECT_FALSE(map->find(0));
    EXPECT_FALSE(map->find(2));
    const AnyCounted survivor = map->find(1);
    ASSERT_TRUE(survivor);
    map->put(survivor);
    watched.before_write = [](PageRange) { return Status{}; };
    EXPECT_TRUE(map->destroy());
}

TEST_P(Removal, KeepsWhatALateUserWroteDuringTheWriteBack) {
    WatchedStore watched(store);
    make_map({.store = &watched});
    write(0, 1);
    bool wrote = false;
    watched.before_write = [&](PageRange) {
        if (!wrote) {
            wrote = true;
            const auto online = map->online_scope();
            const AnyCounted late = map->find(0);
            EXPECT_TRUE(late);
            fill_contents(map->bytes(late), 0, 2);
            map->mark_dirty(late);
            map->put(late);
        }
        return Status{};
    };
    EXPECT_EQ(remove({0, 1}), 0u);
    EXPECT_EQ(version(0), 2u);
    EXPECT_EQ(remove({0, 1}), 1u);
    EXPECT_EQ(store.stored_version(0), 2u);
    EXPECT_TRUE(map->destroy());
}

TEST_P(Removal, HasOneRemoverAtATime) {
    WatchedStore watched(store);
    make_map({.store = &watched});
    write(0, 1);
    touch(9);
    bool asked = false;
    watched.before_write = [&](PageRange) {
        asked = true;
        const auto online = map->online_scope();
        EXPECT_EQ(remove({9, 1}), 0u);
        EXPECT_EQ(map->writeback({0, object_pages}).error().code, ErrorCode::busy);
        EXPECT_EQ(map->free_unused().error().code, ErrorCode::busy);
        EXPECT_EQ(map->remove_or_zero({9, 1}).error().code, ErrorCode::busy);
        EXPECT_EQ(map->destroy().error().code, ErrorCode::busy);
        return Status{};
    };
    EXPECT_EQ(remove({0, 1}), 1u);
    EXPECT_TRUE(asked);
    EXPECT_EQ(remove({9, 1}), 1u);
}

// Defect 7: what hangs off BUFFER is dropped with the page.
TEST_P(Removal, DropsWhatHangsOffThePage) {
    struct Watched final : PageBuffer {
        explicit Watched(int& drops) : drops_(drops) {}
        ~Watched() override { ++drops_; }
        int& drops_;
    };
    make_map();
    int drops = 0;
    const AnyCounted page = load(0);
    map->attach_buffer(page, std::make_unique<Watched>(drops));
    map->put(page);
    EXPECT_EQ(drops, 0);
    EXPECT_EQ(remove({0, 1}), 1u);
    EXPECT_EQ(drops, 1);
    const AnyCounted reborn = load(0);
    EXPECT_EQ(map->flags(reborn) & page_flag::buffer, 0u);
    map->put(reborn);
}

TEST_P(Removal, ReportsItsPhasesInOrder) {
    struct Watch final : PhaseObserver {
        void enter(Phase phase) noexcept override { seen.push_back(phase); }
        void finish() noexcept override { finished = true; }
        std::vector<Phase> seen;
        bool finished = false;
    };
    make_map();
    touch(0);
    Watch watch;
    ASSERT_TRUE(map->remove_contig({0, 1}, &watch));
    const std::vector<Phase> expected{Phase::mark,    Phase::revoke,     Phase::flush,
                                      Phase::collect, Phase::write_back, Phase::free};
    EXPECT_EQ(watch.seen, expected);
    EXPECT_TRUE(watch.finished);
}

TEST_P(Removal, WritebackMakesTheStoreEqualAndKeepsThePages) {
    make_map();
    write(1, 7);
    write(2, 8);
    write(200, 9);
    Result<RemovalOutcome> outcome = map->writeback({0, 100});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->written_back, 2u);
    EXPECT_EQ(store.stored_version(1), 7u);
    EXPECT_EQ(store.stored_version(200), 0u);
    EXPECT_EQ(map->page_count(), 3u);
    outcome = map->writeback({0, object_pages});
    EXPECT_EQ(outcome->written_back, 1u) << "clean pages are not written again";
}

TEST_P(Removal, FreeUnusedDropsWhatNobodyMapsOrHolds) {
    make_map();
    touch(0);
    write(1, 3);
    const AnyCounted held = load(2);
    AnyRegion* region = map_region({.pages = {3, 1}});
    EXPECT_EQ(mapped_version(region, 3), 0u);
    Result<RemovalOutcome> outcome = map->free_unused();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 2u);
    EXPECT_EQ(store.stored_version(1), 3u);
    map->put(held);
    EXPECT_EQ(map->page_count(), 2u);
    remove_region(region);
}

TEST_P(Removal, TruncationDropsWhatItCanAndZeroesWhatIsInUse) {
    make_map();
    write(0, 1);
    write(1, 1);
    const AnyCounted held = load(1);
    Result<RemovalOutcome> outcome = map->remove_or_zero({0, 2});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 1u);
    EXPECT_EQ(outcome->zeroed, 1u);
    EXPECT_EQ(store.stored_version(0), 0u) << "what is cut off is not written";
    for (const std::byte one : map->bytes(held)) {
        ASSERT_EQ(one, std::byte{0});
    }
    map->put(held);
}

TEST_P(Removal, DestroyRefusesWhileSomethingIsInUse) {
    make_map();
    const AnyCounted held = load(0);
    EXPECT_EQ(map->destroy().error().code, ErrorCode::busy);
    map->put(held);
    AnyRegion* region = map_region({.pages = {0, 1}});
    EXPECT_EQ(map->destroy().error().code, ErrorCode::busy);
    remove_region(region);
    EXPECT_TRUE(map->destroy());
    EXPECT_EQ(map->page_count(), 0u);
}

TEST_P(Removal, FreesTheNodesOfAnEmptiedMap) {
    if (GetParam().layout == "flat") {
        GTEST_SKIP() << "flat has no nodes";
    }
    constexpr std::uint64_t pages = 64 * 64 * 8;
    make_map({.size_pages = pages, .frame_count = pages, .with_memory = false});
    const std::size_t empty = map->node_bytes();
    for (PageIndex index = 0; index < pages; ++index) {
        map->put(*map->insert(index));
    }
    EXPECT_GT(map->node_bytes(), empty + pages * 8);
    EXPECT_EQ(remove({0, pages}), pages);
    ASSERT_TRUE(map->destroy());
    EXPECT_LE(map->node_bytes(), empty + (64 << 10));
}

}  // namespace
}  // namespace page_map_lab::testing
