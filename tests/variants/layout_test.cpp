// Every layout against an oracle, and what each promises beyond that.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "impl/page_map/concepts.hpp"
#include "impl/page_map/machine.hpp"
#include "tests/variants/catalog_types.hpp"
#include "variants/layout/flat.hpp"
#include "variants/layout/radix.hpp"
#include "variants/layout/xarray.hpp"
#include "variants/read_path/rcu_memb.hpp"
#include "variants/read_path/spinlock.hpp"

namespace page_map_lab {
namespace {

using Reads = Spinlock::On<RealMachine>;
using RadixTree = Radix::With<Reads>;
using XArrayTree = XArray::With<Reads>;
using SlotOfReal = Slot<RealMachine>;

static_assert(LayoutsWith<Reads>::size == Layouts::size, "every layout goes with a lock");
static_assert(MarkedLayout<XArrayTree> && !MarkedLayout<RadixTree>);

constexpr std::uint64_t many_pages = std::uint64_t{1} << 52;

template <class LayoutUnderTest>
constexpr bool has_limit = requires { LayoutUnderTest::max_pages; };

template <class LayoutUnderTest>
constexpr bool is_tree = requires(const LayoutUnderTest& layout) { layout.height(); };

template <class LayoutUnderTest>
std::uint64_t largest_capacity() {
    if constexpr (has_limit<LayoutUnderTest>) {
        return std::uint64_t{1} << 26;
    } else {
        return many_pages;
    }
}

template <class LayoutUnderTest>
std::vector<PageIndex> present_in(const LayoutUnderTest& layout, PageRange range) {
    std::vector<PageIndex> found;
    layout.for_each(range, [&](PageIndex index, SlotOfReal&) {
        found.push_back(index);
        return true;
    });
    return found;
}

/// Ends what was released, as a page map does after its grace period.
template <class LayoutUnderTest>
void free_retired(LayoutUnderTest& layout) {
    layout.take_retired().free_all();
}

template <class LayoutUnderTest>
class LayoutTest : public testing::Test {
protected:
    NodeArena arena_;
    LayoutUnderTest layout_{arena_, largest_capacity<LayoutUnderTest>()};
};

using LayoutsUnderTest = TypesOf<concatenate<LayoutsWith<Reads>, LayoutsWith<RcuMemb::On<RealMachine>>>>;
TYPED_TEST_SUITE(LayoutTest, LayoutsUnderTest);

TYPED_TEST(LayoutTest, AgreesWithAnOracleUnderRandomClaimsAndReleases) {
    std::mt19937_64 random(7);
    std::map<PageIndex, SlotOfReal*> oracle;
    const std::uint64_t capacity = this->layout_.capacity();
    const auto random_index = [&] {
        // Clusters at all scales, so that leaves fill, empty and stand alone.
        return (random() % 64 + (random() % 8 << random() % 50)) % capacity;
    };
    for (unsigned step = 0; step < 20000; ++step) {
        const PageIndex index = random_index();
        const auto known = oracle.find(index);
        if (known == oracle.end()) {
            const auto slot = this->layout_.claim(index);
            ASSERT_TRUE(slot.has_value()) << slot.error().text();
            ASSERT_EQ((*slot)->load(), 0U) << "a claimed slot starts empty, page " << index;
            (*slot)->store(index + 1);
            oracle.emplace(index, *slot);
        } else if (random() % 2 == 0) {
            ASSERT_EQ(this->layout_.find_slot(index), known->second) << "page " << index;
            ASSERT_EQ(known->second->load(), index + 1);
            known->second->store(0);
            this->layout_.release(index);
            oracle.erase(known);
        }
        if (step % 1000 == 999) {
            std::vector<PageIndex> expected;
            const PageRange range{random_index(), random_index()};
            for (const auto& [page, slot] : oracle) {
                ASSERT_EQ(this->layout_.find_slot(page), slot) << "a slot's address is stable, page " << page;
                if (range.contains(page)) {
                    expected.push_back(page);
                }
            }
            EXPECT_EQ(present_in(this->layout_, range), expected);
            free_retired(this->layout_);
            for (unsigned probe = 0; probe < 200; ++probe) {
                const PageIndex absent = random_index();
                const SlotOfReal* const found = this->layout_.find_slot(absent);
                ASSERT_TRUE(oracle.contains(absent) || found == nullptr || found->load() == 0) << "page " << absent;
                const auto neighbour = oracle.lower_bound(absent / tree_fanout * tree_fanout);
                const bool has_leaf =
                    neighbour != oracle.end() && neighbour->first / tree_fanout == absent / tree_fanout;
                ASSERT_TRUE(!is_tree<TypeParam> || (found != nullptr) == has_leaf)
                    << "nothing leads to a leaf that is gone, page " << absent;
            }
        }
    }
    while (!oracle.empty()) {
        oracle.begin()->second->store(0);
        this->layout_.release(oracle.begin()->first);
        oracle.erase(oracle.begin());
    }
    free_retired(this->layout_);
    EXPECT_EQ(present_in(this->layout_, PageRange{0, capacity}), std::vector<PageIndex>{});
}

TYPED_TEST(LayoutTest, RefusesPagesPastItsCapacityAndFindsNothingThere) {
    const std::uint64_t capacity = this->layout_.capacity();
    for (const PageIndex index : {capacity, capacity + 1, ~PageIndex{0}, PageIndex{1} << 63}) {
        const auto slot = this->layout_.claim(index);
        ASSERT_FALSE(slot.has_value());
        EXPECT_EQ(slot.error().code, ErrorCode::past_end);
        EXPECT_NE(slot.error().message.find(std::to_string(index)), std::string::npos);
        EXPECT_EQ(this->layout_.find_slot(index), nullptr);
    }
    ASSERT_TRUE(this->layout_.claim(capacity - 1).has_value());
    EXPECT_NE(this->layout_.find_slot(capacity - 1), nullptr);
    EXPECT_EQ(this->layout_.find_slot(capacity), nullptr);
}

TYPED_TEST(LayoutTest, AVisitThatSaysStopIsTheLast) {
    for (const PageIndex index : {5U, 70U, 5000U}) {
        ASSERT_TRUE(this->layout_.claim(index).has_value());
    }
    std::vector<PageIndex> seen;
    this->layout_.for_each(PageRange{0, 10000}, [&](PageIndex index, SlotOfReal& slot) {
        EXPECT_EQ(&slot, this->layout_.find_slot(index));
        seen.push_back(index);
        return index < 70;
    });
    EXPECT_EQ(seen, (std::vector<PageIndex>{5, 70}));
}

TYPED_TEST(LayoutTest, RangesMayBeEmptyOrReachPastTheEnd) {
    ASSERT_TRUE(this->layout_.claim(0).has_value());
    ASSERT_TRUE(this->layout_.claim(this->layout_.capacity() - 1).has_value());
    EXPECT_TRUE(present_in(this->layout_, PageRange{0, 0}).empty());
    EXPECT_EQ(present_in(this->layout_, PageRange{1, ~PageIndex{0}}),
              (std::vector<PageIndex>{this->layout_.capacity() - 1}));
    EXPECT_EQ(present_in(this->layout_, PageRange{0, ~PageIndex{0}}).size(), 2U);
}

TEST(FlatTest, RefusesToReserveMoreThanItsLimitAndSaysWhatToUseInstead) {
    NodeArena arena;
    try {
        Flat::With<Reads> flat(arena, Flat::With<Reads>::max_pages + 1);
        FAIL() << "reserved it";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("radix"), std::string::npos) << error.what();
    }
}

template <class Tree>
class TreeTest : public testing::Test {};
using Trees = testing::Types<RadixTree, XArrayTree>;
TYPED_TEST_SUITE(TreeTest, Trees);

TYPED_TEST(TreeTest, GrowsToTheHeightThatItsLargestIndexNeeds) {
    // The reference computes the bound with an int, which overflows from 2^30 on.
    const std::vector<std::pair<PageIndex, unsigned>> steps = {
        {0, 1},          {63, 1},          {64, 2},              {4095, 2},       {4096, 3},
        {1ULL << 18, 4}, {1ULL << 24, 5},  {1ULL << 30, 6},      {1ULL << 31, 6}, {1ULL << 36, 7},
        {1ULL << 42, 8}, {1ULL << 48, 9}, {(1ULL << 52) - 1, 9}, {1ULL << 60, 11}, {~1ULL, 11}};
    NodeArena arena;
    TypeParam tree(arena, ~std::uint64_t{0});
    std::map<PageIndex, SlotOfReal*> slots;
    for (const auto& [index, height] : steps) {
        const auto slot = tree.claim(index);
        ASSERT_TRUE(slot.has_value());
        (*slot)->store(index + 1);
        slots[index] = *slot;
        EXPECT_EQ(tree.height(), height) << "after page " << index;
        for (const auto& [page, address] : slots) {
            ASSERT_EQ(tree.find_slot(page), address) << "growth moves no slot, page " << page;
            ASSERT_EQ(address->load(), page + 1);
        }
    }
    EXPECT_EQ(tree.find_slot(~PageIndex{0} - 64), nullptr);
}

TYPED_TEST(TreeTest, KeepsSlotsOnCacheLinesOfTheirOwn) {
    NodeArena arena;
    TypeParam tree(arena, many_pages);
    for (PageIndex index = 0; index < 64 * 64; ++index) {
        const auto slot = tree.claim(index);
        ASSERT_TRUE(slot.has_value());
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(*slot) % tree_node_bytes, index % tree_fanout * sizeof(SlotOfReal));
    }
}

TYPED_TEST(TreeTest, TheLastSlotOfALeafTakesItsLeafAndTheEmptyNodesAboveAway) {
    NodeArena arena;
    TypeParam tree(arena, many_pages);
    ASSERT_TRUE(tree.claim(0).has_value());
    const PageIndex far = (PageIndex{1} << 30) + 1;
    ASSERT_TRUE(tree.claim(far).has_value());
    ASSERT_TRUE(tree.claim(far + 1).has_value());
    tree.release(far);
    EXPECT_EQ(tree.retired(), 0U);
    EXPECT_NE(tree.find_slot(far), nullptr) << "the leaf is still in use";
    tree.release(far + 1);
    EXPECT_GE(tree.retired(), 5U) << "a leaf and the four nodes between it and the top";
    EXPECT_EQ(tree.find_slot(far), nullptr);
    EXPECT_NE(tree.find_slot(0), nullptr);
    tree.release(0);
    EXPECT_EQ(tree.find_slot(0), nullptr);
    EXPECT_EQ(tree.height(), 0U);
    EXPECT_EQ(tree.retired(), 12U) << "and the six nodes from the top to page 0, and the directory";
    free_retired(tree);
    EXPECT_EQ(tree.retired(), 0U);
}

TYPED_TEST(TreeTest, ALeafThatIsGoneIsNotFoundAtAnyHeight) {
    for (unsigned height = 2; height <= 9; ++height) {
        NodeArena arena;
        TypeParam tree(arena, ~std::uint64_t{0});
        const PageIndex far = PageIndex{1} << tree_shift(height);
        ASSERT_TRUE(tree.claim(far).has_value());
        ASSERT_TRUE(tree.claim(far + tree_fanout).has_value());
        ASSERT_EQ(tree.height(), height);
        tree.release(far);
        EXPECT_EQ(tree.find_slot(far), nullptr) << "height " << height;
        EXPECT_NE(tree.find_slot(far + tree_fanout), nullptr) << "height " << height;
        free_retired(tree);
        ASSERT_TRUE(tree.claim(far).has_value());
        EXPECT_NE(tree.find_slot(far), nullptr) << "height " << height;
    }
}

TYPED_TEST(TreeTest, RunningOutOfMemoryChangesNothing) {
    // A slab or, under a sanitizer, a node at a time: every budget up to what the last claim needs.
    const std::vector<PageIndex> indices = {3, 64 * 9, (PageIndex{1} << 40) + 5, (PageIndex{1} << 20) + 7};
    bool failed_after_the_first = false;
    for (std::size_t budget = 0; budget < (std::size_t{1} << 17); budget += 512) {
        NodeArena arena(NodeArena::Options{.budget_bytes = budget});
        TypeParam tree(arena, many_pages);
        std::vector<PageIndex> claimed;
        for (const PageIndex index : indices) {
            const unsigned height = tree.height();
            const std::size_t bytes = arena.allocated_bytes();
            const auto slot = tree.claim(index);
            if (slot.has_value()) {
                claimed.push_back(index);
                continue;
            }
            EXPECT_EQ(slot.error().code, ErrorCode::no_memory);
            EXPECT_EQ(tree.height(), height);
            EXPECT_EQ(tree.find_slot(index), nullptr);
            EXPECT_EQ(tree.retired(), 0U);
            if (nodes_one_by_one) {
                EXPECT_EQ(arena.allocated_bytes(), bytes) << "what was had is given back";
            }
            failed_after_the_first = failed_after_the_first || !claimed.empty();
        }
        std::sort(claimed.begin(), claimed.end());
        ASSERT_EQ(present_in(tree, PageRange{0, many_pages}), claimed) << "budget " << budget;
        for (const PageIndex index : claimed) {
            tree.release(index);
        }
        EXPECT_EQ(tree.height(), 0U);
    }
    EXPECT_TRUE(failed_after_the_first || !nodes_one_by_one);
}

TYPED_TEST(TreeTest, DensePagesTakeAtMostNineAndAHalfBytesEach) {
    if (nodes_one_by_one) {
        GTEST_SKIP() << "under a sanitizer every node is an allocation of its own";
    }
    constexpr std::uint64_t pages = 256 * 1024;
    NodeArena arena;
    TypeParam tree(arena, pages);
    for (PageIndex index = 0; index < pages; ++index) {
        ASSERT_TRUE(tree.claim(index).has_value());
    }
    EXPECT_LE(static_cast<double>(arena.allocated_bytes()) / pages, 9.5);
    EXPECT_GE(arena.allocated_bytes(), pages * sizeof(SlotOfReal));
    EXPECT_GE(arena.allocated_bytes(), tree.memory_bytes());
}

TYPED_TEST(TreeTest, GivesItsMemoryBackWhenItIsEmptied) {
    NodeArena arena;
    TypeParam tree(arena, many_pages);
    for (PageIndex index = 0; index < 64 * 1024; ++index) {
        ASSERT_TRUE(tree.claim(index).has_value());
    }
    const std::size_t full = arena.allocated_bytes();
    for (PageIndex index = 0; index < 64 * 1024; ++index) {
        tree.release(index);
    }
    EXPECT_EQ(arena.allocated_bytes(), full) << "before the grace period nothing is freed";
    free_retired(tree);
    EXPECT_LE(arena.allocated_bytes(), full / 8);
}

TEST(RadixTest, KeepsItsHeightUntilItIsEmpty) {
    NodeArena arena;
    RadixTree tree(arena, many_pages);
    ASSERT_TRUE(tree.claim(1).has_value());
    ASSERT_TRUE(tree.claim(5000).has_value());
    tree.release(5000);
    EXPECT_EQ(tree.height(), 3U);
}

}  // namespace
}  // namespace page_map_lab
