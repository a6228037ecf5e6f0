#include "impl/page_map/region.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "impl/page_map/address_space.hpp"
#include "impl/page_map/machine.hpp"

namespace page_map_lab {
namespace {

struct TestMechanism {
    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        return protect(base, bytes, access);
    }
};
using Machine = MachineWith<TestMechanism>;
using Space = AddressSpace<Machine>;

/// Opens what faults, and writes down what the region was like meanwhile.
struct Opener final : FaultServer<Machine> {
    Status serve_fault(Region<Machine>& region, PageIndex index, Access wanted) noexcept override {
        was_pinned = region.pinned();
        served_index = index;
        served_access = wanted;
        return Machine::set_access(region.address_of(index), page_size, wanted);
    }
    std::optional<bool> was_pinned;
    std::optional<PageIndex> served_index;
    std::optional<Access> served_access;
};

class Regions : public ::testing::Test {
protected:
    static constexpr PageRange pages{10, 4};

    Regions()
        : base(static_cast<std::byte*>(
              ::mmap(nullptr, pages.count * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
          region(space, server, {.pages = pages}, base) {
        space.attach(region);
    }
    ~Regions() override {
        space.detach(region);
        ::munmap(base, pages.count * page_size);
    }

    Space& space = Space::this_process();
    Opener server;
    std::byte* base;
    Region<Machine> region;
};

TEST_F(Regions, TellWhichPageLiesWhere) {
    EXPECT_EQ(region.address_of(10), base);
    EXPECT_EQ(region.address_of(13), base + 3 * page_size);
    EXPECT_EQ(region.index_at(base + page_size - 1), 10u);
    EXPECT_EQ(region.index_at(base + page_size), 11u);
    EXPECT_TRUE(region.contains(base));
    EXPECT_TRUE(region.contains(base + 4 * page_size - 1));
    EXPECT_FALSE(region.contains(base + 4 * page_size));
    EXPECT_FALSE(region.contains(base - 1));
}

// Whoever unmaps a region waits for its pins, so its addresses stay reserved while a fault in it is served.
TEST_F(Regions, ArePinnedWhileAFaultInThemIsServed) {
    EXPECT_FALSE(region.pinned());
    volatile std::byte* const touched = region.address_of(12) + 100;
    *touched = std::byte{1};
    EXPECT_EQ(server.was_pinned, true);
    EXPECT_EQ(server.served_index, 12u);
    EXPECT_EQ(server.served_access, Access::write);
    EXPECT_FALSE(region.pinned());
}

TEST_F(Regions, ArePinnedAsOftenAsTheyWerePinned) {
    region.pin();
    region.pin();
    region.unpin();
    EXPECT_TRUE(region.pinned());
    region.unpin();
    EXPECT_FALSE(region.pinned());
}

TEST_F(Regions, CloseAtOnce) {
    volatile std::byte* const touched = region.address_of(11);
    *touched = std::byte{1};
    ASSERT_TRUE(region.close_hardware());
    server.served_access.reset();
    EXPECT_TRUE(*touched == std::byte{1}) << "closing loses nothing";
    EXPECT_EQ(server.served_access, Access::read) << "and the next access is a fault";
}

TEST_F(Regions, AreNobodysOnceTheyAreDetached) {
    EXPECT_EXIT(
        {
            space.detach(region);
            *const_cast<volatile std::byte*>(region.address_of(10)) = std::byte{1};
            std::_Exit(0);
        },
        ::testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(Regions, AreVisitedBySpaceUnlessTheyAreLocked) {
    int visits = 0;
    const auto count = [&](Region<Machine>& visited) {
        visits += &visited == &region;
        return Status{};
    };
    ASSERT_TRUE(space.for_each_unpinned_region(count));
    EXPECT_EQ(visits, 1);
    space.set_locked(region, true);
    ASSERT_TRUE(space.for_each_unpinned_region(count));
    EXPECT_EQ(visits, 1);
}

}  // namespace
}  // namespace page_map_lab
