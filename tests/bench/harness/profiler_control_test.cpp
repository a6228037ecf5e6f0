#include "bench/harness/profiler_control.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/harness/thread_team.hpp"
#include "bench/harness/timeline_marks.hpp"

namespace page_map_lab::bench {
namespace {

/// Two FIFOs and the profiler's end of them.
class ProfilerControlTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = std::filesystem::temp_directory_path() / ("profiler_control_" + std::to_string(::getpid()));
        std::filesystem::create_directory(folder_);
        ASSERT_EQ(::mkfifo((folder_ / "commands").c_str(), 0600), 0);
        ASSERT_EQ(::mkfifo((folder_ / "answers").c_str(), 0600), 0);
        commands_ = ::open((folder_ / "commands").c_str(), O_RDWR);
        answers_ = ::open((folder_ / "answers").c_str(), O_RDWR);
    }
    void TearDown() override {
        ::close(commands_);
        ::close(answers_);
        std::filesystem::remove_all(folder_);
    }

    std::string paths() const { return (folder_ / "commands").string() + "," + (folder_ / "answers").string(); }

    /// More than a machine that is busy with other things needs to answer.
    static constexpr std::chrono::seconds ample{60};

    /// Has `ask` ask a profiler that acknowledges each command, as perf does with its closing zero byte; returns what it heard.
    template <class Ask>
    std::string heard_of(Ask&& ask) const {
        std::string heard;
        std::atomic<bool> asked{false};
        std::thread profiler([&] {
            for (;;) {
                // relaxed: only says that nothing comes any more; looked at before the pipe is found empty.
                const bool last_look = asked.load(std::memory_order_relaxed);
                pollfd waiting{commands_, POLLIN, 0};
                char letter = 0;
                if (::poll(&waiting, 1, 10) == 1 && ::read(commands_, &letter, 1) == 1) {
                    heard += letter;
                    if (letter == '\n') {
                        EXPECT_EQ(::write(answers_, "ack\n", 5), 5);
                    }
                } else if (last_look) {
                    return;
                }
            }
        });
        ask();
        asked.store(true, std::memory_order_relaxed);  // relaxed: see above
        profiler.join();
        return heard;
    }

    std::filesystem::path folder_;
    int commands_ = -1;
    int answers_ = -1;
};

TEST_F(ProfilerControlTest, EachCommandWaitsForItsOwnAnswer) {
    auto control = ProfilerControl::open(paths(), ample);
    ASSERT_TRUE(control) << control.error().text();
    const std::string heard = heard_of([&] {
        for (int time = 0; time < 2; ++time) {
            (*control)->begin();
            (*control)->end();
        }
    });
    EXPECT_EQ(heard, "enable\ndisable\nenable\ndisable\n");
}

TEST_F(ProfilerControlTest, ASilentProfilerIsAskedOnceAndNoMore) {
    auto control = ProfilerControl::open(paths(), std::chrono::milliseconds(1));
    ASSERT_TRUE(control);
    for (int time = 0; time < 20; ++time) {
        (*control)->begin();
    }
    EXPECT_EQ(heard_of([] {}), "enable\n");
}

TEST_F(ProfilerControlTest, ATeamIsSampledFromItsStartToTheFirstMembersStop) {
    auto control = ProfilerControl::open(paths(), ample);
    ASSERT_TRUE(control);
    const auto topology = Topology::discover();
    ASSERT_TRUE(topology);
    ThreadTeam team(*topology, PinningPlan{}, CounterSetName::none);
    team.profile_with(**control);
    const std::string heard = heard_of([&] {
        const auto reports = team.run({{"worker", 1}}, {}, [](TeamMember& member) -> Status {
            member.start();
            member.stop(1);
            return {};
        });
        EXPECT_TRUE(reports) << reports.error().text();
    });
    EXPECT_EQ(heard, "enable\ndisable\n");
}

TEST(ProfilerControlPaths, WhatIsNoPairOfPipesIsRefusedWithTheWayOut) {
    for (const char* paths : {"one", "/nowhere/a,/nowhere/b"}) {
        const auto control = ProfilerControl::open(paths);
        ASSERT_FALSE(control);
        EXPECT_NE(control.error().text().find("--profiler-control"), std::string::npos);
    }
}

TEST(TimelineMarks, AreWrittenWithTheirRunsByTheMonotonicClock) {
    TimelineMarks marks;
    marks.cell = "remove/v";
    const std::chrono::steady_clock::time_point moment{std::chrono::nanoseconds(5)};
    marks.begin_run();
    marks.add("flush", "initiator", 7, moment, moment + std::chrono::nanoseconds(3));
    const auto path = std::filesystem::temp_directory_path() / ("marks_" + std::to_string(::getpid()));
    ASSERT_TRUE(marks.write(path.string()));
    const int file = ::open(path.c_str(), O_RDONLY);
    char text[512] = {};
    ASSERT_GT(::read(file, text, sizeof text - 1), 0);
    ::close(file);
    std::filesystem::remove(path);
    for (const char* words : {"CLOCK_MONOTONIC", "\"flush\"", "\"run\": 1", "\"started_ns\": 5", "\"ended_ns\": 8"}) {
        EXPECT_NE(std::string(text).find(words), std::string::npos) << words;
    }
    EXPECT_FALSE(marks.write("/nowhere/marks.json"));
}

}  // namespace
}  // namespace page_map_lab::bench
