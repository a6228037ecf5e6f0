// Where a launch says that its memory came from. Beside launch_in_child.hpp, for JSON takes the compiler seconds to read.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {

/// The record's placement.memory of a launch with these arguments; null where the launch failed.
inline nlohmann::json memory_read_back(const WorkloadDescription& workload, std::vector<std::string> arguments) {
    const TemporaryFolder folder;
    const std::string record = folder / "record.json";
    arguments.insert(arguments.end(), {"--floors", "--repetitions=1", "--min-time-ms=1", "--record=" + record});
    const Launch launched = launch(workload, arguments);
    const auto written = nlohmann::json::parse(contents(record), nullptr, false);
    return launched.exit != 0 || written.is_discarded() ? nlohmann::json() : written["placement"]["memory"];
}

}  // namespace page_map_lab::bench
