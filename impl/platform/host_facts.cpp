#include "impl/platform/host_facts.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <concepts>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <system_error>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "impl/platform/node_arena.hpp"

namespace page_map_lab {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kvm_signature = "KVMKVMKVM";

// Of KVM's CPUID leaf 0x40000001; Linux, arch/x86/include/uapi/asm/kvm_para.h.
constexpr std::uint32_t kvm_feature_steal_time = 1U << 5;
constexpr std::uint32_t kvm_feature_tlb_flush = 1U << 9;
constexpr std::uint32_t kvm_hint_dedicated = 1U << 0;

/// A file's text, or why there is none.
struct Text {
    std::optional<std::string> value;
    std::string why;
};

std::string trimmed(std::string text) {
    const auto space = [](unsigned char letter) { return std::isspace(letter) != 0; };
    text.erase(std::find_if_not(text.rbegin(), text.rend(), space).base(), text.end());
    text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), space));
    return text;
}

Text read_text(const fs::path& root, const char* path) {
    const std::string shown = std::string("/") + path;
    errno = 0;
    std::ifstream file(root / path);
    if (!file) {
        const int error = errno;
        return {std::nullopt, error == EACCES || error == EPERM ? shown + " may not be read by this user: run as root"
                                                                : "there is no " + shown + " on this system"};
    }
    std::string text;
    try {
        text.assign(std::istreambuf_iterator<char>(file), {});
    } catch (const std::ios_base::failure&) {
        return {std::nullopt, shown + " could not be read: " + std::strerror(errno)};
    }
    return {trimmed(std::move(text)), {}};
}

template <class Value>
std::optional<Value> number_in(const std::string& text) {
    std::istringstream stream(text);
    stream.exceptions(std::ios::badbit);  // or a number for which there is no memory would be none
    Value value{};
    return stream >> value ? std::optional(value) : std::nullopt;
}

Fact known(std::string name, FactValue value, std::string why = {}) {
    return {std::move(name), std::move(value), std::move(why)};
}

Fact missing(std::string name, std::string why) {
    return {std::move(name), std::nullopt, std::move(why)};
}

/// A string fact out of a file, through `choose`, which returns nothing where the text is not what it should be.
template <class Choose>
Fact fact_of_file(std::string name, const fs::path& root, const char* path, Choose&& choose) {
    const Text text = read_text(root, path);
    if (!text.value) {
        return missing(std::move(name), text.why);
    }
    if (auto value = choose(*text.value)) {
        return known(std::move(name), FactValue(*value));
    }
    return missing(std::move(name),
                   std::string("/") + path + " does not say it: \"" + text.value->substr(0, 60) + "\"");
}

template <class Value = std::int64_t>
Fact number_of_file(std::string name, const fs::path& root, const char* path) {
    return fact_of_file(std::move(name), root, path, number_in<Value>);
}

Fact word_of_file(std::string name, const fs::path& root, const char* path) {
    return fact_of_file(std::move(name), root, path, [](const std::string& text) {
        return text.empty() ? std::nullopt : std::optional(text);
    });
}

/// The choice in force of a kernel file such as "always [madvise] never".
std::optional<std::string> bracketed(const std::string& text) {
    const auto open = text.find('[');
    const auto close = text.find(']', open);
    return open != std::string::npos && close != std::string::npos
               ? std::optional(text.substr(open + 1, close - open - 1))
               : std::nullopt;
}

/// A field of /proc/meminfo in bytes.
std::optional<std::int64_t> memory_field(const std::string& meminfo, const std::string& name) {
    const auto at = meminfo.find(name + ":");
    const auto kibibytes =
        at != std::string::npos ? number_in<std::int64_t>(meminfo.substr(at + name.size() + 1)) : std::nullopt;
    return kibibytes ? std::optional(*kibibytes * 1024) : std::nullopt;
}

/// The fields of the first processor in /proc/cpuinfo.
class ProcessorInfo {
public:
    explicit ProcessorInfo(const fs::path& root) {
        const Text text = read_text(root, "proc/cpuinfo");
        why_ = text.why;
        std::istringstream lines(text.value.value_or(""));
        lines.exceptions(std::ios::badbit);  // or, out of memory, getline would end the list and say nothing
        for (std::string line; std::getline(lines, line) && !(line.empty() && !fields_.empty());) {
            if (const auto colon = line.find(':'); colon != std::string::npos) {
                fields_.emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
            }
        }
    }

    std::string value(const std::string& name) const {
        const auto found = fields_.find(name);
        return found != fields_.end() ? found->second : std::string();
    }

    bool has_flag(const std::string& flag) const {
        return (" " + value("flags") + " ").find(" " + flag + " ") != std::string::npos;
    }

    /// The first of `fields` that is there; Arm names its processors by numbers in other fields than x86.
    Fact fact(const std::string& name, std::initializer_list<const char*> fields) const {
        for (const char* field : fields) {
            if (const std::string found = value(field); !found.empty()) {
                return known(name, found);
            }
        }
        return missing(name,
                       !why_.empty() ? why_ : "/proc/cpuinfo has no field \"" + std::string(*fields.begin()) + "\"");
    }

private:
    std::map<std::string, std::string> fields_;
    std::string why_;
};

bool is_arm(const MachineIdentity& identity) {
    return identity.architecture == "aarch64" || identity.architecture == "arm64";
}

Fact hypervisor_fact(const ProcessorInfo& processor, const fs::path& root, const MachineIdentity& identity) {
    if (identity.hypervisor_signature.starts_with(kvm_signature)) {
        return known("hypervisor", std::string("KVM"));
    }
    if (!identity.hypervisor_signature.empty()) {
        return known("hypervisor", identity.hypervisor_signature);
    }
    for (const char* path : {"sys/hypervisor/type", "proc/device-tree/hypervisor/compatible"}) {
        if (const Text text = read_text(root, path); text.value && !text.value->empty()) {
            return known("hypervisor", *text.value);
        }
    }
    if (processor.has_flag("hypervisor")) {
        return known("hypervisor", std::string("unknown"), "the processor says there is one, but not which");
    }
    return missing("hypervisor", is_arm(identity)
                                     ? "none is announced to this system: bare metal, or a hypervisor that hides"
                                     : "the processor reports none: bare metal");
}

/// A guest shares its processors with neighbours unless its host promised otherwise.
Fact shared_fact(const Fact& hypervisor, const MachineIdentity& identity) {
    if (!hypervisor.value) {
        return known("shared_virtual_machine", false, hypervisor.why);
    }
    if ((identity.hypervisor_hints & kvm_hint_dedicated) != 0) {
        return known("shared_virtual_machine", false, "the hypervisor says its virtual processors are never preempted");
    }
    return known("shared_virtual_machine", true,
                 "a hypervisor is present and promises no processors of its own to this guest");
}

TlbMechanism tlb_mechanism_of(const ProcessorInfo& processor, const Fact& hypervisor, unsigned logical_cpus,
                              const MachineIdentity& identity) {
    if (is_arm(identity)) {
        return {"broadcast", "aarch64: TLBI instructions reach the other processors without interrupts"};
    }
    if (processor.has_flag("invlpgb")) {
        return {"invlpgb",
                "the processor has INVLPGB and the kernel uses it, without interrupts, for processes that ran on three "
                "or more processors; smaller ones are still interrupted"};
    }
    if (identity.hypervisor_signature.starts_with(kvm_signature)) {
        // The kernel's own conditions: pv_tlb_flush_supported() in arch/x86/kernel/kvm.c.
        const bool offered = (identity.hypervisor_features & kvm_feature_tlb_flush) != 0 &&
                             (identity.hypervisor_features & kvm_feature_steal_time) != 0;
        if (!offered) {
            return {"ipi", "KVM offers this guest no paravirtual flush"};
        }
        if ((identity.hypervisor_hints & kvm_hint_dedicated) != 0) {
            return {"ipi", "KVM says its virtual processors are never preempted, so Linux uses plain interrupts"};
        }
        if (processor.has_flag("monitor") || logical_cpus <= 1) {
            return {"ipi",
                    "KVM offers a paravirtual flush, which Linux uses only without MWAIT and on several processors"};
        }
        return {"ipi_paravirtual", "KVM offers a paravirtual flush: running virtual processors are interrupted, "
                                   "preempted ones flush when they run again"};
    }
    return {"ipi", hypervisor.value ? "interrupts, as far as this guest can tell"
                                    : "the processor has no INVLPGB, so others are interrupted"};
}

/// Lower-case letters and digits of `text`, words joined by single dashes.
std::string slug(const std::string& text) {
    std::string words;
    for (const char letter : text) {
        const auto byte = static_cast<unsigned char>(letter);
        if (std::isalnum(byte) != 0) {
            words += static_cast<char>(std::tolower(byte));
        } else if (!words.empty() && words.back() != '-') {
            words += '-';
        }
    }
    while (!words.empty() && words.back() == '-') {
        words.pop_back();
    }
    return words;
}

/// What a reader recognises a processor by: its model without trademarks, noise words and clock frequency.
std::string short_model(std::string model) {
    for (const char* noise : {"(R)", "(TM)", "(r)", "(tm)", "CPU", "Processor", "processor"}) {
        for (auto at = model.find(noise); at != std::string::npos; at = model.find(noise)) {
            model.replace(at, std::strlen(noise), " ");
        }
    }
    model = slug(model.substr(0, model.find('@')));
    return model.substr(0, model.find_last_not_of('-', 31) + 1);
}

std::string hash_of(const std::string& text) {
    std::uint32_t hash = 2166136261U;  // FNV-1a, 32 bit
    for (const char letter : text) {
        hash = (hash ^ static_cast<unsigned char>(letter)) * 16777619U;
    }
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08x", hash);
    return digits.data();
}

/// The memory that is plugged in and online. Not what /proc/meminfo calls total: that leaves out what the kernel keeps,
/// and grows while a kernel that starts lazily takes memory into use.
Fact memory_fact(const Topology& topology, const fs::path& root) {
    std::error_code none;
    std::int64_t blocks = 0;
    for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/memory", none)) {
        const std::string block = "sys/devices/system/memory/" + entry.path().filename().string() + "/state";
        blocks += read_text(root, block.c_str()).value == "online" ? 1 : 0;
    }
    const Text block_size = read_text(root, "sys/devices/system/memory/block_size_bytes");  // hexadecimal
    const std::int64_t block_bytes = block_size.value ? std::strtoll(block_size.value->c_str(), nullptr, 16) : 0;
    if (blocks * block_bytes != 0) {
        return known("memory_bytes", blocks * block_bytes);
    }
    return topology.machine_memory_bytes() != 0
               ? known("memory_bytes", static_cast<std::int64_t>(topology.machine_memory_bytes()),
                       "without what the kernel keeps for itself")
               : missing("memory_bytes", "neither /sys/devices/system/memory nor the topology says it");
}

/// The same for every run on a machine, and after a new kernel: only hardware counts, and not the memory, which a
/// hypervisor gives and takes, and which no two ways of asking agree about.
std::string name_of_host(const Topology& topology, const ProcessorInfo& processor, const Fact& hypervisor,
                         const MachineIdentity& identity) {
    const std::string model = processor.value("model name");
    std::string facts = identity.architecture + "|" + identity.hypervisor_signature;
    for (const char* field : {"vendor_id", "model name", "cpu family", "model", "stepping", "CPU implementer",
                              "CPU architecture", "CPU variant", "CPU part", "CPU revision"}) {
        facts += "|" + processor.value(field);
    }
    for (const unsigned count : {topology.machine_logical_cpus(), topology.machine_cores(),
                                 topology.machine_packages(), topology.machine_numa_nodes()}) {
        facts += "|" + std::to_string(count);
    }
    for (const CacheLevel& cache : topology.caches()) {
        facts += "|" + cache.name + ":" + std::to_string(cache.size_bytes) + "x" + std::to_string(cache.instances);
    }
    const std::string readable = short_model(model.empty() ? identity.architecture : model);
    return (readable.empty() ? "host" : readable) + (hypervisor.value ? "-vm" : "") + "-" +
           std::to_string(topology.machine_logical_cpus()) + "cpu-" + hash_of(facts);
}

Fact boost_fact(const fs::path& root) {
    if (const Text text = read_text(root, "sys/devices/system/cpu/cpufreq/boost"); text.value) {
        return known("boost", *text.value == "1");
    }
    if (const Text text = read_text(root, "sys/devices/system/cpu/intel_pstate/no_turbo"); text.value) {
        return known("boost", *text.value == "0");
    }
    return missing("boost", "no frequency driver here says so (neither cpufreq/boost nor intel_pstate/no_turbo)");
}

Fact governor_fact(const fs::path& root) {
    Fact fact = word_of_file("governor", root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (!fact.value) {
        fact.why = "no cpufreq here: the firmware or the hypervisor chooses the frequency";
    }
    return fact;
}

Fact flush_ceiling_fact(const fs::path& root) {
    Fact fact =
        number_of_file("tlb_single_page_flush_ceiling", root, "sys/kernel/debug/x86/tlb_single_page_flush_ceiling");
    if (!fact.value) {
        fact.why += "; on x86 it is in debugfs: mount -t debugfs debugfs /sys/kernel/debug";
    }
    return fact;
}

Fact malloc_fact() {
    std::string settings = allocator_settings();
    return settings.empty() ? missing("malloc_conf", "a sanitizer's malloc supplies the memory")
                            : known("malloc_conf", std::move(settings));
}

}  // namespace

MachineIdentity MachineIdentity::read() {
    MachineIdentity identity;
    utsname names{};
    identity.architecture = uname(&names) == 0 ? names.machine : "";
    identity.page_size = sysconf(_SC_PAGESIZE);
#if defined(__x86_64__)
    unsigned largest = 0;
    unsigned features = 0;
    unsigned signature[3] = {};
    __cpuid(1, largest, signature[0], features, signature[1]);
    constexpr unsigned hypervisor_present = 1U << 31;
    if ((features & hypervisor_present) != 0) {
        __cpuid(0x40000000, largest, signature[0], signature[1], signature[2]);
        char letters[sizeof(signature) + 1] = {};
        std::memcpy(letters, signature, sizeof(signature));
        identity.hypervisor_signature = letters;
        if (identity.hypervisor_signature.starts_with(kvm_signature)) {
            unsigned unused[2] = {};
            __cpuid(0x40000001, identity.hypervisor_features, unused[0], unused[1], identity.hypervisor_hints);
        }
    }
#endif
    return identity;
}

const Fact* HostFacts::find(std::string_view wanted) const noexcept {
    const auto found =
        std::find_if(facts.begin(), facts.end(), [wanted](const Fact& fact) { return fact.name == wanted; });
    return found != facts.end() ? &*found : nullptr;
}

/// Moved, not copied: in libstdc++ 12 a variant that holds a string may not run out of memory while it is copied.
template <std::same_as<Fact>... Facts>
static std::vector<Fact> list_of(Facts... facts) {
    std::vector<Fact> list;
    list.reserve(sizeof...(facts));
    (list.push_back(std::move(facts)), ...);
    return list;
}

HostFacts read_host_facts(const Topology& topology, const fs::path& root, const MachineIdentity& identity) {
    const ProcessorInfo processor(root);
    Fact hypervisor = hypervisor_fact(processor, root, identity);
    const auto count = [](std::string name, std::uint64_t value) {
        return known(std::move(name), static_cast<std::int64_t>(value));
    };
    HostFacts host;
    host.name = name_of_host(topology, processor, hypervisor, identity);
    host.caches = topology.caches();
    host.tlb_mechanism = tlb_mechanism_of(processor, hypervisor, topology.machine_logical_cpus(), identity);
    Fact shared = shared_fact(hypervisor, identity);
    host.facts = list_of(
        processor.fact("cpu_model", {"model name", "CPU part"}),
        processor.fact("vendor", {"vendor_id", "CPU implementer"}),
        count("logical_cpus", topology.machine_logical_cpus()),
        count("cores", topology.machine_cores()),
        count("packages", topology.machine_packages()),
        count("numa_nodes", topology.machine_numa_nodes()),
        memory_fact(topology, root),
        word_of_file("kernel", root, "proc/sys/kernel/osrelease"),
        std::move(hypervisor),
        processor.fact("microcode", {"microcode"}),
        known("page_size", identity.page_size),
        known("architecture", identity.architecture),
        known("topology", topology.source()),
        std::move(shared));
    return host;
}

std::vector<Fact> read_environment_facts(const fs::path& root) {
    return list_of(
        number_of_file("max_map_count", root, "proc/sys/vm/max_map_count"),
        fact_of_file("transparent_huge_pages", root, "sys/kernel/mm/transparent_hugepage/enabled", bracketed),
        fact_of_file("shared_memory_huge_pages", root, "sys/kernel/mm/transparent_hugepage/shmem_enabled", bracketed),
        number_of_file("numa_balancing", root, "proc/sys/kernel/numa_balancing"),
        number_of_file("perf_event_paranoid", root, "proc/sys/kernel/perf_event_paranoid"),
        governor_fact(root),
        boost_fact(root),
        word_of_file("smt", root, "sys/devices/system/cpu/smt/control"),
        fact_of_file("swap_total_bytes", root, "proc/meminfo",
                     [](const std::string& text) { return memory_field(text, "SwapTotal"); }),
        number_of_file("ksm", root, "sys/kernel/mm/ksm/run"),
        number_of_file<double>("load_1m", root, "proc/loadavg"),
        fact_of_file("steal_ticks", root, "proc/stat",
                     [](const std::string& text) -> std::optional<std::int64_t> {
                         std::istringstream line(text);
                         std::string name;
                         std::array<std::int64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
                         line >> name;
                         for (std::int64_t& value : ticks) {
                             line >> value;
                         }
                         return line && name == "cpu" ? std::optional(ticks.back()) : std::nullopt;
                     }),
        malloc_fact(),
        number_of_file("nmi_watchdog", root, "proc/sys/kernel/nmi_watchdog"),
        flush_ceiling_fact(root));
}

}  // namespace page_map_lab
