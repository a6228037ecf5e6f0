// What the command line asked of a bench binary.
//
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/harness/workload.hpp"
#include "impl/core/error.hpp"
#include "impl/platform/counters_reading.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/pinning.hpp"

namespace page_map_lab::bench {

struct Options {
    std::vector<std::string> command;  ///< argv as it was given
    bool describe = false;
    std::vector<std::string> variants;  ///< names or shell globs; empty: all
    bool floors = false;                ///< with no --variant: the floors, too
    std::optional<std::string> beside;
    bool real_size = false;
    std::map<std::string, std::string> lists;  ///< parameter name to the list the user gave
    PinningPlan plan;
    MemoryPolicy memory;
    CounterSetName counters = CounterSetName::none;
    bool require_counters = false;
    unsigned repetitions = 5;
    std::uint64_t minimum_time_ms = 20;
    std::uint64_t seed = 1;
    std::size_t heap_padding_bytes = 0;       ///< taken before set-up and kept: see heap_padding.hpp
    std::vector<unsigned> planted_percents;   ///< a twin of each variant for each: see planted.hpp
    std::string trace;
    std::string data_directory;
    std::string record;                         ///< where the record goes; empty: nowhere
    std::string profiler_control;               ///< the profiler's two FIFOs; empty: nobody is told
    std::string timeline;                       ///< where the marks for a timeline go; empty: nowhere
    std::string launch;                         ///< a JSON object: what the launcher says; empty when run by hand
    std::vector<std::string> google_benchmark;  ///< flags for the library, argv[0] first
};

/// What became of the command line: options to run with, or an exit code after help was printed.
struct ParsedOptions {
    Options options;
    std::optional<int> exit_now;
};

/// Parses argv. Errors: usage, naming the argument and the way out.
Result<ParsedOptions> parse_options(int argc, char** argv, const WorkloadDescription& workload);

}  // namespace page_map_lab::bench
