// Where fixtures have their memory that come from an Environment: on the node that was asked for, displaced by the seed, of
// pages of the usual size. Under a sanitizer malloc supplies it; that it is read back where it is not, stands in each
// workload's own test.
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "bench/workloads/insert.hpp"
#include "bench/workloads/resident.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/memory_read_back.hpp"
#include "tests/impl/platform/memory_facts.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {
namespace {

template <class LayoutPolicy>
using WithLayout = Variant<LayoutPolicy, BaseVariant::ReadPathTag, BaseVariant::ShootdownTag, BaseVariant::MechanismTag>;

const Topology& this_system() {
    static const Topology topology = Topology::discover().value();
    return topology;
}

Environment bound_environment() {
    return {this_system(), MemoryPolicy::on_node(this_system().numa_nodes().front())};
}

#define SKIP_WHERE_SUPPLY_IS_MALLOC()                               \
    if (NodeArena::supply_is_malloc()) {                            \
        GTEST_SKIP() << "a sanitizer's malloc supplies the memory"; \
    }

/// The address of the slot of page 0 in a map that was populated with that seed.
template <class Resident>
std::uintptr_t first_slot(std::uint64_t seed) {
    Environment environment(this_system(), {});
    environment.seed = seed;
    Resident resident({.pages = 64}, environment);
    const typename Resident::Thread registration;
    const auto page = resident.find(0);
    const auto address = reinterpret_cast<std::uintptr_t>(page.slot);
    Resident::put(page);
    return address;
}

template <class Resident>
class Displacement : public testing::Test {};
using Residents = testing::Types<ResidentMap<BaseVariant>, ResidentMap<WithLayout<Flat>>, ResidentMap<WithLayout<XArray>>,
                                 ResidentArray>;
TYPED_TEST_SUITE(Displacement, Residents);

TYPED_TEST(Displacement, TheSeedDecidesWhereInItsPageASlotLies) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    std::set<std::uintptr_t> places;
    for (std::uint64_t seed = 1; seed <= 16; ++seed) {
        places.insert(first_slot<TypeParam>(seed) % page_size);
    }
    EXPECT_GT(places.size(), 3U);
    EXPECT_EQ(first_slot<TypeParam>(5) % page_size, first_slot<TypeParam>(5) % page_size);
}

TYPED_TEST(Displacement, PagesAreOfTheUsualSize) {
    if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) {
        GTEST_SKIP() << "this kernel has no huge pages to refuse";
    }
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    Environment environment(this_system(), {});
    TypeParam resident({.pages = 64}, environment);
    const typename TypeParam::Thread registration;
    const auto page = resident.find(0);
    EXPECT_EQ(mapping_has_flag(page.slot, "nh"), true);
    TypeParam::put(page);
}

TEST(Placement, DescriptorsAreDisplacedAsNodesAre) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena plain;
    NodeArena displaced({.displacement_lines = 3});
    FrameTable<RealMachine> one(1000, plain);
    FrameTable<RealMachine> other(1000, displaced);
    const FrameNumber last = 1000;
    one[last].index = other[last].index = 7;
    EXPECT_EQ(displaced.charged_bytes() - plain.charged_bytes(), 3 * sizeof(one[1]));
}

TEST(Placement, AMapsNodesAndDescriptorsAreBoundToTheNodeThatWasAskedFor) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    Environment environment = bound_environment();
    NodeArena arena(environment.arena_options());
    EXPECT_EQ(policy_mode_at(arena.allocate(512, 64)), MPOL_BIND);
    ResidentMap<BaseVariant> resident({.pages = 64}, environment);
    const ResidentMap<BaseVariant>::Thread registration;
    const auto page = resident.find(0);
    EXPECT_EQ(policy_mode_at(page.slot), MPOL_BIND);
    ResidentMap<BaseVariant>::put(page);
}

TEST(InsertWorkload, ReadsItsMemoryBack) {
    const auto read_back = []<class Target>() {
        WorkloadDescription workload = insert_question();
        add_floor(workload, "floor:tested",
                  [](const Parameters& parameters) { return std::make_unique<InsertCell<Target>>(parameters); });
        return memory_read_back(workload, {"--pages=64", "--threads=1"})["state"];
    };
    EXPECT_EQ(read_back.operator()<ArrayToPopulate>(), "ok");
    EXPECT_EQ(read_back.operator()<MapToPopulate<BaseVariant>>(),
              NodeArena::supply_is_malloc() ? "unverified" : "ok");
}

}  // namespace
}  // namespace page_map_lab::bench
