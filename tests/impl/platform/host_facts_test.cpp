#include "impl/platform/host_facts.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "impl/platform/node_arena.hpp"

namespace page_map_lab {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace fs = std::filesystem;

/// A folder that stands for the root of a machine's files.
class FakeRoot {
public:
    FakeRoot() {
        fs::create_directories(path_);
        file("proc/cpuinfo",
             "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9654 96-Core Processor\n"
             "microcode\t: 0xa101144\nflags\t\t: fpu vme invlpgb sse\n\nprocessor\t: 1\nmodel name\t: other\n");
        file("proc/sys/kernel/osrelease", "6.18.1\n");
    }
    ~FakeRoot() { fs::remove_all(path_); }
    FakeRoot(const FakeRoot&) = delete;
    FakeRoot& operator=(const FakeRoot&) = delete;

    void file(const std::string& name, const std::string& text) const {
        fs::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
    }
    void flags(const std::string& flags) const {
        file("proc/cpuinfo", "vendor_id : GenuineIntel\nmodel name : Intel(R) Xeon(R) CPU\nflags : " + flags + "\n");
    }
    const fs::path& path() const { return path_; }

private:
    fs::path path_ = fs::temp_directory_path() / ("page_map_lab_host_facts_" + std::to_string(getpid()));
};

const Topology& server() {
    static const Topology topology = Topology::from_synthetic("package:2 numanode:1 l3:2 core:8 pu:2").value();
    return topology;
}

MachineIdentity metal() {
    return {.architecture = "x86_64"};
}

MachineIdentity kvm(std::uint32_t features, std::uint32_t hints = 0) {
    return {.architecture = "x86_64",
            .hypervisor_signature = "KVMKVMKVM",
            .hypervisor_features = features,
            .hypervisor_hints = hints};
}

constexpr std::uint32_t paravirtual_flush = (1U << 9) | (1U << 5);

const Fact& fact(const std::vector<Fact>& facts, std::string_view name) {
    for (const Fact& each : facts) {
        if (each.name == name) {
            return each;
        }
    }
    throw std::runtime_error("no fact " + std::string(name));
}

template <class Value>
Value value(const std::vector<Fact>& facts, std::string_view name) {
    return std::get<Value>(fact(facts, name).value.value());
}

TEST(HostFacts, the_hardware_is_read_from_the_first_processor_and_the_topology) {
    const FakeRoot root;
    const HostFacts host = read_host_facts(server(), root.path(), metal());
    EXPECT_EQ(value<std::string>(host.facts, "cpu_model"), "AMD EPYC 9654 96-Core Processor");
    EXPECT_EQ(value<std::string>(host.facts, "vendor"), "AuthenticAMD");
    EXPECT_EQ(value<std::string>(host.facts, "microcode"), "0xa101144");
    EXPECT_EQ(value<std::string>(host.facts, "kernel"), "6.18.1");
    EXPECT_EQ(value<std::int64_t>(host.facts, "logical_cpus"), 64);
    EXPECT_EQ(value<std::int64_t>(host.facts, "cores"), 32);
    EXPECT_EQ(value<std::int64_t>(host.facts, "packages"), 2);
    EXPECT_EQ(value<std::int64_t>(host.facts, "numa_nodes"), 2);
    EXPECT_EQ(host.caches, server().caches());
    EXPECT_EQ(host.find("cpu_model"), &host.facts.front());
    EXPECT_EQ(host.find("no_such_fact"), nullptr);
}

TEST(HostFacts, the_name_is_readable_and_ends_in_a_hash_of_the_hardware_only) {
    const FakeRoot root;
    const std::string name = read_host_facts(server(), root.path(), metal()).name;
    EXPECT_THAT(name, StartsWith("amd-epyc-9654-96-core-64cpu-"));
    const std::string hash = name.substr(name.rfind('-') + 1);
    EXPECT_EQ(hash.size(), 8U);
    EXPECT_EQ(hash.find_first_not_of("0123456789abcdef"), std::string::npos);

    root.file("proc/sys/kernel/osrelease", "6.19.0\n");
    EXPECT_EQ(read_host_facts(server(), root.path(), metal()).name, name) << "a new kernel is no new host";
    const Topology other = Topology::from_synthetic("package:2 numanode:1 l3:1 core:16 pu:2").value();
    EXPECT_NE(read_host_facts(other, root.path(), metal()).name, name) << "other caches are another host";
    EXPECT_THAT(read_host_facts(server(), root.path(), kvm(0)).name, StartsWith("amd-epyc-9654-96-core-vm-64cpu-"));
}

TEST(HostFacts, a_name_is_fit_for_a_folder_whatever_the_processor_is_called) {
    const FakeRoot root;
    root.file("proc/cpuinfo", "model name : Intel(R) Xeon(R) W/3175X  CPU @ 3.10GHz\n");
    EXPECT_THAT(read_host_facts(server(), root.path(), metal()).name, StartsWith("intel-xeon-w-3175x-64cpu-"));
    root.file("proc/cpuinfo", "processor : 0\n");
    EXPECT_THAT(read_host_facts(server(), root.path(), metal()).name, StartsWith("x86-64-64cpu-"));
}

TEST(HostFacts, memory_is_what_is_online_and_does_not_change_the_name) {
    const FakeRoot root;
    const HostFacts before = read_host_facts(server(), root.path(), metal());
    EXPECT_EQ(value<std::int64_t>(before.facts, "memory_bytes"),
              static_cast<std::int64_t>(server().machine_memory_bytes()));
    root.file("sys/devices/system/memory/block_size_bytes", "8000000\n");
    root.file("sys/devices/system/memory/memory0/state", "online\n");
    root.file("sys/devices/system/memory/memory1/state", "offline\n");
    root.file("sys/devices/system/memory/memory32/state", "online\n");
    const HostFacts after = read_host_facts(server(), root.path(), metal());
    EXPECT_EQ(value<std::int64_t>(after.facts, "memory_bytes"), 2 * (std::int64_t{128} << 20));
    EXPECT_EQ(after.name, before.name);
}

TEST(HostFacts, what_is_missing_has_no_value_and_says_why) {
    const FakeRoot root;
    fs::remove(root.path() / "proc/cpuinfo");
    const HostFacts host = read_host_facts(server(), root.path(), metal());
    for (const char* name : {"cpu_model", "vendor", "microcode"}) {
        EXPECT_FALSE(fact(host.facts, name).value) << name;
        EXPECT_EQ(fact(host.facts, name).why, "there is no /proc/cpuinfo on this system") << name;
    }
    EXPECT_FALSE(fact(host.facts, "hypervisor").value);
    EXPECT_THAT(fact(host.facts, "hypervisor").why, HasSubstr("bare metal"));
}

TEST(HostFacts, a_guest_is_shared_unless_its_hypervisor_promises_processors_of_its_own) {
    const FakeRoot root;
    const auto shared = [&](const MachineIdentity& identity) {
        return value<bool>(read_host_facts(server(), root.path(), identity).facts, "shared_virtual_machine");
    };
    EXPECT_FALSE(shared(metal()));
    EXPECT_TRUE(shared(kvm(0)));
    EXPECT_FALSE(shared(kvm(0, 1)));
    root.flags("fpu hypervisor");
    EXPECT_TRUE(shared(metal())) << "a hypervisor without a signature";
}

TEST(TlbMechanism, each_machine_has_its_own_with_a_reason) {
    const FakeRoot root;
    const auto mechanism = [&](const MachineIdentity& identity) {
        const TlbMechanism found = read_host_facts(server(), root.path(), identity).tlb_mechanism;
        EXPECT_FALSE(found.why.empty());
        return found.value;
    };
    EXPECT_EQ(mechanism(metal()), "invlpgb");
    root.flags("fpu vme invlpgbx");
    EXPECT_EQ(mechanism(metal()), "ipi");
    EXPECT_EQ(mechanism({.architecture = "aarch64"}), "broadcast");
    EXPECT_EQ(mechanism(kvm(paravirtual_flush)), "ipi_paravirtual");
    EXPECT_EQ(mechanism(kvm(1U << 9)), "ipi") << "without steal time the kernel does not use it";
    EXPECT_EQ(mechanism(kvm(paravirtual_flush, 1)), "ipi") << "dedicated processors";
    root.flags("fpu monitor");
    EXPECT_EQ(mechanism(kvm(paravirtual_flush)), "ipi") << "with MWAIT the kernel does not use it";
}

TEST(EnvironmentFacts, settings_and_noise_are_read_as_they_are) {
    const FakeRoot root;
    root.file("proc/sys/vm/max_map_count", "65530\n");
    root.file("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    root.file("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always [within_size] advise never deny force\n");
    root.file("proc/sys/kernel/numa_balancing", "1\n");
    root.file("proc/sys/kernel/perf_event_paranoid", "-1\n");
    root.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
    root.file("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
    root.file("sys/devices/system/cpu/smt/control", "on\n");
    root.file("proc/meminfo", "MemTotal:  100 kB\nSwapTotal:       2048 kB\nSwapFree: 7 kB\n");
    root.file("sys/kernel/mm/ksm/run", "0\n");
    root.file("proc/loadavg", "0.25 0.5 0.75 1/234 5678\n");
    root.file("proc/stat", "cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
    const auto facts = read_environment_facts(root.path());
    EXPECT_EQ(value<std::int64_t>(facts, "max_map_count"), 65530);
    EXPECT_EQ(value<std::string>(facts, "transparent_huge_pages"), "madvise");
    EXPECT_EQ(value<std::string>(facts, "shared_memory_huge_pages"), "within_size");
    EXPECT_EQ(value<std::int64_t>(facts, "numa_balancing"), 1);
    EXPECT_EQ(value<std::int64_t>(facts, "perf_event_paranoid"), -1);
    EXPECT_EQ(value<std::string>(facts, "governor"), "performance");
    EXPECT_EQ(value<bool>(facts, "boost"), false);
    EXPECT_EQ(value<std::string>(facts, "smt"), "on");
    EXPECT_EQ(value<std::int64_t>(facts, "swap_total_bytes"), 2048 * 1024);
    EXPECT_EQ(value<std::int64_t>(facts, "ksm"), 0);
    EXPECT_EQ(value<double>(facts, "load_1m"), 0.25);
    EXPECT_EQ(value<std::int64_t>(facts, "steal_ticks"), 88);
    root.file("sys/devices/system/cpu/cpufreq/boost", "1\n");
    EXPECT_EQ(value<bool>(read_environment_facts(root.path()), "boost"), true);
}

TEST(EnvironmentFacts, on_an_empty_machine_every_file_fact_is_missing_with_a_reason) {
    const FakeRoot root;
    for (const Fact& each : read_environment_facts(root.path())) {
        if (each.name == "malloc_conf") {
            EXPECT_EQ(each.value.has_value(), !NodeArena::supply_is_malloc());
            continue;
        }
        EXPECT_FALSE(each.value) << each.name;
        EXPECT_FALSE(each.why.empty()) << each.name;
    }
}

TEST(EnvironmentFacts, a_file_that_says_something_else_is_missing_and_never_zero) {
    const FakeRoot root;
    root.file("proc/sys/vm/max_map_count", "many\n");
    root.file("proc/stat", "cpu 1 2 3\n");
    root.file("sys/kernel/mm/transparent_hugepage/enabled", "never\n");
    const auto facts = read_environment_facts(root.path());
    for (const char* name : {"max_map_count", "steal_ticks", "transparent_huge_pages"}) {
        EXPECT_FALSE(fact(facts, name).value) << name;
        EXPECT_THAT(fact(facts, name).why, HasSubstr("does not say it")) << name;
    }
    EXPECT_THAT(fact(facts, "max_map_count").why, HasSubstr("many"));
}

TEST(EnvironmentFacts, a_file_whose_reading_fails_is_missing_and_says_so) {
    const FakeRoot root;
    fs::create_directories(root.path() / "proc/loadavg");  // it can be opened, and not be read
    EXPECT_THAT(fact(read_environment_facts(root.path()), "load_1m").why, HasSubstr("could not be read"));
}

TEST(EnvironmentFacts, a_file_that_may_not_be_read_is_told_from_one_that_is_not_there) {
    const FakeRoot root;
    root.file("proc/loadavg", "1.0\n");
    fs::permissions(root.path() / "proc/loadavg", fs::perms::none);
    const uid_t user = geteuid();
    constexpr uid_t nobody = 65534;
    ASSERT_TRUE(user != 0 || seteuid(nobody) == 0) << "root may read everything";
    const auto facts = read_environment_facts(root.path());
    ASSERT_EQ(seteuid(user), 0);
    EXPECT_THAT(fact(facts, "load_1m").why, HasSubstr("run as root"));
    EXPECT_THAT(fact(facts, "ksm").why, HasSubstr("there is no"));
}

TEST(HostFacts, this_machine_has_its_essential_facts) {
    const Topology topology = Topology::discover().value();
    const HostFacts host = read_host_facts(topology);
    EXPECT_EQ(host.name, read_host_facts(topology).name);
    for (const char* name : {"logical_cpus", "memory_bytes", "kernel", "page_size", "architecture"}) {
        EXPECT_TRUE(host.find(name)->value) << name << ": " << host.find(name)->why;
    }
    for (const Fact& each : host.facts) {
        EXPECT_TRUE(each.value || !each.why.empty()) << each.name;
    }
    EXPECT_TRUE(fact(read_environment_facts(), "max_map_count").value);
}

}  // namespace
}  // namespace page_map_lab
