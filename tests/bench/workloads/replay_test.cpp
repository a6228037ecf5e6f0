// The replay workload: its check passes what is right, catches maps that lose writes, and says what is wrong with its
// input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "bench/workloads/replay.hpp"
#include "tests/bench/workloads/broken_variants.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

/// A trace in fio's iolog of version 2: a file of 64 pages, written and read here and there, in whole pages and in
/// parts.
class SmallTrace {
public:
    SmallTrace() {
        std::ofstream log(path());
        log << "fio version 2 iolog\ndata add\ndata open\n";
        std::uint64_t place = 7;
        for (unsigned operation = 0; operation < 400; ++operation) {
            place = (place * 29 + 11) % 64;
            const bool whole = operation % 3 == 0;
            log << "data " << (operation % 2 == 0 ? "write " : "read ") << place * page_size + (whole ? 0 : 100) << ' '
                << (whole ? page_size : 1000) << '\n';
            if (operation % 50 == 49) {
                log << "data sync\n";
            }
        }
        log << "data close\n";
    }
    std::string path() const { return (folder_ / "small.log").string(); }
    std::string folder() const { return (folder_ / "").string(); }

private:
    TemporaryFolder folder_;
};

template <class TestedVariant>
Launch replay_with(std::vector<std::string> arguments) {
    WorkloadDescription workload = replay_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<ReplayCell>(parameters, [](const ReplayShape& shape, std::shared_ptr<const Trace> trace,
                                                           std::shared_ptr<ReplayFile> file, Environment& environment) {
            return std::make_unique<MapReplayTarget<TestedVariant>>(shape, std::move(trace), std::move(file),
                                                                    environment);
        });
    });
    arguments.insert(arguments.end(), {"--floors", "--repetitions=2", "--set=run_pages=8"});
    return launch(workload, arguments);
}

// Every page is resident when a replay ends, and none when its object goes.
TEST(ReplayWorkload, ReadsBackWhereItsPagesWereBeforeTheyGo) {
    const SmallTrace trace;
    const std::string record = trace.folder() + "record.json";
    const Launch launched = replay_with<BaseVariant>(
        {"--trace=" + trace.path(), "--data-dir=" + trace.folder(), "--set=frames_percent=100", "--record=" + record});
    ASSERT_EQ(launched.exit, 0) << launched.errors;
    const auto written = nlohmann::json::parse(contents(record));
    std::uint64_t pages = 0;
    for (const auto& observed : written["placement"]["memory"]["observed_pages_by_node"]) {
        pages += observed.get<std::uint64_t>();
    }
    constexpr std::uint64_t replays = 4;  // two repetitions of two kinds of access
    EXPECT_GE(pages, replays * 64);
}

TEST(ReplayCheck, PassesASoundMapThroughLoadAndThroughAMapping) {
    const SmallTrace trace;
    const Launch launched = replay_with<BaseVariant>({"--trace=" + trace.path(), "--data-dir=" + trace.folder(),
                                                      "--set=frames_percent=10,50,100", "--set=sync=write,disk"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
}

TEST(ReplayCheck, LeavesNoFileBehind) {
    const SmallTrace trace;
    ASSERT_EQ(replay_with<BaseVariant>({"--trace=" + trace.path(), "--data-dir=" + trace.folder()}).exit, 0);
    for (const auto& entry : std::filesystem::directory_iterator(trace.folder())) {
        EXPECT_EQ(entry.path().filename(), "small.log");
    }
}

TEST(ReplayCheck, CatchesAMapThatForgetsWhatWasWritten) {
    const SmallTrace trace;
    for (const char* access : {"load", "mapping"}) {
        const Launch launched = replay_with<OnFaultyMachine<ForgetsDirty>>(
            {"--trace=" + trace.path(), "--data-dir=" + trace.folder(), std::string("--set=access=") + access});
        EXPECT_EQ(launched.exit, 5) << access;
        EXPECT_THAT(launched.errors, testing::HasSubstr("written last"));
    }
}

TEST(ReplayCheck, CatchesAMapThatSkipsTheFlush) {
    const SmallTrace trace;
    const Launch launched = replay_with<WithShootdown<SkipsTheFlush>>(
        {"--trace=" + trace.path(), "--data-dir=" + trace.folder(), "--set=access=mapping"});
    EXPECT_EQ(launched.exit, 5) << launched.errors;
}

TEST(ReplayCheck, CatchesAMapThatDropsAReference) {
    const SmallTrace trace;
    const Launch launched = replay_with<OnFaultyMachine<DropsAReference>>(
        {"--trace=" + trace.path(), "--data-dir=" + trace.folder(), "--set=access=load", "--set=frames_percent=100"});
    EXPECT_EQ(launched.exit, 5);
    EXPECT_THAT(launched.errors, testing::HasSubstr("stayed in the map"));
}

TEST(ReplayWorkload, SaysThatItNeedsATrace) {
    const Launch launched = replay_with<BaseVariant>({});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("--trace"));
}

TEST(ReplayWorkload, NamesAMalformedTrace) {
    const TemporaryFolder folder;
    std::ofstream(folder / "bad.trace") << "fio version 2 iolog\ndata leap 1 2\n";
    const Launch launched = replay_with<BaseVariant>({"--trace=" + (folder / "bad.trace").string()});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("bad.trace"));
}

TEST(ReplayWorkload, RefusesATraceThatSpansMoreThanItCanHold) {
    const TemporaryFolder folder;
    std::ofstream(folder / "vast.log") << "fio version 2 iolog\nd add\nd open\nd write 1099511627776 4096\nd close\n";
    const Launch launched = replay_with<BaseVariant>({"--trace=" + (folder / "vast.log").string()});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, testing::HasSubstr("record less"));
}

}  // namespace
}  // namespace page_map_lab::bench
