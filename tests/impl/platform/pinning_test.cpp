#include "impl/platform/pinning.hpp"

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwloc.h>

namespace page_map_lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Two packages of sixteen cores with two threads each; 0 to 31 are package 0, siblings are neighbours.
const Topology& two_packages() {
    static const Topology topology = Topology::from_synthetic("package:2 numanode:1 l3:2 core:8 pu:2").value();
    return topology;
}

/// A described machine of which only some processors are left, which no plain description can say.
Topology restricted(const std::string& description, std::initializer_list<unsigned> kept) {
    const Topology whole = Topology::from_synthetic(description).value();
    const hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (const unsigned cpu : kept) {
        hwloc_bitmap_set(set, cpu);
    }
    hwloc_topology_restrict(whole.native(), set, 0);
    hwloc_bitmap_free(set);
    const auto path = std::filesystem::temp_directory_path() / ("page_map_lab_pinning_" + std::to_string(getpid()));
    hwloc_topology_export_xml(whole.native(), path.c_str(), 0);
    Topology left = Topology::from_xml(path).value();
    std::filesystem::remove(path);
    return left;
}

std::vector<unsigned> planned(std::string_view plan, const Topology& topology, unsigned threads) {
    return PinningPlan::parse(plan).value().cpus_for(topology, threads).value();
}

TEST(PinningPlan, compact_fills_the_siblings_of_a_core_then_the_next_core) {
    EXPECT_THAT(planned("compact", two_packages(), 5), ElementsAre(0, 1, 2, 3, 4));
    const Topology server = Topology::from_synthetic("package:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)").value();
    EXPECT_THAT(planned("compact", server, 5), ElementsAre(0, 4, 1, 5, 2));
}

TEST(PinningPlan, scatter_alternates_packages_then_cores_and_takes_siblings_last) {
    EXPECT_THAT(planned("scatter", two_packages(), 5), ElementsAre(0, 32, 2, 34, 4));
    const auto all = planned("scatter", two_packages(), 64);
    for (unsigned rank = 0; rank < 32; ++rank) {
        EXPECT_EQ(all[rank] % 2, 0U) << "a sibling before every core had a thread, at " << rank;
        EXPECT_EQ(all[rank + 32] % 2, 1U) << rank;
    }
}

TEST(PinningPlan, scatter_takes_no_sibling_before_the_larger_of_two_packages_has_a_thread_on_each_core) {
    const Topology lopsided = restricted("package:2 core:3 pu:2", {0, 1, 6, 7, 8, 9, 10, 11});
    EXPECT_THAT(planned("scatter", lopsided, 8), ElementsAre(0, 6, 8, 10, 1, 7, 9, 11));
}

TEST(PinningPlan, per_node_keeps_taking_turns_where_nodes_differ) {
    const Topology lopsided = restricted("package:2 numanode:1 core:3 pu:2", {0, 1, 6, 7, 8, 9, 10, 11});
    EXPECT_THAT(planned("per_node", lopsided, 8), ElementsAre(0, 6, 1, 8, 10, 7, 9, 11));
}

TEST(PinningPlan, per_node_goes_round_the_memory_nodes_with_cores_before_siblings) {
    const Topology four_nodes = Topology::from_synthetic("package:2 group:2 numanode:1 core:2 pu:2").value();
    EXPECT_THAT(planned("per_node", four_nodes, 16),
                ElementsAre(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15));
    EXPECT_THAT(planned("scatter", four_nodes, 4), ElementsAre(0, 8, 2, 10)) << "packages, not nodes";
}

TEST(PinningPlan, a_list_is_taken_in_its_order) {
    EXPECT_THAT(planned("list:7,0,2-4", two_packages(), 5), ElementsAre(7, 0, 2, 3, 4));
    EXPECT_THAT(planned("list:7,0,2-4", two_packages(), 2), ElementsAre(7, 0));
}

TEST(PinningPlan, too_few_processors_is_an_error_that_names_the_way_out) {
    for (const char* plan : {"compact", "scatter", "per_node", "list:0,1"}) {
        const auto cpus = PinningPlan::parse(plan).value().cpus_for(two_packages(), 65);
        ASSERT_FALSE(cpus) << plan;
        EXPECT_EQ(cpus.error().code, ErrorCode::usage);
        EXPECT_THAT(cpus.error().text(), HasSubstr("ask for at most")) << plan;
        EXPECT_THAT(cpus.error().text(), HasSubstr("65")) << plan;
    }
    EXPECT_FALSE(PinningPlan().cpus_for(two_packages(), 0));
}

TEST(PinningPlan, a_listed_processor_that_is_not_there_is_named) {
    const auto cpus = PinningPlan::parse("list:0,64").value().cpus_for(two_packages(), 2);
    ASSERT_FALSE(cpus);
    EXPECT_THAT(cpus.error().text(), HasSubstr("processor 64"));
}

TEST(PinningPlan, text_parses_back_to_the_same_plan) {
    for (const char* text : {"compact", "scatter", "per_node", "list:0,2", "list:5"}) {
        EXPECT_EQ(PinningPlan::parse(text).value().text(), text);
    }
    EXPECT_EQ(PinningPlan::parse("list:2,3,4,0,7,8").value().text(), "list:2-4,0,7,8");
    EXPECT_EQ(PinningPlan::parse("list:8-60924").value().text(), "list:8-60924");
    EXPECT_EQ(PinningPlan().text(), "compact");
}

TEST(PinningPlan, what_is_no_plan_is_refused_with_those_that_are) {
    for (const char* text : {"", "Compact", "spread", "list:", "list:a", "list:1,", "list:1,,2", "list:3-1", "list:1,1",
                             "list:0-3,2", "list:-1", "list:99999999999", "list:0-4294967295"}) {
        const auto plan = PinningPlan::parse(text);
        ASSERT_FALSE(plan) << text;
        EXPECT_EQ(plan.error().code, ErrorCode::usage);
        EXPECT_THAT(plan.error().text(), HasSubstr("use compact, scatter, per_node, or list:"));
    }
}

TEST(Pinning, a_pinned_thread_runs_where_it_was_asked_to) {
    const Topology topology = Topology::discover().value();
    for (const LogicalCpu& cpu : topology.cpus()) {
        std::thread([&] {
            const PinOutcome outcome = pin_this_thread(topology, cpu.os_index);
            EXPECT_EQ(outcome.state, PlacementState::ok) << outcome.why;
            EXPECT_EQ(outcome.asked_cpu, cpu.os_index);
            EXPECT_EQ(outcome.observed_cpu, cpu.os_index);
            EXPECT_EQ(outcome.why, "");
            EXPECT_EQ(sched_getcpu(), static_cast<int>(cpu.os_index));
        }).join();
    }
}

TEST(Pinning, a_processor_that_is_not_there_is_a_mismatch_and_says_why) {
    const Topology topology = Topology::discover().value();
    std::thread([&] {
        const PinOutcome outcome = pin_this_thread(topology, 4000);
        EXPECT_EQ(outcome.state, PlacementState::mismatch);
        EXPECT_NE(outcome.observed_cpu, 4000U);
        EXPECT_THAT(outcome.why, HasSubstr("4000"));
    }).join();
}

TEST(Pinning, a_foreign_topology_pins_nothing_and_does_not_pretend_to) {
    std::thread([] {
        cpu_set_t before;
        cpu_set_t after;
        ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
        const PinOutcome outcome = pin_this_thread(two_packages(), 0);
        ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
        EXPECT_EQ(outcome.state, PlacementState::unverified);
        EXPECT_EQ(outcome.observed_cpu, std::nullopt);
        EXPECT_THAT(outcome.why, HasSubstr("not this system's"));
        EXPECT_TRUE(CPU_EQUAL(&before, &after));
    }).join();
}

}  // namespace
}  // namespace page_map_lab
