#include "bench/harness/timeline_marks.hpp"

#include <nlohmann/json.hpp>

#include "bench/harness/record_file.hpp"

namespace page_map_lab::bench {
namespace {

std::int64_t since_boot_ns(std::chrono::steady_clock::time_point moment) {
    return std::chrono::nanoseconds(moment.time_since_epoch()).count();
}

}  // namespace

Status TimelineMarks::write(const std::string& path) const {
    nlohmann::ordered_json marks = nlohmann::ordered_json::array();
    for (const TimelineMark& mark : marks_) {
        marks.push_back({{"cell", mark.cell},
                         {"name", mark.name},
                         {"role", mark.role},
                         {"run", mark.run},
                         {"thread", mark.thread},
                         {"started_ns", since_boot_ns(mark.started)},
                         {"ended_ns", since_boot_ns(mark.ended)}});
    }
    const nlohmann::ordered_json file{{"clock", "CLOCK_MONOTONIC"}, {"marks", std::move(marks)}};
    return write_record_file(path, file.dump(1) + "\n");
}

}  // namespace page_map_lab::bench
