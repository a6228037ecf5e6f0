// Where memory runs out: operations that allocate say so with nothing changed, and taking pages away allocates nothing.
#include <fstream>
#include <new>
#include <string>

#include "tests/variants/failing_allocator.hpp"
#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class AllocationFailure : public PageMapTest {};
FOR_EVERY_VARIANT(AllocationFailure);

/// Mappings of the object in this process.
int object_mappings() {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) {
        count += line.find("page-map-object") != std::string::npos;
    }
    return count;
}

TEST_P(AllocationFailure, OfARegionChangesNothing) {
    make_map();
    const int mappings = object_mappings();
    // Long enough not to fit a string's own place, so that making the message could fail, too.
    Result<AnyRegion*> region = fail(ErrorCode::no_memory);
    std::size_t failures = 0;
    for (std::size_t allowed = 0; !region; ++allowed) {
        ASSERT_LT(allowed, 16u);
        {
            const Allocations some(allowed);
            try {
                region = map->add_region({.pages = {0, 8}});
            } catch (const std::bad_alloc&) {
                // The message: the caller's own exception, with nothing changed.
            }
        }
        if (!region) {
            ++failures;
            EXPECT_EQ(region.error().code, ErrorCode::no_memory);
            EXPECT_TRUE(map->info().regions.empty());
            EXPECT_EQ(object_mappings(), mappings) << "a mapping was left";
        }
    }
    EXPECT_GT(failures, 2u);
    EXPECT_EQ(mapped_version(*region, 3), 0u);
    remove_region(*region);
}

TEST_P(AllocationFailure, CannotStopARemoval) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 16}});
    for (PageIndex index = 0; index < 16; ++index) {
        write_mapped(region, index, 4);
        write(32 + index, 4);
    }
    Result<RemovalOutcome> outcome;
    {
        const Allocations none(0);
        outcome = map->remove_contig({0, object_pages});
    }
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->removed, 32u);
    EXPECT_EQ(outcome->written_back, 32u);
    for (PageIndex index = 0; index < 16; ++index) {
        EXPECT_EQ(mapped_version(region, index), 4u);
    }
    {
        const Allocations none(0);
        outcome = map->writeback({0, object_pages});
        EXPECT_TRUE(outcome);
        outcome = map->free_unused();
        EXPECT_TRUE(outcome);
        outcome = map->remove_or_zero({0, 8});
        EXPECT_TRUE(outcome);
    }
    remove_region(region);
}

TEST_P(AllocationFailure, CannotStopAFault) {
    make_map();
    AnyRegion* region = map_region({.pages = {0, 16}});
    touch(4);
    ASSERT_EQ(remove({4, 1}), 1u);
    {
        const Allocations none(0);
        EXPECT_EQ(mapped_version(region, 4), 0u);
        EXPECT_EQ(mapped_version(region, 5), 0u);
    }
    remove_region(region);
}

}  // namespace
}  // namespace page_map_lab::testing
