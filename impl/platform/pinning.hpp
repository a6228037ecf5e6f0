// Which thread runs where: a plan chooses processors from a topology, pinning applies one and reads it back.
//
// Thread safety: plans are plain values; pin_this_thread changes the calling thread only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"
#include "impl/platform/topology.hpp"

namespace page_map_lab {

/// How threads are laid out over the processors.
///
/// - `compact`: all hardware threads of a core, then the next core, package after package.
/// - `scatter`: one thread in each package in turn, on cores of their own; siblings only once every core has a thread.
/// - `per_node`: one thread on each memory node in turn; within a node, cores of their own before siblings.
/// - `list:0,2,4-7`: these OS indices in this order.
class PinningPlan {
public:
    enum class Kind : std::uint8_t { compact, scatter, per_node, list };

    /// Compact.
    PinningPlan() = default;

    /// A plan by its text, as above. Errors: usage, naming what is accepted.
    static Result<PinningPlan> parse(std::string_view text);

    /// The OS index for each of `threads` threads, all different. Works on foreign topologies too.
    /// Errors: usage, where there are too few processors or a listed one cannot be used, naming the way out.
    Result<std::vector<unsigned>> cpus_for(const Topology& topology, unsigned threads) const;

    Kind kind() const noexcept { return kind_; }

    /// The text that parses to this plan.
    std::string text() const;

private:
    Kind kind_ = Kind::compact;
    std::vector<unsigned> list_;
};

/// What became of a request to run on one processor.
struct PinOutcome {
    unsigned asked_cpu = 0;                ///< OS index
    std::optional<unsigned> observed_cpu;  ///< the only processor the system lets the thread run on, if it is one
    PlacementState state = PlacementState::unverified;
    std::string why;  ///< empty where state is ok
};

/// Binds the calling thread to one processor with hwloc and reads the binding back with sched_getaffinity.
/// Cost: two system calls and usually a migration; never inside a timed region.
PinOutcome pin_this_thread(const Topology& topology, unsigned os_cpu);

}  // namespace page_map_lab
