// What must be known about a machine to read its numbers: hardware, kernel, settings and noise, each fact with its
// value or the reason why there is none.
//
// Thread safety: all functions only read. Source: /proc, /sys, uname, CPUID; the root of the files can be elsewhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "impl/platform/topology.hpp"

namespace page_map_lab {

using FactValue = std::variant<bool, std::int64_t, double, std::string>;

/// One fact by the name records give it. Without a value, `why` says why; with one, `why` may say where it comes from.
struct Fact {
    std::string name;
    std::optional<FactValue> value;
    std::string why;
};

/// How the kernel tells other processors to drop translations: comparing numbers across different ones misleads.
struct TlbMechanism {
    std::string value;  ///< "ipi", "ipi_paravirtual", "invlpgb", "broadcast"; measured: "without_interrupts"
    std::string why;
};

/// What no file says: the architecture, and what the hypervisor says of itself in CPUID.
struct MachineIdentity {
    std::string architecture;               ///< as uname -m
    std::int64_t page_size = 4096;          ///< bytes
    std::string hypervisor_signature{};     ///< CPUID 0x40000000, for example "KVMKVMKVM"; empty on bare metal
    std::uint32_t hypervisor_features = 0;  ///< CPUID 0x40000001 EAX, of KVM
    std::uint32_t hypervisor_hints = 0;     ///< CPUID 0x40000001 EDX, of KVM

    /// That of the machine this runs on.
    static MachineIdentity read();
};

/// What changes only with the machine, its firmware or its kernel.
struct HostFacts {
    std::string name;         ///< "<readable>-<8 hex digits of a hash of the hardware facts>"
    std::vector<Fact> facts;  ///< cpu_model, vendor, logical_cpus, cores, packages, numa_nodes, memory_bytes, ...
    std::vector<CacheLevel> caches;
    TlbMechanism tlb_mechanism;

    /// The fact of that name, or nullptr.
    const Fact* find(std::string_view name) const noexcept;
};

/// Reads the facts about the hardware and the kernel.
HostFacts read_host_facts(const Topology& topology, const std::filesystem::path& root = "/",
                          const MachineIdentity& identity = MachineIdentity::read());

/// Reads the settings and the noise, as they are now: max_map_count, transparent_huge_pages (of private memory),
/// shared_memory_huge_pages (of memfds, so of objects), numa_balancing, perf_event_paranoid, governor, boost, smt,
/// swap_total_bytes, ksm, load_1m, steal_ticks, malloc_conf, nmi_watchdog, tlb_single_page_flush_ceiling.
std::vector<Fact> read_environment_facts(const std::filesystem::path& root = "/");

}  // namespace page_map_lab
