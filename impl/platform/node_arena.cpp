// How memory gets to its node: jemalloc asks the operating system for extents through hooks. Ours lets jemalloc's own
// hook map the extent, then sets its memory policy before any byte of it is touched. The arena's metadata comes the
// same way.
#include "impl/platform/node_arena.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>

#include <jemalloc/jemalloc.h>

#include "impl/core/page_index.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/page_runs.hpp"
#include "impl/platform/topology.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PAGE_MAP_LAB_SUPPLY_IS_MALLOC 1
#else
#define PAGE_MAP_LAB_SUPPLY_IS_MALLOC 0
#endif

// Read by jemalloc when the program starts; MALLOC_CONF in the environment comes after it and wins. jemalloc supplies
// the whole program, and a purge anywhere in it interrupts the processors of a measurement.
extern "C" {
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false";  // NOLINT
}

namespace page_map_lab {

namespace {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr std::size_t largest_packed_bytes = 2048;

template <class T>
std::optional<T> control(const std::string& name) {
    T value{};
    std::size_t size = sizeof(value);
    return mallctl(name.c_str(), &value, &size, nullptr, 0) == 0 ? std::optional(value) : std::nullopt;
}

std::string arena_control(unsigned arena, const char* name) {
    return "arena." + std::to_string(arena) + "." + name;
}

std::size_t arena_statistic(unsigned arena, const char* name) {
    return control<std::size_t>("stats.arenas." + std::to_string(arena) + "." + name).value_or(0);
}

/// jemalloc's statistics are of the moment its epoch was last advanced.
void refresh_statistics() {
    std::uint64_t epoch = 1;
    std::size_t size = sizeof(epoch);
    mallctl("epoch", &epoch, &size, &epoch, sizeof(epoch));
}

const Topology& topology_of_this_system() {
    static const Result<Topology> discovered = Topology::discover();
    if (!discovered) {
        throw std::runtime_error(discovered.error().text());
    }
    return *discovered;
}

/// What a binding needs, checked before the first extent is asked for.
std::optional<Topology> topology_to_bind_with(const NodeArena::Options& options) {
    const bool any_node = options.numa_node == NodeArena::Options::any_node;
    if (any_node && !options.interleave) {
        return std::nullopt;
    }
    const Topology& topology = options.topology != nullptr ? *options.topology : topology_of_this_system();
    if (const Status bindable = topology.bindable(); !bindable) {
        throw std::runtime_error(bindable.error().text());
    }
    if (any_node) {
        return topology;
    }
    const auto nodes = topology.numa_nodes();
    for (const unsigned node : nodes) {
        if (static_cast<long>(node) == options.numa_node) {
            return topology;
        }
    }
    throw std::runtime_error("node arena: memory node " + std::to_string(options.numa_node) +
                             " is not one that this process may use: choose among the " +
                             std::to_string(nodes.size()) + " nodes that lstopo shows");
}

MemoryPolicy policy_of(const NodeArena::Options& options) {
    if (options.numa_node != NodeArena::Options::any_node) {
        return MemoryPolicy::on_node(static_cast<unsigned>(options.numa_node));
    }
    return options.interleave ? MemoryPolicy::parse("interleave").value() : MemoryPolicy();
}

}  // namespace

/// The arena's hooks and what they need: jemalloc hands the hooks' address back to them.
struct NodeArena::State : extent_hooks_t {
    const extent_hooks_t* system = nullptr;  // jemalloc's own
    std::optional<Topology> topology;
    MemoryPolicy policy;
    bool huge_pages = false;
    std::string binding_error;  // written before the arena exists or under its lock
    unsigned arena = 0;
    int flags = 0;
    unsigned displacement_lines = 0;
    std::mutex extents_lock;
    std::vector<std::span<const std::byte>> extents;
    std::atomic<std::size_t> budget_bytes;
    std::atomic<std::size_t> charged_bytes{0};

    std::mutex runs_lock;
    std::array<PageRuns, largest_packed_bytes / cache_line_size + 1> runs;  // by object size in cache lines
    std::array<bool, largest_packed_bytes / cache_line_size + 1> packs{};

    explicit State(const Options& options)
        : extent_hooks_t{},
          topology(topology_to_bind_with(options)),
          policy(policy_of(options)),
          huge_pages(options.huge_pages),
          displacement_lines(options.displacement_lines),
          budget_bytes(options.budget_bytes) {}

    void create_arena();
    void destroy_arena() noexcept;
    bool prepare(void* extent, std::size_t bytes) noexcept;
    static void* map_extent(extent_hooks_t* hooks, void* address, std::size_t bytes, std::size_t alignment, bool* zero,
                            bool* commit, unsigned arena);

    bool charge(std::size_t bytes) noexcept;
    bool packed(std::size_t bytes, std::size_t alignment) const noexcept {
        return bytes % cache_line_size == 0 && bytes <= largest_packed_bytes && packs[bytes / cache_line_size] &&
               alignment <= cache_line_size;
    }
    void* supply(std::size_t bytes, std::size_t alignment) noexcept;
    void take_back(void* memory, std::size_t bytes, std::size_t alignment) noexcept;
};

bool NodeArena::State::prepare(void* extent, std::size_t bytes) noexcept {
    // Nothing may throw into jemalloc.
    try {
        if (topology) {
            if (const Status applied = policy.apply(*topology, extent, bytes); !applied) {
                binding_error = applied.error().text();
                return false;
            }
        }
        if (huge_pages && madvise(extent, bytes, MADV_HUGEPAGE) != 0) {
            binding_error =
                Error{ErrorCode::system, errno, "node arena: this kernel has no huge pages: turn them off"}.text();
            return false;
        }
        if (!huge_pages) {
            madvise(extent, bytes, MADV_NOHUGEPAGE);  // where it fails there are none
        }
        const std::lock_guard lock(extents_lock);
        extents.emplace_back(static_cast<const std::byte*>(extent), bytes);
        return true;
    } catch (...) {
        return false;
    }
}

void* NodeArena::State::map_extent(extent_hooks_t* hooks, void* address, std::size_t bytes, std::size_t alignment,
                                   bool* zero, bool* commit, unsigned arena) {
    State& state = *static_cast<State*>(hooks);
    if (state.huge_pages && bytes >= huge_page_bytes && alignment < huge_page_bytes) {
        alignment = huge_page_bytes;
    }
    void* extent = state.system->alloc(hooks, address, bytes, alignment, zero, commit, arena);
    if (extent != nullptr && !state.prepare(extent, bytes)) {
        munmap(extent, bytes);  // not by jemalloc's hook: that one keeps the mapping for later
        return nullptr;
    }
    return extent;
}

void NodeArena::State::create_arena() {
    system = control<extent_hooks_t*>("arena.0.extent_hooks").value_or(nullptr);
    if (system == nullptr) {
        throw std::runtime_error("node arena: jemalloc does not answer mallctl: link the program with libjemalloc");
    }
    extent_hooks_t* ours = this;
    *ours = *system;
    ours->alloc = &State::map_extent;
    std::size_t size = sizeof(arena);
    const int error = mallctl("arenas.create", &arena, &size, &ours, sizeof(ours));
    if (error != 0) {
        throw std::runtime_error(binding_error.empty()
                                     ? Error{ErrorCode::system, error,
                                             "node arena: jemalloc made no arena: use fewer page maps at once"}.text()
                                     : binding_error);
    }
    flags = MALLOCX_ARENA(static_cast<int>(arena)) | MALLOCX_TCACHE_NONE;
    ssize_t never = -1;
    for (const char* name : {"dirty_decay_ms", "muzzy_decay_ms"}) {
        if (mallctl(arena_control(arena, name).c_str(), nullptr, nullptr, &never, sizeof(never)) != 0) {
            destroy_arena();
            throw std::runtime_error(std::string("node arena: jemalloc does not take ") + name + " for one arena");
        }
    }
    for (std::size_t lines = 1; lines < packs.size(); ++lines) {
        const std::size_t bytes = lines * cache_line_size;
        packs[lines] = page_size / PageRuns::objects_per_run(bytes) < nallocx(bytes, 0);
    }
}

void NodeArena::State::destroy_arena() noexcept {
    std::array<char, 32> name;  // no string: there may be no memory for one
    std::snprintf(name.data(), name.size(), "arena.%u.destroy", arena);
    mallctl(name.data(), nullptr, nullptr, nullptr, 0);
}

bool NodeArena::State::charge(std::size_t bytes) noexcept {
    // relaxed, here and below: a count that orders nothing; the memory itself is handed over by the supply's lock.
    const std::size_t budget = budget_bytes.load(std::memory_order_relaxed);
    const std::size_t before = charged_bytes.fetch_add(bytes, std::memory_order_relaxed);
    if (before > budget || bytes > budget - before) {
        charged_bytes.fetch_sub(bytes, std::memory_order_relaxed);
        return false;
    }
    return true;
}

void* NodeArena::State::supply(std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
        return memory != nullptr ? std::memset(memory, 0, bytes) : nullptr;
    }
    if (packed(bytes, alignment)) {
        void* memory = nullptr;
        {
            const std::lock_guard lock(runs_lock);
            memory = runs[bytes / cache_line_size].allocate(
                bytes, [this] { return mallocx(page_size, flags | MALLOCX_ALIGN(page_size)); });
        }
        return memory != nullptr ? std::memset(memory, 0, bytes) : nullptr;
    }
    return mallocx(bytes, flags | MALLOCX_ZERO | MALLOCX_ALIGN(alignment));
}

void NodeArena::State::take_back(void* memory, std::size_t bytes, std::size_t alignment) noexcept {
    if constexpr (PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        std::free(memory);
    } else if (packed(bytes, alignment)) {
        const std::lock_guard lock(runs_lock);
        runs[bytes / cache_line_size].release(
            memory, [this](void* page) { sdallocx(page, page_size, flags | MALLOCX_ALIGN(page_size)); });
    } else {
        sdallocx(memory, bytes, flags | MALLOCX_ALIGN(alignment));
    }
}

NodeArena::NodeArena(Options options) : state_(new State(options)) {
    if constexpr (!PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        try {
            state_->create_arena();
        } catch (...) {
            delete state_;
            throw;
        }
    }
}

NodeArena::~NodeArena() {
    if constexpr (!PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        state_->destroy_arena();
    }
    delete state_;
}

void* NodeArena::allocate(std::size_t bytes, std::size_t alignment) noexcept {
    debug_check([&] { return bytes != 0 && (alignment & (alignment - 1)) == 0 && alignment != 0; },
                "an allocation has bytes, and an alignment that is a power of two");
    if (!state_->charge(bytes)) {
        return nullptr;
    }
    void* memory = state_->supply(bytes, alignment);
    if (memory == nullptr) {
        // relaxed: see charge.
        state_->charged_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    }
    return memory;
}

void NodeArena::release(void* memory, std::size_t bytes, std::size_t alignment) noexcept {
    if (memory == nullptr) {
        return;
    }
    state_->take_back(memory, bytes, alignment);
    // relaxed: see charge.
    state_->charged_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

void NodeArena::set_budget_bytes(std::size_t bytes) noexcept {
    // relaxed: see charge.
    state_->budget_bytes.store(bytes, std::memory_order_relaxed);
}

std::size_t NodeArena::charged_bytes() const noexcept {
    // relaxed: see charge.
    return state_->charged_bytes.load(std::memory_order_relaxed);
}

std::size_t NodeArena::allocated_bytes() const {
    if constexpr (PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        return charged_bytes();
    }
    refresh_statistics();
    return arena_statistic(state_->arena, "small.allocated") + arena_statistic(state_->arena, "large.allocated");
}

std::size_t NodeArena::active_bytes() const {
    if constexpr (PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        return charged_bytes();
    }
    refresh_statistics();
    return arena_statistic(state_->arena, "pactive") * control<std::size_t>("arenas.page").value_or(page_size);
}

unsigned NodeArena::displacement_lines() const noexcept {
    return state_->displacement_lines;
}

std::vector<std::span<const std::byte>> NodeArena::extents() const {
    const std::lock_guard lock(state_->extents_lock);
    return state_->extents;
}

bool NodeArena::supply_is_malloc() noexcept {
    return PAGE_MAP_LAB_SUPPLY_IS_MALLOC;
}

std::string allocator_settings() {
    if constexpr (PAGE_MAP_LAB_SUPPLY_IS_MALLOC) {
        return {};
    }
    const auto number = [](const char* name) { return std::to_string(control<ssize_t>(name).value_or(0)); };
    const auto flag = [](const char* name) { return control<bool>(name).value_or(false) ? "true" : "false"; };
    return "dirty_decay_ms:" + number("opt.dirty_decay_ms") + ",muzzy_decay_ms:" + number("opt.muzzy_decay_ms") +
           ",background_thread:" + flag("background_thread") + ",retain:" + flag("opt.retain") +
           ",thp:" + control<const char*>("opt.thp").value_or("");
}

}  // namespace page_map_lab
