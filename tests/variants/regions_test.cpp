#include <signal.h>

#include "impl/page_map/fault_handler.hpp"
#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class Regions : public PageMapTest {};
FOR_EVERY_VARIANT(Regions);

TEST_P(Regions, ServesFaultsFromTheStore) {
    make_map();
    AnyRegion* region = map_region({.pages = {10, 20}});
    EXPECT_EQ(mapped_version(region, 10), 0u);
    EXPECT_EQ(mapped_version(region, 29), 0u);
    EXPECT_EQ(map->page_count(), 2u);
    const AnyCounted page = load(10);
    EXPECT_EQ(SlotWord{map->slot_bits(page)}.refcount(), 1u) << "a fault puts its reference once its entry is written";
    map->put(page);
    remove_region(region);
}

// Whoever faults has nobody to tell that the slot cannot count one more.
TEST_P(Regions, ServesAFaultOnAPageThatHasEveryReferenceThereCanBe) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 8}});
    std::vector<AnyCounted> references{load(5)};
    while (const AnyCounted more = map->find(5)) {
        references.push_back(more);
    }
    EXPECT_EQ(references.size(), SlotWord::max_refcount);
    const Status served = map->fault(region, 5, Access::read);
    EXPECT_TRUE(served) << served.error().text();
    EXPECT_EQ(mapped_version(region, 5), 0u);
    write_mapped(region, 5, 7);
    for (const AnyCounted& reference : references) {
        map->put(reference);
    }
    EXPECT_EQ(remove({5, 1}), 1u);
    EXPECT_EQ(store.stored_version(5), 7u);
    remove_region(region);
}

TEST_P(Regions, WritesThroughAMappingReachTheStore) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 8}});
    write_mapped(region, 2, 5);
    Result<RemovalOutcome> written = map->writeback({0, object_pages});
    ASSERT_TRUE(written);
    EXPECT_EQ(store.stored_version(2), 5u);
    write_mapped(region, 2, 6);
    written = map->writeback({0, object_pages});
    EXPECT_EQ(written->written_back, 1u) << "write-back closes the page for writing, so that the next write shows";
    EXPECT_EQ(store.stored_version(2), 6u);
    EXPECT_EQ(mapped_version(region, 2), 6u);
    remove_region(region);
}

TEST_P(Regions, RemovalRevokesEveryMapping) {
    make_map();
    AnyRegion* one = map_region({.pages = {0, 16}});
    AnyRegion* other = map_region({.pages = {4, 16}});
    for (PageIndex index = 4; index < 16; ++index) {
        write_mapped(one, index, 3);
        EXPECT_EQ(mapped_version(other, index), 3u);
    }
    EXPECT_EQ(remove({0, object_pages}), 12u);
    for (PageIndex index = 4; index < 16; ++index) {
        EXPECT_EQ(store.stored_version(index), 3u);
        store.store_version(index, 9);
        EXPECT_EQ(mapped_version(one, index), 9u) << "a stale translation";
        EXPECT_EQ(mapped_version(other, index), 9u) << "a stale translation";
    }
    remove_region(one);
    remove_region(other);
}

// Defect 1: a region that starts inside the range stays mapped.
TEST_P(Regions, RemovalFindsARegionThatStartsInsideItsRange) {
    make_map();
    AnyRegion* region = map_region({.pages = {8, 4}});
    EXPECT_EQ(mapped_version(region, 9), 0u);
    touch(0);
    EXPECT_EQ(remove({0, 16}), 2u);
    store.store_version(9, 4);
    EXPECT_EQ(mapped_version(region, 9), 4u);
    remove_region(region);
}

// Defect 2: munmap drops the entries' dirty bits.
TEST_P(Regions, UnmappingKeepsWhatWasWritten) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 4}});
    write_mapped(region, 1, 8);
    remove_region(region);
    ASSERT_TRUE(map->writeback({0, object_pages}));
    EXPECT_EQ(store.stored_version(1), 8u);
}

// Defect 14: removal folds dirty bits only of regions that are writable now.
TEST_P(Regions, WhatWasWrittenBeforeARegionBecameReadOnlyIsKept) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 4}});
    write_mapped(region, 1, 8);
    ASSERT_TRUE(map->protect_region(region, Access::read));
    EXPECT_EQ(mapped_version(region, 1), 8u);
    EXPECT_EQ(map->fault(region, 1, Access::write).error().code, ErrorCode::not_permitted);
    EXPECT_EQ(remove({0, 4}), 1u);
    EXPECT_EQ(store.stored_version(1), 8u);
    ASSERT_TRUE(map->protect_region(region, Access::write));
    write_mapped(region, 1, 9);
    ASSERT_TRUE(map->protect_region(region, Access::none));
    EXPECT_EQ(map->fault(region, 1, Access::read).error().code, ErrorCode::not_permitted);
    EXPECT_TRUE(map->audit());
    EXPECT_EQ(remove({0, 4}), 1u);
    EXPECT_EQ(store.stored_version(1), 9u);
    remove_region(region);
}

// Defect 6: a change of protection to the protection already in force never advances.
TEST_P(Regions, ProtectingToTheSameProtectionIsDone) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 4}, .protection = Access::read});
    EXPECT_TRUE(map->protect_region(region, Access::read));
    EXPECT_EQ(mapped_version(region, 0), 0u);
    EXPECT_TRUE(map->protect_region(region, Access::read));
    remove_region(region);
}

// Defect 11: a benign fault race frees a page that belongs to the map.
TEST_P(Regions, ASpuriousFaultSucceedsAndChangesNothing) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 4}});
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(map->fault(region, 1, Access::write));
    }
    EXPECT_EQ(map->page_count(), 1u);
    EXPECT_EQ(map->frames_in_use(), 1u);
    write_mapped(region, 1, 2);
    EXPECT_EQ(version(1), 2u);
    remove_region(region);
}

TEST_P(Regions, FaultsFailAsDocumented) {
    make_map({.frame_count = 1});
    AnyRegion* region = map_region({.pages = {0, 4}, .protection = Access::read});
    EXPECT_EQ(map->fault(region, 9, Access::read).error().code, ErrorCode::no_region);
    EXPECT_EQ(map->fault(region, 0, Access::write).error().code, ErrorCode::not_permitted);
    ASSERT_TRUE(map->fault(region, 0, Access::read));
    EXPECT_EQ(map->fault(region, 1, Access::read).error().code, ErrorCode::no_frame);
    remove_region(region);
    EXPECT_EQ(map->add_region({.pages = {object_pages, 1}}).error().code, ErrorCode::past_end);
    EXPECT_EQ(map->add_region({.pages = {0, 0}}).error().code, ErrorCode::bad_range);
}

TEST_P(Regions, AFaultThatCannotBeServedIsACrash) {
    EXPECT_EXIT(
        {
            make_map();
            AnyRegion* region = map_region({.pages = {0, 1}, .protection = Access::read});
            *reinterpret_cast<volatile char*>(map->address_of(region, 0)) = 1;
            std::exit(0);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_P(Regions, ALockedRegionPinsItsWholeRangeEvenWhereItWasNeverFaulted) {
    make_map();
    AnyRegion* pinned = map_region({.pages = {4, 8}, .locked = true});
    for (PageIndex index = 0; index < 16; ++index) {
        touch(index);
    }
    EXPECT_EQ(remove({0, 16}), 8u);
    EXPECT_EQ(map->page_count(), 8u);
    map->set_region_locked(pinned, false);
    EXPECT_EQ(remove({0, 16}), 8u);
    remove_region(pinned);
}

TEST_P(Regions, WriteBackOfAPinnedRegionTakesItsRunOfPagesWithOneCall) {
    make_map();
    AnyRegion* pinned = map_region({.pages = {4, 8}, .locked = true});
    for (PageIndex index = 4; index < 12; ++index) {
        write_mapped(pinned, index, 2);
    }
    Result<RemovalOutcome> outcome = map->writeback({0, object_pages});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->written_back, 8u);
    EXPECT_EQ(outcome->shootdown.system_calls, GetParam().shootdown == "per_page" ? 8u : 1u);
    write_mapped(pinned, 5, 3);
    EXPECT_TRUE(map->writeback({0, object_pages}));
    EXPECT_EQ(store.stored_version(5), 3u) << "the next write shows";
    remove_region(pinned);
}

TEST_P(Regions, APrivateWriterOwnsItsCopyFromTheFirstWriteOn) {
    make_map();
    AnyRegion* shared = map_region({.pages = {0, 4}});
    AnyRegion* own = map_region({.pages = {0, 4}, .sharing = Sharing::copy_on_write});
    EXPECT_EQ(mapped_version(own, 1), 0u);
    write_mapped(shared, 1, 2);
    EXPECT_EQ(mapped_version(own, 1), 2u) << "not written yet, so still the shared page";
    write_mapped(own, 1, 77);
    write_mapped(own, 2, 78);
    EXPECT_EQ(mapped_version(shared, 1), 2u);
    EXPECT_EQ(remove({0, 4}), 2u) << "a removal ignores private copies";
    EXPECT_EQ(store.stored_version(1), 2u);
    EXPECT_EQ(store.stored_version(2), 0u);
    EXPECT_EQ(mapped_version(own, 1), 77u);
    EXPECT_EQ(mapped_version(own, 2), 78u);
    ASSERT_TRUE(map->protect_region(own, Access::read));
    EXPECT_EQ(mapped_version(own, 1), 77u);
    EXPECT_EQ(map->fault(own, 1, Access::write).error().code, ErrorCode::not_permitted);
    remove_region(shared);
    remove_region(own);
}

TEST_P(Regions, InfoTellsWhatIsMapped) {
    make_map();
    AnyRegion* region = map_region({.pages = {3, 5}, .protection = Access::read, .locked = true});
    touch(1);
    const PageMapInfo info = map->info();
    EXPECT_EQ(info.pages, 1u);
    ASSERT_EQ(info.regions.size(), 1u);
    EXPECT_EQ(info.regions[0].pages, (PageRange{3, 5}));
    EXPECT_EQ(info.regions[0].base, map->address_of(region, 3));
    EXPECT_NE(info.text().find("5 pages at page 3, read, shared, locked"), std::string::npos) << info.text();
    remove_region(region);
}

}  // namespace
}  // namespace page_map_lab::testing
