#include "impl/platform/topology.hpp"

#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwloc.h>

namespace page_map_lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* two_packages = "package:2 numanode:1 l3:2 core:8 pu:2";

/// Sets an environment variable for a scope.
class ScopedEnvironment {
public:
    ScopedEnvironment(const char* name, const std::string& value) : name_(name) {
        if (const char* old = std::getenv(name)) {
            old_ = old;
        }
        setenv(name, value.c_str(), 1);
    }
    ~ScopedEnvironment() {
        if (old_) {
            setenv(name_, old_->c_str(), 1);
        } else {
            unsetenv(name_);
        }
    }
    ScopedEnvironment(const ScopedEnvironment&) = delete;
    ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

private:
    const char* name_;
    std::optional<std::string> old_;
};

/// A path that is removed with the scope.
struct TemporaryFile {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("page_map_lab_topology_" + std::to_string(getpid()) + ".xml");
    ~TemporaryFile() { std::filesystem::remove(path); }
};

TEST(Topology, a_synthetic_machine_has_the_siblings_cores_packages_and_nodes_it_was_described_with) {
    const Topology topology = Topology::from_synthetic(two_packages).value();
    ASSERT_EQ(topology.cpus().size(), 64U);
    for (unsigned rank = 0; rank < 64; ++rank) {
        EXPECT_EQ(topology.cpus()[rank], (LogicalCpu{rank, rank / 2, rank / 32, rank / 32, rank % 2})) << rank;
    }
    EXPECT_THAT(topology.numa_nodes(), ElementsAre(0, 1));
    EXPECT_EQ(topology.machine_logical_cpus(), 64U);
    EXPECT_EQ(topology.machine_cores(), 32U);
    EXPECT_EQ(topology.machine_packages(), 2U);
    EXPECT_EQ(topology.machine_numa_nodes(), 2U);
    ASSERT_EQ(topology.caches().size(), 1U);
    EXPECT_EQ(topology.caches()[0].name, "L3");
    EXPECT_EQ(topology.caches()[0].instances, 4U);
}

TEST(Topology, an_os_index_is_not_a_logical_index) {
    // As most servers number them: first threads of all cores, then their siblings.
    const Topology topology = Topology::from_synthetic("package:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)").value();
    std::vector<unsigned> os_order;
    for (const LogicalCpu& cpu : topology.cpus()) {
        os_order.push_back(cpu.os_index);
    }
    EXPECT_THAT(os_order, ElementsAre(0, 4, 1, 5, 2, 6, 3, 7));
    EXPECT_EQ(topology.find_cpu(4), (LogicalCpu{4, 0, 0, 0, 1}));
    EXPECT_EQ(topology.find_cpu(8), std::nullopt);
}

TEST(Topology, a_synthetic_machine_is_not_this_system_and_says_how_to_get_back) {
    const Topology topology = Topology::from_synthetic(two_packages).value();
    EXPECT_FALSE(topology.is_this_system());
    const Status bindable = topology.bindable();
    ASSERT_FALSE(bindable);
    EXPECT_EQ(bindable.error().code, ErrorCode::unavailable);
    EXPECT_THAT(bindable.error().text(), HasSubstr("unset HWLOC_SYNTHETIC"));
}

TEST(Topology, discovery_honours_hwloc_synthetic) {
    const ScopedEnvironment synthetic("HWLOC_SYNTHETIC", two_packages);
    const Topology topology = Topology::discover().value();
    EXPECT_EQ(topology.cpus().size(), 64U);
    EXPECT_FALSE(topology.is_this_system());
    EXPECT_EQ(topology.source(), std::string("synthetic: ") + two_packages);
}

TEST(Topology, a_description_that_hwloc_cannot_read_is_an_error_and_not_this_machine) {
    const ScopedEnvironment synthetic("HWLOC_SYNTHETIC", "package:two");
    const auto topology = Topology::discover();
    ASSERT_FALSE(topology);
    EXPECT_EQ(topology.error().code, ErrorCode::usage);
    EXPECT_THAT(topology.error().text(), HasSubstr("package:two"));
}

TEST(Topology, discovery_honours_an_exported_machine_with_its_distances) {
    const TemporaryFile file;
    {
        const Topology original = Topology::from_synthetic("package:2 numanode:1 core:2 pu:2").value();
        hwloc_obj_t nodes[2] = {hwloc_get_obj_by_type(original.native(), HWLOC_OBJ_NUMANODE, 0),
                                hwloc_get_obj_by_type(original.native(), HWLOC_OBJ_NUMANODE, 1)};
        hwloc_uint64_t values[4] = {10, 21, 21, 10};
        const auto handle = hwloc_distances_add_create(
            original.native(), "latency", HWLOC_DISTANCES_KIND_FROM_USER | HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
        ASSERT_EQ(hwloc_distances_add_values(original.native(), handle, 2, nodes, values, 0), 0);
        ASSERT_EQ(hwloc_distances_add_commit(original.native(), handle, 0), 0);
        ASSERT_EQ(hwloc_topology_export_xml(original.native(), file.path.c_str(), 0), 0);
    }
    const ScopedEnvironment xml("HWLOC_XMLFILE", file.path.string());
    const Topology topology = Topology::discover().value();
    EXPECT_FALSE(topology.is_this_system());
    EXPECT_EQ(topology.cpus().size(), 8U);
    EXPECT_EQ(topology.numa_distance(0, 1), 21U);
    EXPECT_EQ(topology.numa_distance(1, 1), 10U);
    EXPECT_EQ(topology.numa_distance(0, 2), std::nullopt);
}

TEST(Topology, a_file_that_is_no_topology_is_an_error_that_names_it) {
    const TemporaryFile file;
    std::ofstream(file.path) << "<html>not a machine</html>\n";
    const auto topology = Topology::from_xml(file.path);
    ASSERT_FALSE(topology);
    EXPECT_THAT(topology.error().text(), HasSubstr(file.path.string()));
    EXPECT_FALSE(Topology::from_xml("/there/is/no/such/file.xml"));
}

TEST(Topology, this_system_has_the_processors_that_the_kernel_gives_this_process) {
    const Topology topology = Topology::discover().value();
    ASSERT_TRUE(topology.is_this_system());
    EXPECT_TRUE(topology.bindable());
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    EXPECT_EQ(topology.cpus().size(), static_cast<std::size_t>(CPU_COUNT(&allowed)));
    for (const LogicalCpu& cpu : topology.cpus()) {
        EXPECT_TRUE(CPU_ISSET(cpu.os_index, &allowed)) << cpu.os_index;
    }
    EXPECT_GE(topology.machine_logical_cpus(), topology.cpus().size());
    EXPECT_GT(topology.machine_memory_bytes(), 0U);
}

TEST(Topology, the_cpuset_of_the_process_narrows_the_processors_and_not_the_machine) {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    if (CPU_COUNT(&before) < 2) {
        GTEST_SKIP() << "one processor cannot be narrowed";
    }
    unsigned last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &before)) {
        --last;
    }
    cpu_set_t only_last;
    CPU_ZERO(&only_last);
    CPU_SET(last, &only_last);
    ASSERT_EQ(sched_setaffinity(0, sizeof(only_last), &only_last), 0);
    const auto narrowed = Topology::discover();
    ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
    ASSERT_TRUE(narrowed) << narrowed.error().text();
    ASSERT_EQ(narrowed->cpus().size(), 1U);
    EXPECT_EQ(narrowed->cpus()[0].os_index, last);
    EXPECT_EQ(narrowed->cpus()[0].smt_rank, 0U);
    EXPECT_GE(narrowed->machine_logical_cpus(), static_cast<unsigned>(CPU_COUNT(&before)));
}

}  // namespace
}  // namespace page_map_lab
