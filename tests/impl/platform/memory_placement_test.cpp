#include "impl/platform/memory_placement.hpp"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "impl/core/page_index.hpp"

namespace page_map_lab {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t pages = 32;

/// Fresh pages, nobody's policy yet.
struct Mapping {
    explicit Mapping(int flags = MAP_PRIVATE | MAP_ANONYMOUS, int file = -1)
        : address(mmap(nullptr, pages * page_size, PROT_READ | PROT_WRITE, flags, file, 0)) {}
    ~Mapping() { munmap(address, bytes); }
    void* address;
    std::size_t bytes = pages * page_size;
};

/// The kernel's memory policy at an address: what mbind really left there, independent of hwloc.
int policy_mode_at(const void* address) {
    int mode = -1;
    const long result = syscall(SYS_get_mempolicy, &mode, nullptr, 0UL, address, MPOL_F_ADDR);
    return result == 0 ? mode : -1;
}

const Topology& here() {
    static const Topology topology = Topology::discover().value();
    return topology;
}

MemoryPolicy policy(std::string_view text) {
    return MemoryPolicy::parse(text).value();
}

TEST(MemoryPolicy, text_parses_back_to_the_same_policy) {
    for (const char* text : {"local", "interleave", "node:0", "node:17"}) {
        EXPECT_EQ(policy(text).text(), text);
    }
    EXPECT_EQ(MemoryPolicy::on_node(3).text(), "node:3");
    EXPECT_EQ(MemoryPolicy().text(), "local");
}

TEST(MemoryPolicy, what_is_no_policy_is_refused_with_those_that_are) {
    for (const char* text : {"", "Local", "node", "node:", "node:x", "node:1x", "node:-1", "node:99999999999"}) {
        const auto parsed = MemoryPolicy::parse(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code, ErrorCode::usage);
        EXPECT_THAT(parsed.error().text(), HasSubstr("use local, interleave, or node:"));
    }
}

TEST(MemoryPolicy, each_policy_reaches_the_kernel) {
    const std::string node = "node:" + std::to_string(here().numa_nodes().front());
    const Mapping untouched;
    EXPECT_EQ(policy_mode_at(untouched.address), MPOL_DEFAULT);
    const Mapping bound;
    const Status applied = policy(node).apply(here(), bound.address, bound.bytes);
    ASSERT_TRUE(applied) << applied.error().text();
    EXPECT_EQ(policy_mode_at(bound.address), MPOL_BIND);
    EXPECT_EQ(policy_mode_at(static_cast<char*>(bound.address) + bound.bytes - 1), MPOL_BIND);
    const Mapping interleaved;
    ASSERT_TRUE(policy("interleave").apply(here(), interleaved.address, interleaved.bytes));
    EXPECT_EQ(policy_mode_at(interleaved.address), MPOL_INTERLEAVE);
    // Back to first touch: the kernel calls it local or preferred without a node.
    ASSERT_TRUE(policy("local").apply(here(), interleaved.address, interleaved.bytes));
    EXPECT_THAT(policy_mode_at(interleaved.address), AnyOf(MPOL_LOCAL, MPOL_PREFERRED, MPOL_DEFAULT));
}

TEST(MemoryPolicy, a_shared_object_keeps_its_policy_for_other_mappings) {
    const int file = memfd_create("placement", 0);
    ASSERT_EQ(ftruncate(file, pages * page_size), 0);
    const Mapping one(MAP_SHARED, file);
    const Mapping other(MAP_SHARED, file);
    ASSERT_TRUE(MemoryPolicy::on_node(here().numa_nodes().front()).apply(here(), one.address, one.bytes));
    EXPECT_EQ(policy_mode_at(other.address), MPOL_BIND);
    close(file);
}

TEST(MemoryPolicy, a_foreign_topology_is_refused_and_a_node_that_does_not_exist_is_named) {
    const Mapping mapping;
    const Topology foreign = Topology::from_synthetic("package:2 numanode:1 core:2 pu:1").value();
    const Status on_foreign = policy("node:1").apply(foreign, mapping.address, mapping.bytes);
    ASSERT_FALSE(on_foreign);
    EXPECT_EQ(on_foreign.error().code, ErrorCode::unavailable);
    const Status on_missing = policy("node:4711").apply(here(), mapping.address, mapping.bytes);
    ASSERT_FALSE(on_missing);
    EXPECT_EQ(on_missing.error().code, ErrorCode::usage);
    EXPECT_THAT(on_missing.error().text(), HasSubstr("node:4711"));
    EXPECT_EQ(policy_mode_at(mapping.address), MPOL_DEFAULT);
}

TEST(ObservedPages, only_resident_pages_are_counted_and_each_once) {
    const Mapping mapping;
    EXPECT_TRUE(observed_pages_by_node(mapping.address, mapping.bytes).value().empty());
    auto* bytes = static_cast<char*>(mapping.address);
    for (std::size_t page = 0; page < 10; ++page) {
        bytes[2 * page * page_size] = 1;
    }
    const auto observed = observed_pages_by_node(mapping.address, mapping.bytes).value();
    ASSERT_EQ(observed.size(), here().numa_nodes().size() == 1 ? 1U : observed.size());
    std::uint64_t total = 0;
    for (const auto& [node, count] : observed) {
        total += count;
    }
    EXPECT_EQ(total, 10U);
}

TEST(ObservedPages, a_range_beyond_one_batch_is_counted_whole) {
    constexpr std::size_t many = 2500;
    void* memory = mmap(nullptr, many * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const unsigned node = here().numa_nodes().front();
    ASSERT_TRUE(MemoryPolicy::on_node(node).apply(here(), memory, many * page_size));
    std::memset(memory, 1, many * page_size);
    EXPECT_EQ(observed_pages_by_node(memory, many * page_size).value(),
              (std::map<unsigned, std::uint64_t>{{node, many}}));
    munmap(memory, many * page_size);
}

TEST(MemoryOutcome, a_bound_range_is_observed_where_it_was_asked_for) {
    const Mapping mapping;
    const MemoryPolicy bound = MemoryPolicy::on_node(here().numa_nodes().front());
    ASSERT_TRUE(bound.apply(here(), mapping.address, mapping.bytes));
    EXPECT_EQ(observe_placement(bound, here(), mapping.address, mapping.bytes).state, PlacementState::unverified);
    std::memset(mapping.address, 1, mapping.bytes);
    const MemoryOutcome outcome = observe_placement(bound, here(), mapping.address, mapping.bytes);
    EXPECT_EQ(outcome.state, PlacementState::ok) << outcome.why;
    EXPECT_EQ(outcome.policy, bound.text());
    EXPECT_EQ(outcome.observed_pages_by_node.at(here().numa_nodes().front()), pages);
}

TEST(MemoryOutcome, local_asks_for_the_nodes_of_the_calling_thread) {
    const auto asked = policy("local").asked_nodes(here());
    EXPECT_FALSE(asked.empty());
    EXPECT_LE(asked.size(), here().numa_nodes().size());
    EXPECT_THAT(policy("node:5").asked_nodes(here()), ElementsAre(5));
    const Topology foreign = Topology::from_synthetic("package:4 numanode:1 core:2 pu:1").value();
    EXPECT_THAT(policy("interleave").asked_nodes(foreign), ElementsAre(0, 1, 2, 3));
}

TEST(MemoryOutcome, pages_on_another_node_are_a_mismatch_that_names_it) {
    const MemoryOutcome outcome = judge_placement(policy("node:1"), {1}, {{0, 3}, {1, 97}});
    EXPECT_EQ(outcome.state, PlacementState::mismatch);
    EXPECT_THAT(outcome.why, HasSubstr("3 pages are on node 0"));
    EXPECT_EQ(judge_placement(policy("node:1"), {1}, {{1, 100}}).state, PlacementState::ok);
    EXPECT_EQ(judge_placement(policy("local"), {0}, {{1, 1}}).state, PlacementState::mismatch);
}

TEST(MemoryOutcome, interleaved_pages_must_be_shared_out_about_evenly) {
    EXPECT_EQ(judge_placement(policy("interleave"), {0, 1}, {{0, 50}, {1, 50}}).state, PlacementState::ok);
    EXPECT_EQ(judge_placement(policy("interleave"), {0, 1}, {{0, 100}}).state, PlacementState::mismatch);
    EXPECT_EQ(judge_placement(policy("interleave"), {0, 1, 2}, {{0, 80}, {1, 10}, {2, 10}}).state,
              PlacementState::mismatch);
    EXPECT_EQ(judge_placement(policy("interleave"), {0, 1, 2, 3}, {{0, 52}, {1, 16}, {2, 16}, {3, 16}}).state,
              PlacementState::mismatch);
}

}  // namespace
}  // namespace page_map_lab
