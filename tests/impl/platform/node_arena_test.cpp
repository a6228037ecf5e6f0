#include "impl/platform/node_arena.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "impl/core/page_index.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/topology.hpp"
#include "tests/impl/platform/memory_facts.hpp"

namespace page_map_lab {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t line = cache_line_size;

int first_node() {
    return static_cast<int>(Topology::discover().value().numa_nodes().front());
}

struct Allocations {
    Allocations(NodeArena& from, std::size_t count, std::size_t bytes) : arena(from), object_bytes(bytes) {
        for (std::size_t made = 0; made < count; ++made) {
            objects.push_back(arena.allocate(bytes, line));
        }
    }
    ~Allocations() {
        for (void* object : objects) {
            arena.release(object, object_bytes, line);
        }
    }
    NodeArena& arena;
    std::size_t object_bytes;
    std::vector<void*> objects;
};

#define SKIP_WHERE_SUPPLY_IS_MALLOC()                               \
    if (NodeArena::supply_is_malloc()) {                            \
        GTEST_SKIP() << "a sanitizer's malloc supplies the memory"; \
    }

TEST(NodeArena, a_bound_arena_has_the_policy_of_its_node_and_an_unbound_one_has_none) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena bound({.numa_node = first_node()});
    NodeArena unbound;
    for (const std::size_t bytes : {64UL, 512UL, 576UL, 4096UL, 3UL << 20}) {
        Allocations in_bound(bound, 20, bytes);
        Allocations in_unbound(unbound, 20, bytes);
        for (std::size_t each = 0; each < 20; ++each) {
            ASSERT_NE(in_bound.objects[each], nullptr);
            ASSERT_NE(in_unbound.objects[each], nullptr);
            EXPECT_EQ(policy_mode_at(in_bound.objects[each]), MPOL_BIND) << bytes;
            EXPECT_EQ(policy_mode_at(in_unbound.objects[each]), MPOL_DEFAULT) << bytes;
        }
    }
}

TEST(NodeArena, an_interleaved_arena_takes_its_pages_from_all_nodes_in_turn) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena arena({.interleave = true});
    const Allocations some(arena, 20, 512);
    EXPECT_EQ(policy_mode_at(some.objects.front()), MPOL_INTERLEAVE);
}

TEST(NodeArena, pages_are_of_the_usual_size_unless_huge_ones_are_asked_for) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) {
        GTEST_SKIP() << "this kernel has no huge pages to refuse";
    }
    NodeArena usual;
    NodeArena huge({.huge_pages = true});
    for (const std::size_t bytes : {512UL, 8UL << 20}) {
        EXPECT_EQ(mapping_has_flag(Allocations(usual, 1, bytes).objects.front(), "nh"), true) << bytes;
        EXPECT_EQ(mapping_has_flag(Allocations(huge, 1, bytes).objects.front(), "nh"), false) << bytes;
    }
}

TEST(NodeArena, its_extents_hold_all_that_it_hands_out) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena arena;
    for (const std::size_t bytes : {64UL, 512UL, 3UL << 20}) {
        const Allocations some(arena, 20, bytes);
        const auto extents = arena.extents();
        for (const void* object : some.objects) {
            const auto* const first = static_cast<const std::byte*>(object);
            EXPECT_TRUE(std::any_of(extents.begin(), extents.end(), [&](const auto& extent) {
                return extent.data() <= first && first + bytes <= extent.data() + extent.size();
            })) << bytes;
        }
    }
}

TEST(NodeArena, every_page_of_a_bound_arena_is_on_its_node) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena arena({.numa_node = first_node()});
    constexpr std::size_t bytes = 1 << 20;
    void* memory = arena.allocate(bytes, page_size);
    ASSERT_NE(memory, nullptr);
    std::memset(memory, 1, bytes);
    const auto pages = observed_pages_by_node(memory, bytes);
    ASSERT_TRUE(pages) << pages.error().text();
    EXPECT_EQ(pages->size(), 1U);
    EXPECT_EQ(pages->at(static_cast<unsigned>(first_node())), bytes / page_size);
    arena.release(memory, bytes, page_size);
}

TEST(NodeArena, a_node_that_does_not_exist_is_refused_with_the_way_out) {
    try {
        NodeArena arena({.numa_node = 4711});
        FAIL() << "an arena on node 4711 was made";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("4711"));
        EXPECT_THAT(error.what(), HasSubstr("choose"));
    }
}

TEST(NodeArena, a_foreign_topology_is_refused_because_binding_by_it_does_nothing) {
    const Topology foreign = Topology::from_synthetic("package:2 numanode:1 core:2 pu:1").value();
    try {
        NodeArena arena({.numa_node = 1, .topology = &foreign});
        FAIL() << "an arena was bound by a foreign topology";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), HasSubstr("not this system's"));
    }
}

TEST(NodeArena, memory_is_zeroed_and_aligned_also_when_it_was_used_before) {
    NodeArena arena;
    for (const std::size_t alignment : {8UL, 64UL, 4096UL}) {
        for (const std::size_t bytes : {64UL, 512UL, 576UL, 600UL, 5000UL, 100000UL}) {
            for (int round = 0; round < 3; ++round) {
                std::vector<unsigned char*> objects;
                for (int each = 0; each < 9; ++each) {
                    auto* object = static_cast<unsigned char*>(arena.allocate(bytes, alignment));
                    ASSERT_NE(object, nullptr);
                    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(object) % alignment, 0U);
                    EXPECT_TRUE(std::all_of(object, object + bytes, [](unsigned char byte) { return byte == 0; }))
                        << bytes << " bytes, round " << round;
                    std::memset(object, 0xA5, bytes);
                    objects.push_back(object);
                }
                for (unsigned char* object : objects) {
                    arena.release(object, bytes, alignment);
                }
            }
        }
    }
}

TEST(NodeArena, live_objects_do_not_overlap) {
    NodeArena arena;
    constexpr std::size_t bytes = 576;
    Allocations some(arena, 100, bytes);
    for (std::size_t each = 0; each < some.objects.size(); each += 2) {  // holes, to be filled again
        arena.release(some.objects[each], bytes, line);
        some.objects[each] = nullptr;
    }
    for (void*& object : some.objects) {
        if (object == nullptr) {
            object = arena.allocate(bytes, line);
        }
    }
    std::vector<void*> sorted = some.objects;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t each = 1; each < sorted.size(); ++each) {
        EXPECT_GE(static_cast<char*>(sorted[each]) - static_cast<char*>(sorted[each - 1]), std::ptrdiff_t{bytes});
    }
}

TEST(NodeArena, statistics_rise_with_what_is_allocated_and_fall_to_nothing_when_it_is_released) {
    NodeArena arena;
    EXPECT_EQ(arena.allocated_bytes(), 0U);
    {
        Allocations nodes(arena, 1000, 512);
        EXPECT_EQ(arena.allocated_bytes(), 512'000U);
        EXPECT_GE(arena.active_bytes(), 512'000U);
        EXPECT_LE(arena.active_bytes(), 520'000U);
    }
    EXPECT_EQ(arena.allocated_bytes(), 0U);
    EXPECT_EQ(arena.active_bytes(), 0U);
}

TEST(NodeArena, statistics_of_one_arena_do_not_contain_another) {
    NodeArena one;
    NodeArena other;
    Allocations nodes(one, 100, 512);
    EXPECT_EQ(one.allocated_bytes(), 51'200U);
    EXPECT_EQ(other.allocated_bytes(), 0U);
}

TEST(NodeArena, objects_between_size_classes_cost_little_more_than_their_size) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    NodeArena arena;
    {
        Allocations nodes(arena, 7000, 576);
        EXPECT_LE(arena.allocated_bytes(), 7000 * 586UL);
        EXPECT_LE(arena.active_bytes(), 7000 * 590UL);
    }
    EXPECT_EQ(arena.allocated_bytes(), 0U);
}

TEST(NodeArena, the_budget_counts_bytes_as_asked_and_comes_back_with_a_release) {
    NodeArena arena({.budget_bytes = 3 * 576});
    void* first = arena.allocate(576, line);
    void* second = arena.allocate(576, line);
    void* third = arena.allocate(576, line);
    ASSERT_NE(third, nullptr);
    EXPECT_EQ(arena.charged_bytes(), 3 * 576U);
    EXPECT_EQ(arena.allocate(576, line), nullptr);
    EXPECT_EQ(arena.allocate(1, 1), nullptr);
    arena.release(second, 576, line);
    second = arena.allocate(576, line);
    EXPECT_NE(second, nullptr);
    arena.set_budget_bytes(0);
    EXPECT_EQ(arena.allocate(8, 8), nullptr);
    EXPECT_EQ(arena.charged_bytes(), 3 * 576U);
    for (void* object : {first, second, third}) {
        arena.release(object, 576, line);
    }
    EXPECT_EQ(arena.charged_bytes(), 0U);
}

TEST(NodeArena, an_impossible_request_is_refused_and_charges_nothing) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();  // there it would end the program
    NodeArena arena;
    EXPECT_EQ(arena.allocate(std::size_t{1} << 60, line), nullptr);
    EXPECT_EQ(arena.charged_bytes(), 0U);
}

TEST(NodeArena, arenas_are_destroyed_with_what_is_left_in_them_so_that_many_can_follow_each_other) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();  // there what is left is a leak
    for (int round = 0; round < 5000; ++round) {  // jemalloc has 4095 arenas at once
        NodeArena arena;
        ASSERT_NE(arena.allocate(576, line), nullptr);
        ASSERT_EQ(arena.charged_bytes(), 576U);
    }
}

TEST(NodeArena, huge_pages_are_asked_of_the_kernel_for_the_extents) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    if (std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").fail()) {
        GTEST_SKIP() << "this kernel has no transparent huge pages";
    }
    NodeArena huge({.huge_pages = true});
    NodeArena small;
    void* in_huge = huge.allocate(512, line);
    void* in_small = small.allocate(512, line);
    EXPECT_EQ(mapping_has_flag(in_huge, "hg"), true);
    EXPECT_EQ(mapping_has_flag(in_small, "hg"), false);
    huge.release(in_huge, 512, line);
    small.release(in_small, 512, line);
}

TEST(NodeArena, threads_may_allocate_and_release_at_once) {
    constexpr std::size_t mark_position = 5;  // behind what a free list would overwrite
    // Long enough to outlive a time slice: on a busy machine shorter threads would run one after the other.
    const int rounds = NodeArena::supply_is_malloc() ? 2'000 : 60'000;
    NodeArena arena;
    std::latch start(4);
    std::atomic<bool> shared{false};
    const auto work = [&](std::uint64_t mark) {
        start.arrive_and_wait();
        for (const std::size_t bytes : {576UL, 512UL}) {
            for (int round = 0; round < rounds; ++round) {
                std::array<std::uint64_t*, 4> objects{};
                for (std::uint64_t*& object : objects) {
                    object = static_cast<std::uint64_t*>(arena.allocate(bytes, line));
                    object[mark_position] = mark;
                }
                for (std::uint64_t* object : objects) {
                    if (object[mark_position] != mark) {
                        shared.store(true, std::memory_order_relaxed);  // relaxed: read after the threads are joined
                    }
                    arena.release(object, bytes, line);
                }
            }
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t mark = 1; mark <= 4; ++mark) {
        threads.emplace_back(work, mark);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_FALSE(shared.load(std::memory_order_relaxed)) << "two threads were given the same memory";  // relaxed: joined
    EXPECT_EQ(arena.charged_bytes(), 0U);
    EXPECT_EQ(arena.allocated_bytes(), 0U);
}

TEST(NodeArena, the_allocator_purges_nothing_while_a_program_runs) {
    SKIP_WHERE_SUPPLY_IS_MALLOC();
    if (std::getenv("MALLOC_CONF") != nullptr) {
        GTEST_SKIP() << "MALLOC_CONF overrides the program's settings";
    }
    EXPECT_THAT(allocator_settings(), HasSubstr("dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false"));
}

}  // namespace
}  // namespace page_map_lab
