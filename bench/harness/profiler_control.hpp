// The bench binary's side of `perf record --control fifo:COMMANDS,ANSWERS`: the profiler samples only while a team is
// between its start and its stop, so fixtures, preparations and checks are not in the profile.
//
// Thread safety: one caller at a time; the team's first member is the one.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "impl/core/error.hpp"

namespace page_map_lab::bench {

class ProfilerControl {
public:
    /// Opens the two FIFOs that `paths` names as COMMANDS,ANSWERS; the profiler has to hold them open already. One that is
    /// silent for longer than `patience` is asked no more.
    /// Errors: usage, naming the path and the way out.
    static Result<std::unique_ptr<ProfilerControl>> open(const std::string& paths,
                                                         std::chrono::milliseconds patience = std::chrono::seconds(1));
    ~ProfilerControl();
    ProfilerControl(const ProfilerControl&) = delete;
    ProfilerControl& operator=(const ProfilerControl&) = delete;

    /// Sampling is on when this returns. Blocking: the profiler answers, usually within 100 us; one that is gone, or
    /// silent, is asked no more.
    void begin() noexcept { ask("enable\n"); }
    /// Sampling is off when this returns. Blocking, as `begin`.
    void end() noexcept { ask("disable\n"); }

private:
    ProfilerControl(int commands, int answers, std::chrono::milliseconds patience) noexcept
        : commands_(commands), answers_(answers), patience_(patience) {}
    void ask(const char* command) noexcept;

    int commands_;
    int answers_;
    const std::chrono::milliseconds patience_;
    bool answering_ = true;
};

}  // namespace page_map_lab::bench
