// Worker processes as address spaces: their faults, their writes, their shootdowns.
#include "tests/variants/worker_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class WorkerSpaces : public WorkerTest {};
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
FOR_EVERY_SHOOTDOWN(WorkerSpaces);  // a worker of theirs takes up to a second to make
#else
FOR_EVERY_VARIANT(WorkerSpaces);
#endif

class WorkersOfManyRegions : public WorkerTest {};
FOR_EVERY_SHOOTDOWN(WorkersOfManyRegions);

// More than an agent's ring holds requests for, at 64 regions a request.
TEST_P(WorkersOfManyRegions, AreShotDown) {
    constexpr std::uint64_t regions = 1100;
    make_map();
    Member& member = spawn();
    AnyRegion* region = nullptr;
    for (std::uint64_t number = 0; number < regions; ++number) {
        region = map_in(member, {.pages = {4, 1}});
        ASSERT_NE(region, nullptr);
    }
    write_in(member, region, {4, 1}, 3);
    Result<RemovalOutcome> outcome = map->remove_contig({0, object_pages});
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, 1u);
    EXPECT_EQ(outcome->shootdown.messages, GetParam().shootdown == "whole_space" ? (regions + 63) / 64 : 1u);
    EXPECT_EQ(store.stored_version(4), 3u);
    expect_sound();
}

TEST_P(WorkerSpaces, FaultFromTheStoreAndWriteToIt) {
    make_map();
    Member& member = spawn();
    AnyRegion* region = map_in(member, {.pages = {4, 16}});
    EXPECT_EQ(found_in(member, region, {4, 16}, 0), 16u);
    EXPECT_EQ(map->page_count(), 16u);
    write_in(member, region, {6, 5}, 7);
    expect_sound();
    Result<RemovalOutcome> written = map->writeback({0, object_pages});
    ASSERT_TRUE(written) << written.error().text();
    EXPECT_EQ(written->written_back, 5u);
    EXPECT_EQ(store.stored_version(8), 7u);
    write_in(member, region, {8, 1}, 8);
    written = map->writeback({0, object_pages});
    ASSERT_TRUE(written) << written.error().text();
    EXPECT_EQ(written->written_back, 1u) << "write-back closes the page for writing in the worker, too";
    EXPECT_EQ(store.stored_version(8), 8u);
}

TEST_P(WorkerSpaces, AreShotDown) {
    make_map();
    AnyRegion* here = map_region({.pages = {0, 16}});
    Member& member = spawn();
    AnyRegion* there = map_in(member, {.pages = {0, 16}});
    write_in(member, there, {0, 8}, 3);
    EXPECT_EQ(mapped_version(here, 2), 3u) << "the same page, in another address space";
    EXPECT_EQ(remove({0, object_pages}), 8u);
    expect_sound();
    EXPECT_EQ(map->memory_pages(), 0u);
    for (PageIndex index = 0; index < 8; ++index) {
        EXPECT_EQ(store.stored_version(index), 3u);
        store.store_version(index, 9);
    }
    EXPECT_EQ(found_in(member, there, {0, 8}, 9), 8u) << "a stale translation";
    EXPECT_EQ(mapped_version(here, 2), 9u);
    remove_region(here);
}

TEST_P(WorkerSpaces, ArePinnedByALockedRegion) {
    make_map();
    Member& member = spawn();
    AnyRegion* region = map_in(member, {.pages = {4, 8}, .locked = true});
    write_in(member, region, {4, 2}, 5);
    touch(0);
    EXPECT_EQ(remove({0, 16}), 1u);
    EXPECT_EQ(map->page_count(), 2u);
    ASSERT_TRUE(map->writeback({0, object_pages}));
    EXPECT_EQ(store.stored_version(5), 5u);
    map->set_region_locked(region, false);
    EXPECT_EQ(remove({0, 16}), 2u);
    EXPECT_EQ(found_in(member, region, {4, 2}, 5), 2u);
}

TEST_P(WorkerSpaces, OwnTheirPrivateCopies) {
    make_map();
    Member& member = spawn();
    AnyRegion* shared = map_region({.pages = {0, 4}});
    AnyRegion* own = map_in(member, {.pages = {0, 4}, .sharing = Sharing::copy_on_write});
    EXPECT_EQ(found_in(member, own, {1, 1}, 0), 1u);
    write_mapped(shared, 1, 2);
    EXPECT_EQ(found_in(member, own, {1, 1}, 2), 1u) << "not written yet, so still the shared page";
    write_in(member, own, {1, 1}, 77);
    EXPECT_EQ(mapped_version(shared, 1), 2u);
    EXPECT_EQ(remove({0, 4}), 1u) << "a removal ignores private copies";
    EXPECT_EQ(store.stored_version(1), 2u);
    EXPECT_EQ(found_in(member, own, {1, 1}, 77), 1u);
    remove_region(shared);
}

TEST_P(WorkerSpaces, KeepWhatWasWrittenWhenARegionIsUnmapped) {
    make_map();
    Member& member = spawn();
    AnyRegion* region = map_in(member, {.pages = {0, 4}});
    write_in(member, region, {1, 2}, 8);
    ASSERT_TRUE(map->protect_region(region, Access::read));
    EXPECT_EQ(found_in(member, region, {1, 2}, 8), 2u);
    remove_region(region);
    ASSERT_TRUE(map->writeback({0, object_pages}));
    EXPECT_EQ(store.stored_version(1), 8u);
}

TEST_P(WorkerSpaces, GroupTheirMessages) {
    constexpr std::uint64_t pages = 8;
    constexpr std::uint64_t workers = 3;
    make_map();
    for (std::uint64_t number = 0; number < workers; ++number) {
        Member& member = spawn();
        AnyRegion* region = map_in(member, {.pages = {0, pages}});
        EXPECT_EQ(found_in(member, region, {0, pages}, 0), pages);
    }
    Result<RemovalOutcome> outcome = map->remove_contig({0, pages});
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, pages);
    EXPECT_EQ(outcome->shootdown.messages, GetParam().shootdown == "per_page" ? workers * pages : workers);
    EXPECT_EQ(outcome->shootdown.early_flushes, 0u);
    expect_sound();
}

TEST_P(WorkerSpaces, GroupScatteredPagesOfSeveralRegionsIntoOneMessageASpace) {
    make_map();
    Member& member = spawn();
    for (int number = 0; number < 2; ++number) {
        AnyRegion* region = map_in(member, {.pages = {0, 16}});
        for (PageIndex index = 0; index < 16; index += 2) {
            EXPECT_EQ(found_in(member, region, {index, 1}, 0), 1u);
        }
    }
    Result<RemovalOutcome> outcome = map->remove_contig({0, 16});
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, 8u);
    EXPECT_EQ(outcome->shootdown.messages, GetParam().shootdown == "per_page" ? 16u : 1u);
    expect_sound();
}

// The reference's list of processes to shoot down holds ten; ours what it is told to.
TEST_P(WorkerSpaces, FlushEarlyWhenTheListOfSpacesIsFull) {
    make_map({.shootdown_spaces = 2});
    constexpr std::uint64_t workers = 5;
    for (std::uint64_t number = 0; number < workers; ++number) {
        Member& member = spawn();
        AnyRegion* region = map_in(member, {.pages = {0, 4}});
        write_in(member, region, {1, 2}, number + 1);
    }
    Result<RemovalOutcome> outcome = map->remove_contig({0, 4});
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, 2u);
    EXPECT_EQ(outcome->shootdown.early_flushes, 2u) << "at the third space and at the fifth";
    EXPECT_EQ(outcome->shootdown.messages, GetParam().shootdown == "per_page" ? 2 * workers : workers);
    EXPECT_EQ(store.stored_version(2), workers);
    expect_sound();
}

TEST_P(WorkerSpaces, TellOfAFaultThatCannotBeServedByDyingOfIt) {
    make_map();
    Member& member = spawn();
    AnyRegion* region = map_in(member, {.pages = {0, 4}, .protection = Access::read});
    prepare(member, region, {0, 1}, 1);
    const Status written = member.worker->run(write_pages);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::unavailable);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose runtimes make an exit of a crash
    EXPECT_NE(written.error().message.find("by signal 11"), std::string::npos) << written.error().message;
#endif
}

TEST_P(WorkerSpaces, HearWhatAJobThrows) {
    make_map();
    Member& member = spawn();
    const Status done = member.worker->run([](WorkerSide&) { throw std::runtime_error("no luck"); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().text(), "no luck");
    EXPECT_TRUE(member.worker->run([](WorkerSide&) {}));
}

}  // namespace
}  // namespace page_map_lab::testing
