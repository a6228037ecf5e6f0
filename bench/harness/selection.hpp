// Which cells a launch measures: the variants that were named, times the points of the sweep.
//
// Thread safety: plain functions.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/harness/options.hpp"
#include "bench/harness/workload.hpp"
#include "impl/core/error.hpp"

namespace page_map_lab::bench {

/// One cell that is to be measured.
struct CellPlan {
    const Subject* subject;
    Parameters parameters;
    std::string name;  ///< "lookup/layout:radix/read:rcu_qsbr/pages:4096/threads:1"
};

/// The cell's name, as records and Google Benchmark's rows have it.
std::string cell_name(const WorkloadDescription& workload, const Subject& subject, const Parameters& parameters);

/// The subjects that `--variant` and `--floors` choose, in the workload's order.
/// Errors: usage, naming the pattern that matches nothing.
Result<std::vector<const Subject*>> select_subjects(const WorkloadDescription& workload, const Options& options);

/// The first subject that `name` matches, for --beside. Errors: usage.
Result<const Subject*> find_subject(const WorkloadDescription& workload, const std::string& name);

/// Every point of the sweep, the last parameter varying fastest. Errors: usage, for a bad list or an impossible point.
Result<std::vector<Parameters>> sweep(const WorkloadDescription& workload, const Options& options);

/// How many threads that point needs.
unsigned threads_needed(const WorkloadDescription& workload, const Parameters& parameters);

/// The answer to --describe.
nlohmann::ordered_json describe(const WorkloadDescription& workload);

}  // namespace page_map_lab::bench
