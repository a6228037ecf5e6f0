#include "impl/platform/topology.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <hwloc.h>

#include "impl/platform/bitmap.hpp"

namespace page_map_lab {

namespace {

std::shared_ptr<hwloc_topology> make_native() {
    hwloc_topology_t native = nullptr;
    if (hwloc_topology_init(&native) != 0) {
        return nullptr;
    }
    // The whole machine, so that its facts do not change with the cpuset of one run; cpus() is narrowed afterwards.
    hwloc_topology_set_flags(native, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    hwloc_topology_set_icache_types_filter(native, HWLOC_TYPE_FILTER_KEEP_ALL);
    return {native, &hwloc_topology_destroy};
}

tl::unexpected<Error> no_hwloc() {
    return fail(ErrorCode::no_memory, "hwloc could not make a topology: free some memory", errno);
}

const char* environment_value(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

unsigned count_of(hwloc_topology_t native, hwloc_obj_type_t type) {
    return static_cast<unsigned>(std::max(0, hwloc_get_nbobjs_by_type(native, type)));
}

unsigned ancestor_index(hwloc_topology_t native, hwloc_obj_t object, hwloc_obj_type_t type, unsigned otherwise) {
    const hwloc_obj_t ancestor = hwloc_get_ancestor_obj_by_type(native, type, object);
    return ancestor != nullptr ? ancestor->logical_index : otherwise;
}

}  // namespace

std::string_view to_string(PlacementState state) noexcept {
    switch (state) {
        case PlacementState::ok: return "ok";
        case PlacementState::unverified: return "unverified";
        case PlacementState::mismatch: return "mismatch";
    }
    return "unverified";
}

Result<Topology> Topology::discover() {
    // hwloc reads these itself, but falls back to this machine without a word where it cannot.
    if (const char* description = environment_value("HWLOC_SYNTHETIC")) {
        return from_synthetic(description);
    }
    if (const char* path = environment_value("HWLOC_XMLFILE")) {
        return from_xml(path);
    }
    Native native = make_native();
    return native ? load(std::move(native), "this system") : no_hwloc();
}

Result<Topology> Topology::from_synthetic(const std::string& description) {
    Native native = make_native();
    if (!native) {
        return no_hwloc();
    }
    if (hwloc_topology_set_synthetic(native.get(), description.c_str()) != 0) {
        return fail(ErrorCode::usage, "synthetic topology \"" + description +
                                          "\" is not one that hwloc reads: write it as "
                                          "\"package:2 numanode:1 l3:2 core:8 pu:2\", or unset HWLOC_SYNTHETIC");
    }
    return load(std::move(native), "synthetic: " + description);
}

Result<Topology> Topology::from_xml(const std::string& path) {
    Native native = make_native();
    if (!native) {
        return no_hwloc();
    }
    if (hwloc_topology_set_xml(native.get(), path.c_str()) != 0) {
        return fail(ErrorCode::usage, "topology file \"" + path +
                                          "\" is not one that hwloc reads: export one with `lstopo machine.xml`, "
                                          "or unset HWLOC_XMLFILE",
                    errno);
    }
    return load(std::move(native), "xml: " + path);
}

Result<Topology> Topology::load(Native native, std::string source) {
    if (hwloc_topology_load(native.get()) != 0) {
        return fail(ErrorCode::system,
                    "hwloc could not load the topology (" + source + "): check it with lstopo", errno);
    }
    Topology topology;
    topology.is_this_system_ = hwloc_topology_is_thissystem(native.get()) != 0;
    topology.native_ = std::move(native);
    topology.source_ = std::move(source);
    topology.read_machine();
    topology.read_caches();
    topology.read_numa_nodes();
    topology.read_distances();
    if (Status read = topology.read_cpus(); !read) {
        return tl::unexpected<Error>(read.error());
    }
    return topology;
}

std::optional<LogicalCpu> Topology::find_cpu(unsigned os_index) const noexcept {
    const auto found = std::find_if(cpus_.begin(), cpus_.end(),
                                    [os_index](const LogicalCpu& cpu) { return cpu.os_index == os_index; });
    return found != cpus_.end() ? std::optional(*found) : std::nullopt;
}

std::optional<std::uint64_t> Topology::numa_distance(unsigned from_node, unsigned to_node) const {
    const auto found = distances_.find({from_node, to_node});
    return found != distances_.end() ? std::optional(found->second) : std::nullopt;
}

Status Topology::bindable() const {
    if (is_this_system_) {
        return {};
    }
    return fail(ErrorCode::unavailable,
                "the topology (" + source_ +
                    ") is not this system's, so nothing can be bound by it: unset HWLOC_SYNTHETIC and HWLOC_XMLFILE");
}

void Topology::read_machine() {
    machine_logical_cpus_ = count_of(native(), HWLOC_OBJ_PU);
    const unsigned cores = count_of(native(), HWLOC_OBJ_CORE);
    machine_cores_ = cores != 0 ? cores : machine_logical_cpus_;
    machine_packages_ = std::max(1U, count_of(native(), HWLOC_OBJ_PACKAGE));
    machine_numa_nodes_ = std::max(1U, count_of(native(), HWLOC_OBJ_NUMANODE));
    machine_memory_bytes_ = hwloc_get_root_obj(native())->total_memory;
}

void Topology::read_caches() {
    constexpr std::array kinds{
        std::pair{HWLOC_OBJ_L1CACHE, "L1d"}, std::pair{HWLOC_OBJ_L1ICACHE, "L1i"}, std::pair{HWLOC_OBJ_L2CACHE, "L2"},
        std::pair{HWLOC_OBJ_L3CACHE, "L3"},  std::pair{HWLOC_OBJ_L4CACHE, "L4"},
    };
    for (const auto& [type, name] : kinds) {
        const unsigned count = count_of(native(), type);
        for (unsigned position = 0; position < count; ++position) {
            const auto& cache = hwloc_get_obj_by_type(native(), type, position)->attr->cache;
            // Processors with cores of two kinds have caches of two sizes: an entry for each.
            const auto alike = std::find_if(caches_.begin(), caches_.end(), [&](const CacheLevel& level) {
                return level.name == name && level.size_bytes == cache.size;
            });
            if (alike != caches_.end()) {
                ++alike->instances;
            } else {
                caches_.push_back({name, cache.size, cache.linesize, 1});
            }
        }
    }
}

void Topology::read_numa_nodes() {
    const hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(native());
    for (int node = hwloc_bitmap_first(allowed); node >= 0; node = hwloc_bitmap_next(allowed, node)) {
        if (hwloc_get_numanode_obj_by_os_index(native(), static_cast<unsigned>(node)) != nullptr) {
            numa_nodes_.push_back(static_cast<unsigned>(node));
        }
    }
    if (numa_nodes_.empty()) {
        numa_nodes_.push_back(0);
    }
}

void Topology::read_distances() {
    unsigned count = 1;
    hwloc_distances_s* matrix = nullptr;
    // Read once: asking hwloc later may refresh its caches, which is not safe from several threads.
    if (hwloc_distances_get_by_type(native(), HWLOC_OBJ_NUMANODE, &count, &matrix, HWLOC_DISTANCES_KIND_MEANS_LATENCY,
                                    0) != 0 ||
        count == 0) {
        return;
    }
    const auto release = [this](hwloc_distances_s* read) { hwloc_distances_release(native(), read); };
    const std::unique_ptr<hwloc_distances_s, decltype(release)> owner(matrix, release);
    for (unsigned from = 0; from < matrix->nbobjs; ++from) {
        for (unsigned to = 0; to < matrix->nbobjs; ++to) {
            distances_[{matrix->objs[from]->os_index, matrix->objs[to]->os_index}] =
                matrix->values[from * matrix->nbobjs + to];
        }
    }
}

Status Topology::read_cpus() {
    const Bitmap usable = make_bitmap();
    const Bitmap here = make_bitmap();
    if (!usable || !here || hwloc_bitmap_copy(usable.get(), hwloc_topology_get_allowed_cpuset(native())) != 0) {
        return no_hwloc();
    }
    if (is_this_system_) {
        // The thread's, not the process's: that would be the union over all threads, some of them a sanitizer's.
        if (hwloc_get_cpubind(native(), here.get(), HWLOC_CPUBIND_THREAD) == 0) {
            hwloc_bitmap_and(usable.get(), usable.get(), here.get());
        }
    }
    std::map<unsigned, unsigned> taken_of_core;
    for (hwloc_obj_t unit = hwloc_get_next_obj_by_type(native(), HWLOC_OBJ_PU, nullptr); unit != nullptr;
         unit = hwloc_get_next_obj_by_type(native(), HWLOC_OBJ_PU, unit)) {
        if (!hwloc_bitmap_isset(usable.get(), unit->os_index)) {
            continue;
        }
        LogicalCpu cpu;
        cpu.os_index = unit->os_index;
        cpu.core = ancestor_index(native(), unit, HWLOC_OBJ_CORE, unit->logical_index);
        cpu.package = ancestor_index(native(), unit, HWLOC_OBJ_PACKAGE, 0);
        const auto nearest = std::find_if(numa_nodes_.begin(), numa_nodes_.end(), [unit](unsigned node) {
            return hwloc_bitmap_isset(unit->nodeset, node) != 0;
        });
        cpu.numa_node = nearest != numa_nodes_.end() ? *nearest : numa_nodes_.front();
        cpu.smt_rank = taken_of_core[cpu.core]++;
        cpus_.push_back(cpu);
    }
    if (cpus_.empty()) {
        return fail(ErrorCode::unavailable, "the topology (" + source_ +
                                                ") has no processor that this process may run on: widen its cpuset "
                                                "(taskset, cgroup cpuset)");
    }
    return {};
}

}  // namespace page_map_lab
