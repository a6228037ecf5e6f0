// Slowdowns of a known size, planted so that the lab can be asked whether it finds them (`lab selftest`).
//
// A planted twin is a variant's cell made once more, with memory of its own, that does some percent more work than it
// counts. The twin of 0 percent is the variant itself: comparing the two must come out indistinguishable.
//
// Thread safety: plain functions.
#pragma once

#include <string_view>

#include "bench/harness/options.hpp"
#include "bench/harness/workload.hpp"
#include "impl/core/error.hpp"

namespace page_map_lab::bench {

/// The parameter by which a twin's cell is told its percent; it is in no sweep, no name and no record.
inline constexpr std::string_view planted_parameter = "planted_percent";

/// The workload with a twin "NAME/planted:PERCENT" of each of its variants for each percent that was asked for. They
/// are selected by what selects their variants, and --describe never shows them.
/// Errors: usage, where the workload's cells do not know how.
Result<WorkloadDescription> with_planted_twins(WorkloadDescription workload, const Options& options);

}  // namespace page_map_lab::bench
