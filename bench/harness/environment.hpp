// What a cell is given to work with: the machine, the sizes of a run, and fixtures that cells share.
//
// Thread safety: none; cells are set up and measured one after the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/harness/timeline_marks.hpp"
#include "impl/core/error.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/node_arena.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab::bench {

/// While it lives, memory that the calling thread touches first comes from where --memory says, allocators' included.
/// For `local` on a machine with several nodes that is `home_node`, wherever this thread happens to run. The harness
/// holds one around Cell::set_up and Cell::measure.
class MemoryScope {
public:
    /// Throws std::runtime_error where the system refuses.
    MemoryScope(const Topology& topology, const MemoryPolicy& policy, unsigned home_node);
    ~MemoryScope();
    MemoryScope(const MemoryScope&) = delete;
    MemoryScope& operator=(const MemoryScope&) = delete;

private:
    const Topology& topology_;
    bool bound_ = false;
};

class Environment {
public:
    Environment(const Topology& machine, MemoryPolicy policy) : topology(machine), memory(std::move(policy)) {}

    const Topology& topology;
    MemoryPolicy memory;                      ///< where memory should come from (--memory)
    unsigned home_node = 0;                   ///< the memory node of the first thread of the plan
    std::uint64_t seed = 1;                   ///< everything random derives from it
    std::chrono::nanoseconds minimum_time{};  ///< how long a time-bound repetition runs (--min-time-ms)
    std::filesystem::path data_directory;     ///< where files may be made (--data-dir)
    std::filesystem::path trace;              ///< the trace to replay (--trace), or empty
    bool real_size = false;
    TimelineMarks* timeline = nullptr;        ///< where to mark what happens when (--timeline), or null

    /// The fixture of that name, made by `make` at first use and shared for as long as a cell holds it: cells of one
    /// variant that differ only in threads or pattern populate one map. `make` returns Result<shared_ptr<Fixture>>.
    template <class Fixture, class Make>
    Result<std::shared_ptr<Fixture>> fixture(const std::string& name, Make&& make) {
        if (auto kept = fixtures_[name].lock()) {
            return std::static_pointer_cast<Fixture>(kept);
        }
        Result<std::shared_ptr<Fixture>> made = make();
        if (made) {
            fixtures_[name] = *made;
        }
        return made;
    }

    /// Applies --memory to [range, range + bytes) and remembers it for the record's read-back, which `forget` does: to
    /// be called before the range is touched, and `forget` before it is unmapped. Throws std::runtime_error where the memory
    /// cannot be had so.
    void place(void* range, std::size_t bytes);
    /// Remembers a range whose memory came from an allocator, under a MemoryScope, for the same read-back.
    void remember(const void* range, std::size_t bytes) { placed_[range] = bytes; }
    void forget(const void* range);

    /// What every arena of a fixture is made with: bound to where --memory says (for `local` as MemoryScope has it), and
    /// displaced by as much as the seed says, so that the luck of a layout shows as variance between launches.
    NodeArena::Options arena_options() const;
    /// Counts the resident pages of a range, or of all that an arena mapped, for the read-back: before they go.
    void observe(const void* range, std::size_t bytes);
    void observe(const NodeArena& arena);

    /// Where the resident pages of all ranges were when they were forgotten or observed, by NUMA node.
    const std::map<unsigned, std::uint64_t>& observed_pages_by_node() const { return observed_pages_; }

private:
    std::map<std::string, std::weak_ptr<void>> fixtures_;
    std::map<const void*, std::size_t> placed_;
    std::map<unsigned, std::uint64_t> observed_pages_;
};

}  // namespace page_map_lab::bench
