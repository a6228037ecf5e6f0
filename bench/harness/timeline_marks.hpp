// What happened from when to when on which thread, for the timeline of `lab profile`: by the clock that the kernel's
// trace is told to use (CLOCK_MONOTONIC), so that marks and tracepoints lie on one axis.
//
// Thread safety: one thread at a time; threads keep their own notes and hand them over after a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <unistd.h>

#include "impl/core/error.hpp"

namespace page_map_lab::bench {

struct TimelineMark {
    std::string cell;   ///< the cell's variant and parameters
    std::string name;   ///< a phase, `removal`, `stall`
    std::string role;   ///< of the thread
    unsigned run = 0;   ///< which of the cell's watched runs
    pid_t thread = 0;   ///< the kernel's id
    std::chrono::steady_clock::time_point started{};
    std::chrono::steady_clock::time_point ended{};
};

class TimelineMarks {
public:
    /// Starts a run: the marks that follow belong to it.
    void begin_run() { ++run_; }

    void add(std::string name, std::string role, pid_t thread, std::chrono::steady_clock::time_point started,
             std::chrono::steady_clock::time_point ended) {
        marks_.push_back({cell, std::move(name), std::move(role), run_, thread, started, ended});
    }

    /// Writes all marks as one JSON file. Errors: system or usage, naming the path and the way out.
    Status write(const std::string& path) const;

    std::string cell;  ///< the cell that is being measured; the session sets it

private:
    std::vector<TimelineMark> marks_;
    unsigned run_ = 0;
};

}  // namespace page_map_lab::bench
