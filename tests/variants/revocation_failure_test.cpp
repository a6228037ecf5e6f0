// What happens when the system refuses to change a mapping's rights: with a mechanism that refuses on demand, and with a
// process that has really run out of mappings.
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <utility>
#include <vector>

#include "tests/variants/composed_variant.hpp"
#include "variants/layout/radix.hpp"
#include "variants/layout/xarray.hpp"
#include "variants/read_path/rcu_qsbr.hpp"
#include "variants/shootdown/batched.hpp"
#include "variants/shootdown/per_page.hpp"
#include "variants/shootdown/whole_space.hpp"
#include "variants/variant.hpp"

namespace page_map_lab::testing {
namespace {

/// mprotect that refuses what the test tells it to, and tells the test what it has done.
struct Unreliable {
    static constexpr std::string_view name = "unreliable";

    static inline std::function<bool(std::byte* base, std::size_t bytes, Access access)> refuses;
    static inline std::function<void(std::byte* base, std::size_t bytes, Access access)> afterwards;

    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        if (refuses && refuses(base, bytes, access)) {
            return fail(ErrorCode::no_memory, "no room for another mapping", ENOMEM);
        }
        Status set = protect(base, bytes, access);
        if (afterwards) {
            afterwards(base, bytes, access);
        }
        return set;
    }
};

constexpr std::uint64_t region_pages = 16;
constexpr std::size_t region_bytes = region_pages * page_size;

class RevocationFailure : public PageMapTest {
protected:
    void SetUp() override {
        make_map();
        region = map_region({.pages = {0, region_pages}});
        for (PageIndex index = 0; index < region_pages; ++index) {
            write_mapped(region, index, 1);
        }
    }
    void TearDown() override {
        heal();
        remove_region(region);
        PageMapTest::TearDown();
        for (PageIndex index = 0; index < region_pages; ++index) {
            EXPECT_EQ(store.stored_version(index), expected[index]) << "what was written to page " << index << " is lost";
        }
    }

    void write_again(PageIndex index) {
        write_mapped(region, index, ++expected[index]);
    }
    void expect_everything_readable() {
        for (PageIndex index = 0; index < region_pages; ++index) {
            EXPECT_EQ(mapped_version(region, index), expected[index]) << "page " << index;
        }
    }
    void expect_sound() {
        const Status sound = map->audit();
        EXPECT_TRUE(sound) << sound.error().text();
    }

    static void refuse_everything_that_takes_rights() {
        Unreliable::refuses = [](std::byte*, std::size_t, Access access) { return access != Access::write; };
    }
    /// As at vm.max_map_count: what would split the region is refused, what spans it is not.
    static void refuse_parts_of_the_region() {
        Unreliable::refuses = [](std::byte*, std::size_t bytes, Access) { return bytes < region_bytes; };
    }
    static void heal() {
        Unreliable::refuses = nullptr;
        Unreliable::afterwards = nullptr;
    }
    bool goes_by_ranges() const { return GetParam().shootdown != WholeSpace::name; }

    AnyRegion* region = nullptr;
    std::array<std::uint64_t, region_pages> expected = [] {
        std::array<std::uint64_t, region_pages> versions;
        versions.fill(1);
        return versions;
    }();
};

INSTANTIATE_TEST_SUITE_P(Composed, RevocationFailure,
                         ::testing::Values(composed_entry<Variant<Radix, RcuQsbr, Batched, Unreliable>>(),
                                           composed_entry<Variant<Radix, RcuQsbr, PerPage, Unreliable>>(),
                                           composed_entry<Variant<XArray, RcuQsbr, WholeSpace, Unreliable>>()),
                         test_name);

TEST_P(RevocationFailure, OfARangeClosesTheWholeRegionAndTheRemovalSucceeds) {
    refuse_parts_of_the_region();
    Result<RemovalOutcome> outcome = map->remove_contig({4, 2});
    heal();
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, 2u);
    EXPECT_EQ(store.stored_version(4), 1u);
    EXPECT_EQ(outcome->shootdown.fallbacks > 0, goes_by_ranges());
    expect_sound();
    expect_everything_readable();
    // The survivors' dirty bits were kept while their region was closed.
    Result<RemovalOutcome> written = map->writeback({0, region_pages});
    ASSERT_TRUE(written);
    EXPECT_EQ(written->written_back, region_pages - 2);
}

TEST_P(RevocationFailure, OfEverythingDropsNothing) {
    std::vector<AnyCounted> pages;
    for (PageIndex index = 0; index < region_pages; ++index) {
        pages.push_back(load(index));
        map->put(pages.back());
    }
    const AnyCounted unmapped = load(100);
    map->put(unmapped);
    refuse_everything_that_takes_rights();
    Result<RemovalOutcome> outcome = map->remove_contig({0, object_pages});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::no_memory);
    EXPECT_EQ(map->page_count(), region_pages + 1);
    for (const AnyCounted& page : pages) {
        EXPECT_FALSE(SlotWord{map->slot_bits(page)}.removal()) << "a mark was left";
    }
    EXPECT_FALSE(SlotWord{map->slot_bits(unmapped)}.removal()) << "a mark was left";
    EXPECT_EQ(store.total_writes(), 0u);
    expect_sound();  // the hardware is still open, so the entries have to be present
    write_again(3);
    heal();
    expect_everything_readable();
    EXPECT_EQ(remove({0, object_pages}), region_pages + 1);
    EXPECT_EQ(store.stored_version(3), expected[3]);
    expect_sound();
    expect_everything_readable();
}

TEST_P(RevocationFailure, LeavesTheTurnToTheNextRemoval) {
    refuse_everything_that_takes_rights();
    for (int round = 0; round < 3; ++round) {
        EXPECT_FALSE(map->remove_contig({0, object_pages}));
        EXPECT_FALSE(map->remove_or_zero({0, object_pages}));
        EXPECT_FALSE(map->writeback({0, object_pages}));
        EXPECT_TRUE(map->free_unused()) << "revokes nothing";
    }
    EXPECT_EQ(map->page_count(), region_pages);
    expect_sound();
}

TEST_P(RevocationFailure, OfATruncationZeroesNothing) {
    refuse_everything_that_takes_rights();
    Result<RemovalOutcome> outcome = map->remove_or_zero({0, region_pages});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::no_memory);
    expect_sound();
    expect_everything_readable();
}

TEST_P(RevocationFailure, OfAWriteBackWritesNothingAndLosesNothing) {
    refuse_everything_that_takes_rights();
    Result<RemovalOutcome> outcome = map->writeback({0, region_pages});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::no_memory);
    EXPECT_EQ(store.total_writes(), 0u);
    expect_sound();
    // The hardware may still be open for writing: what is written now makes no fault, and must not be missed.
    write_again(5);
    heal();
    outcome = map->writeback({0, region_pages});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->written_back, region_pages);
    EXPECT_EQ(store.stored_version(5), expected[5]);
    write_again(5);
    outcome = map->writeback({0, region_pages});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->written_back, 1u);
}

TEST_P(RevocationFailure, OfARangeThatIsWrittenBackClosesTheRegionAndSeesLaterWrites) {
    refuse_parts_of_the_region();
    Result<RemovalOutcome> outcome = map->writeback({0, 4});
    heal();
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->written_back, 4u);
    expect_sound();
    write_again(2);
    write_again(9);
    outcome = map->writeback({0, region_pages});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->written_back, region_pages - 3);
}

TEST_P(RevocationFailure, OfAPinnedRegionsWriteBackIsReported) {
    map->set_region_locked(region, true);
    refuse_everything_that_takes_rights();
    EXPECT_FALSE(map->writeback({0, region_pages}));
    EXPECT_TRUE(map->remove_contig({0, region_pages})) << "nothing of a pinned region is revoked";
    write_again(1);
    heal();
    ASSERT_TRUE(map->writeback({0, region_pages}));
    EXPECT_EQ(store.stored_version(1), expected[1]);
    map->set_region_locked(region, false);
}

TEST_P(RevocationFailure, OfAProtectionLeavesTheProtectionAsItWas) {
    refuse_everything_that_takes_rights();
    EXPECT_FALSE(map->protect_region(region, Access::read));
    EXPECT_FALSE(map->protect_region(region, Access::none));
    EXPECT_EQ(map->info().regions.at(0).protection, Access::write);
    write_again(0);
    expect_sound();
    heal();
    ASSERT_TRUE(map->protect_region(region, Access::read));
    EXPECT_EQ(map->fault(region, 0, Access::write).error().code, ErrorCode::not_permitted);
    ASSERT_TRUE(map->protect_region(region, Access::write));
}

TEST_P(RevocationFailure, OfAnUnmappingLeavesTheRegionAsItWas) {
    refuse_everything_that_takes_rights();
    EXPECT_FALSE(map->remove_region(region));
    ASSERT_EQ(map->info().regions.size(), 1u);
    write_again(0);
    expect_sound();
}

TEST_P(RevocationFailure, AGrantThatFailsClosesTheRegionAndTriesAgain) {
    ASSERT_EQ(remove({7, 1}), 1u);
    int refused = 0;
    Unreliable::refuses = [&](std::byte*, std::size_t, Access access) {
        return access != Access::none && refused++ == 0;
    };
    write_again(7);
    EXPECT_GE(refused, 1);
    heal();
    expect_sound();
    expect_everything_readable();
}

TEST_P(RevocationFailure, AGrantThatFailsForGoodIsAnErrorAndNothingIsLost) {
    ASSERT_EQ(remove({7, 1}), 1u);
    Unreliable::refuses = [](std::byte*, std::size_t, Access access) { return access != Access::none; };
    const Status served = map->fault(region, 7, Access::write);
    ASSERT_FALSE(served);
    EXPECT_EQ(served.error().code, ErrorCode::no_memory);
    EXPECT_EQ(map->frames_in_use(), map->page_count());
    heal();
    expect_sound();
    write_again(7);
    expect_everything_readable();
    EXPECT_EQ(remove({0, region_pages}), region_pages) << "the failed fault put its reference";
}

// The call may have failed after it had opened the page. A write that no entry knows of must not be possible.
TEST_P(RevocationFailure, AGrantThatFailsForGoodLeavesThePageClosed) {
    AnyRegion* own = map_region({.pages = {0, region_pages}, .sharing = Sharing::copy_on_write});
    ASSERT_EQ(mapped_version(own, 2), 1u);
    Unreliable::refuses = [](std::byte* base, std::size_t bytes, Access access) {
        return access == Access::write && protect(base, bytes, access).has_value();
    };
    ASSERT_FALSE(map->fault(own, 2, Access::write));
    heal();
    int writes_served = 0;
    Unreliable::afterwards = [&](std::byte*, std::size_t, Access access) { writes_served += access == Access::write; };
    write_mapped(own, 2, 50);
    EXPECT_EQ(writes_served, 1) << "the first write made no fault";
    heal();
    EXPECT_EQ(remove({0, region_pages}), region_pages);
    EXPECT_EQ(mapped_version(own, 2), 50u);
    remove_region(own);
}

// A shootdown that spares a page may close its region between the opening for a private copy and the copying.
TEST_P(RevocationFailure, APrivateCopyIsMadeThoughAShootdownClosesItsRegionMeanwhile) {
    AnyRegion* own = map_region({.pages = {0, region_pages}, .sharing = Sharing::copy_on_write});
    ASSERT_EQ(mapped_version(own, 2), 1u);
    int opened = 0;
    Unreliable::afterwards = [&](std::byte* base, std::size_t, Access access) {
        if (base == map->address_of(own, 2) && access == Access::write && ++opened <= 2) {
            EXPECT_TRUE(protect(map->address_of(own, 0), region_bytes, Access::none));
        }
    };
    const Status served = map->fault(own, 2, Access::write);
    EXPECT_TRUE(served) << served.error().text();
    EXPECT_EQ(opened, 3);
    heal();
    write_mapped(own, 2, 50);
    EXPECT_EQ(remove({0, region_pages}), region_pages);
    EXPECT_EQ(mapped_version(own, 2), 50u);
    EXPECT_EQ(store.stored_version(2), 1u);
    remove_region(own);
}

/// Uses up the mappings that the system allows this process, all but a few.
class MappingsUsedUp {
public:
    explicit MappingsUsedUp(std::size_t limit, std::size_t spare) : bytes_(2 * limit * page_size) {
        base_ = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base_ == MAP_FAILED) {
            return;
        }
        // Each page with rights of its own splits the mapping in two more.
        std::size_t page = 1;
        while (page < 2 * limit && ::mprotect(at(page), page_size, PROT_READ) == 0) {
            page += 2;
        }
        reached_ = errno == ENOMEM;
        for (std::size_t given_back = 0; given_back < spare; given_back += 2) {
            page -= 2;
            ::mprotect(at(page), page_size, PROT_NONE);
        }
    }
    ~MappingsUsedUp() {
        if (base_ != MAP_FAILED) {
            ::munmap(base_, bytes_);
        }
    }
    MappingsUsedUp(const MappingsUsedUp&) = delete;
    MappingsUsedUp& operator=(const MappingsUsedUp&) = delete;

    bool reached() const { return reached_; }

private:
    void* at(std::size_t page) const { return static_cast<std::byte*>(base_) + page * page_size; }

    std::size_t bytes_;
    void* base_;
    bool reached_ = false;
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

std::size_t mapping_limit() {
    std::ifstream file("/proc/sys/vm/max_map_count");
    std::size_t limit = 0;
    file >> limit;
    return limit;
}

class MappingLimit : public PageMapTest {
protected:
    void SetUp() override {
        if (sanitized) {
            GTEST_SKIP() << "a sanitizer ends the program where it finds no room for a mapping of its own";
        }
        if (limit == 0 || limit > (1 << 18)) {
            GTEST_SKIP() << "vm.max_map_count is " << limit << ": using that many mappings up takes too long";
        }
    }

    const std::size_t limit = mapping_limit();
};

/// One variant for each way of shooting down: the limit is felt by nothing else.
std::vector<VariantEntry> every_shootdown() {
    std::vector<VariantEntry> entries;
    for (const VariantEntry& entry : all_variants()) {
        if (entry.layout == Radix::name && entry.read == RcuQsbr::name) {
            entries.push_back(entry);
        }
    }
    return entries;
}

INSTANTIATE_TEST_SUITE_P(Variants, MappingLimit, ::testing::ValuesIn(every_shootdown()), test_name);

TEST_P(MappingLimit, ScatteredFaultsAndRemovalsGoOnByClosingWholeRegions) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, object_pages}});
    write_mapped(region, 0, 1);
    Result<RemovalOutcome> outcome;
    {
        // A handful is left, so that the region can be split a few times and then no more.
        const MappingsUsedUp used_up(limit, /*spare=*/8);
        if (!used_up.reached()) {
            GTEST_SKIP() << "the mappings of this process could not be used up";
        }
        for (PageIndex index = 0; index < object_pages; index += 2) {
            write_mapped(region, index, index + 1);
        }
        for (PageIndex index = 0; index < object_pages; index += 2) {
            ASSERT_EQ(mapped_version(region, index), index + 1);
        }
        // A page in the middle of what is open, so that revoking it alone would split.
        outcome = map->remove_contig({0, object_pages});
    }
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->removed, object_pages / 2);
    for (PageIndex index = 0; index < object_pages; index += 2) {
        EXPECT_EQ(store.stored_version(index), index + 1);
        EXPECT_EQ(mapped_version(region, index), index + 1);
    }
    EXPECT_TRUE(map->audit());
    remove_region(region);
}

TEST_P(MappingLimit, ARemovalInTheMiddleOfAnOpenRegionFallsBackOrLosesNothing) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, object_pages}});
    for (PageIndex index = 0; index < object_pages; ++index) {
        write_mapped(region, index, 1);
    }
    std::uint64_t removed = 0;
    std::uint64_t fallbacks = 0;
    {
        const MappingsUsedUp used_up(limit, /*spare=*/0);
        if (!used_up.reached()) {
            GTEST_SKIP() << "the mappings of this process could not be used up";
        }
        for (PageIndex index = 1; index < object_pages; index += 16) {
            const Result<RemovalOutcome> outcome = map->remove_contig({index, 1});
            ASSERT_TRUE(outcome) << outcome.error().text();
            removed += outcome->removed;
            fallbacks += outcome->shootdown.fallbacks;
        }
    }
    EXPECT_EQ(removed, object_pages / 16);
    EXPECT_EQ(fallbacks > 0, GetParam().shootdown != WholeSpace::name);
    EXPECT_EQ(map->page_count(), object_pages - removed);
    EXPECT_TRUE(map->audit());
    for (PageIndex index = 0; index < object_pages; ++index) {
        EXPECT_EQ(mapped_version(region, index), 1u) << "page " << index;
    }
    remove_region(region);
    ASSERT_TRUE(map->writeback({0, object_pages}));
    for (PageIndex index = 0; index < object_pages; ++index) {
        EXPECT_EQ(store.stored_version(index), 1u) << "page " << index;
    }
}

}  // namespace
}  // namespace page_map_lab::testing
