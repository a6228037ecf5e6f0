// The record of one launch, as JSON: results/record.schema.json says what each field means.
//
// Thread safety: plain functions.
// Invariant: what is missing is null with "<field>_why" beside it, never 0.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/harness/cell_result.hpp"
#include "bench/harness/options.hpp"
#include "bench/harness/workload.hpp"
#include "impl/platform/host_facts.hpp"
#include "impl/platform/memory_placement.hpp"

namespace page_map_lab::bench {

/// All that goes into a record.
struct RecordParts {
    const WorkloadDescription* workload = nullptr;
    const Options* options = nullptr;
    nlohmann::ordered_json google_benchmark;  ///< the library's own document
    HostFacts host;
    std::vector<Fact> environment;  ///< as it was before the first measurement
    std::string started;            ///< ISO 8601, UTC
    std::string finished;
    MemoryOutcome memory;
    const std::deque<CellResult>* cells = nullptr;
};

nlohmann::ordered_json make_record(const RecordParts& parts);

/// Now, as "2026-01-31T23:59:59Z".
std::string utc_now();

}  // namespace page_map_lab::bench
