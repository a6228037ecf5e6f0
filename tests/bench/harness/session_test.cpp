// What lives when and in which order cells are measured. Each test runs in a child: the library's list of benchmarks is
// one a process.
#include <algorithm>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/harness/session.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

/// Runs the toys and returns what happened to them, in order.
std::vector<std::string> events_of(std::vector<std::string> arguments) {
    const TemporaryFolder folder;
    const auto path = folder / "events";
    WorkloadDescription workload = toy_workload();
    arguments.insert(arguments.end(), {"--min-time-ms=1", "--set=size=1"});
    // The events are in the child's memory; the last cell to go writes them out.
    struct Writer {
        std::filesystem::path path;
        pid_t parent;
        ~Writer() {
            if (getpid() != parent) {
                std::ofstream file(path);
                for (const auto& event : toy_events()) {
                    file << event << "\n";
                }
            }
        }
    };
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        int code = 0;
        {
            const Writer writer{path, parent};
            arguments.insert(arguments.begin(), "bench_toy");
            std::vector<char*> pointers;
            for (auto& argument : arguments) {
                pointers.push_back(argument.data());
            }
            pointers.push_back(nullptr);
            if (std::freopen("/dev/null", "w", stdout) == nullptr) {
                _exit(99);
            }
            code = workload_main(static_cast<int>(arguments.size()), pointers.data(), workload);
        }
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::vector<std::string> events;
    std::istringstream lines(contents(path));
    for (std::string line; std::getline(lines, line);) {
        events.push_back(line);
    }
    return events;
}

std::vector<std::string> measures(const std::vector<std::string>& events) {
    std::vector<std::string> found;
    std::copy_if(events.begin(), events.end(), std::back_inserter(found),
                 [](const std::string& event) { return event.starts_with("measure "); });
    return found;
}

TEST(Session, MeasuresEveryCellOnceARepetitionBeforeTheNextRepetition) {
    const auto measured = measures(events_of({"--floors", "--repetitions=4"}));
    ASSERT_EQ(measured.size(), 12U);
    for (std::size_t position = 0; position < measured.size(); ++position) {
        EXPECT_EQ(measured[position].back(), static_cast<char>('0' + position / 3)) << measured[position];
    }
}

TEST(Session, TheSeedDecidesTheOrder) {
    const auto order = [](const std::string& seed) {
        return measures(events_of({"--floors", "--repetitions=6", "--seed=" + seed}));
    };
    EXPECT_EQ(order("7"), order("7"));
    EXPECT_NE(order("7"), order("8"));
}

TEST(Session, SetsUpOnceChecksOnceAndGivesBackAfterwards) {
    const auto events = events_of({"--variant=layout:top", "--repetitions=3"});
    EXPECT_THAT(events, testing::ElementsAre("set_up top@1", "measure top@1 0", "measure top@1 1", "measure top@1 2",
                                             "check top@1", "gone top@1"));
}

TEST(Session, MeasuresBesideRightNextToEachRepetitionInAlternatingOrder) {
    const auto measured = measures(events_of({"--variant=layout:hoop", "--beside=floor:stand", "--repetitions=4"}));
    EXPECT_THAT(measured,
                testing::ElementsAre("measure floor@1 0", "measure hoop@1 0", "measure hoop@1 1", "measure floor@1 1",
                                     "measure floor@1 2", "measure hoop@1 2", "measure hoop@1 3", "measure floor@1 3"));
}

TEST(Groups, AllCellsThatFitLiveTogether) {
    const std::vector<std::vector<Cell::Footprint>> cells = {{{"a", 10}}, {{"b", 10}}, {{"c", 10}}};
    EXPECT_THAT(groups_within(cells, 1, 30), testing::ElementsAre(0, 0, 0));
    EXPECT_THAT(groups_within(cells, 1, 20), testing::ElementsAre(0, 0, 1));
}

TEST(Groups, AFixtureThatCellsShareCountsOnce) {
    const std::vector<std::vector<Cell::Footprint>> cells = {
        {{"a", 10}}, {{"a", 10}}, {{"a", 10}}, {{"", 10}}, {{"", 10}}};
    EXPECT_THAT(groups_within(cells, 1, 20), testing::ElementsAre(0, 0, 0, 0, 1));
}

TEST(Groups, APointIsNotTornApartWhereItFits) {
    const std::vector<std::vector<Cell::Footprint>> cells = {{{"a", 10}}, {{"b", 10}}, {{"c", 10}}, {{"d", 10}}};
    EXPECT_THAT(groups_within(cells, 2, 30), testing::ElementsAre(0, 0, 1, 1));
}

TEST(Groups, OneCellThatIsTooLargeStillRuns) {
    const std::vector<std::vector<Cell::Footprint>> cells = {{{"a", 100}}, {{"b", 100}}};
    EXPECT_THAT(groups_within(cells, 2, 30), testing::ElementsAre(0, 1));
}

}  // namespace
}  // namespace page_map_lab::bench
