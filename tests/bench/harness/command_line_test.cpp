#include <algorithm>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::vector<std::string> quickly = {"--repetitions", "2", "--min-time-ms", "1"};

std::vector<std::string> with(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), quickly.begin(), quickly.end());
    return arguments;
}

/// One line on stderr that starts with the program's name and holds `what`.
void expect_one_line(const Launch& launched, const std::string& what) {
    EXPECT_THAT(launched.errors, StartsWith("bench_toy: "));
    EXPECT_THAT(launched.errors, HasSubstr(what));
    EXPECT_EQ(std::count(launched.errors.begin(), launched.errors.end(), '\n'), 1) << launched.errors;
}

TEST(CommandLine, ARunThatGoesWellExitsZeroAndSaysNothingOnStandardError) {
    const Launch launched = launch(toy_workload(), with({}));
    EXPECT_EQ(launched.exit, 0);
    EXPECT_EQ(launched.errors, "");
    EXPECT_THAT(launched.output, HasSubstr("toy/layout:top/size:1/threads:1"));
    EXPECT_THAT(launched.output, Not(HasSubstr("floor:stand")));
}

TEST(CommandLine, DescribePrintsTheContractAsJson) {
    const Launch launched = launch(toy_workload(), {"--describe"});
    ASSERT_EQ(launched.exit, 0);
    const auto described = nlohmann::json::parse(launched.output);
    EXPECT_EQ(described["workload"], "toy");
    EXPECT_EQ(described["axes"], nlohmann::json({"layout"}));
    EXPECT_EQ(described["base"]["layout"], "top");
    EXPECT_EQ(described["variants"][0]["policies"]["layout"], "top");
    EXPECT_EQ(described["floors"], nlohmann::json({"floor:stand"}));
    EXPECT_EQ(described["parameters"]["size"]["real"], nlohmann::json({1024}));
    EXPECT_EQ(described["score"]["direction"], "lower_is_better");
}

TEST(CommandLine, HelpExitsZero) {
    const Launch launched = launch(toy_workload(), {"--help"});
    EXPECT_EQ(launched.exit, 0);
    EXPECT_THAT(launched.output, HasSubstr("--beside"));
}

TEST(CommandLine, AnUnknownVariantIsRefusedByName) {
    const Launch launched = launch(toy_workload(), with({"--variant", "layout:kite"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "layout:kite");
}

TEST(CommandLine, AnUnknownVariantToMeasureBesideIsRefusedByName) {
    const Launch launched = launch(toy_workload(), with({"--beside", "floor:ground"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "floor:ground");
}

TEST(CommandLine, ABadListIsRefused) {
    for (const std::string list : {"size=", "size=0", "size=4..1", "size=big", "colour=blue", "shape=round", "size"}) {
        const Launch launched = launch(toy_workload(), with({"--set", list}));
        EXPECT_EQ(launched.exit, 2) << list;
        expect_one_line(launched, list.substr(0, list.find('=')));
    }
}

TEST(CommandLine, AnImpossibleSweepIsRefusedBeforeAnythingIsMeasured) {
    WorkloadDescription workload = toy_workload();
    workload.possible = [](const Parameters& parameters) -> Status {
        return parameters.number("size") < 3 ? Status{}
                                             : Status{fail(ErrorCode::usage, "size=3 does not fit: ask for 2")};
    };
    const Launch launched = launch(workload, with({"--set", "size=1,2,3"}));
    EXPECT_EQ(launched.exit, 2);
    EXPECT_EQ(launched.output, "");
    expect_one_line(launched, "size=3 does not fit: ask for 2");
}

TEST(CommandLine, MoreThreadsThanProcessorsAreRefused) {
    const Launch launched = launch(toy_workload(), with({"--threads", "4096"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "4096");
}

TEST(CommandLine, UnknownOptionsOfOursAndOfTheLibraryAreRefused) {
    for (const std::string option : {"--colour=red", "--benchmark_colour=red", "--plan=random", "--memory=attic",
                                     "--counters=sheep", "--size=huge", "--launch=[1]", "--data-dir=/nowhere"}) {
        const Launch launched = launch(toy_workload(), with({option}));
        EXPECT_EQ(launched.exit, 2) << option;
        EXPECT_THAT(launched.errors, HasSubstr("bench_toy: ")) << option;
        EXPECT_THAT(launched.errors, EndsWith("\n")) << option;
    }
}

TEST(CommandLine, ATraceIsRefusedWhereNothingReplaysIt) {
    const Launch launched = launch(toy_workload(), with({"--trace", "/dev/null"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "--trace");
}

TEST(CommandLine, AnUnreadableTraceIsRefused) {
    WorkloadDescription workload = toy_workload();
    workload.takes_trace = true;
    const Launch launched = launch(workload, with({"--trace", "/nowhere/trace"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "/nowhere/trace");
}

TEST(CommandLine, ARecordThatCannotBeWrittenIsRefusedBeforeAnythingIsMeasured) {
    const Launch launched = launch(toy_workload(), with({"--record", "/nowhere/record.json"}));
    EXPECT_EQ(launched.exit, 2);
    EXPECT_EQ(launched.output, "");
    expect_one_line(launched, "/nowhere/record.json");
}

TEST(CommandLine, AFullDiskIsOneLine) {
    const Launch launched = launch(toy_workload(), with({"--record", "/dev/full"}));
    EXPECT_EQ(launched.exit, 2);
    expect_one_line(launched, "/dev/full");
    EXPECT_THAT(launched.errors, HasSubstr("No space left"));
}

TEST(CommandLine, ARecordThatDoesNotFitLeavesTheOldOneAndNoPartialFile) {
    const TemporaryFolder folder;
    const auto path = folder / "record.json";
    std::ofstream(path) << "old";
    const Launch launched = launch(toy_workload(), with({"--record", path.string()}), [] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit little{2048, 2048};
        setrlimit(RLIMIT_FSIZE, &little);
    });
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, HasSubstr("record.json"));
    EXPECT_EQ(contents(path), "old");
    EXPECT_FALSE(std::filesystem::exists(path.string() + ".partial"));
}

TEST(CommandLine, RequiredCountersThatCannotBeCountedExitFour) {
    // Without a PMU the hardware sets are not there; with one, this machine proves the other branch.
    const Launch launched = launch(toy_workload(), with({"--counters", "cycles", "--require-counters"}));
    if (launched.exit == 0) {
        GTEST_SKIP() << "this machine has the counters";
    }
    EXPECT_EQ(launched.exit, 4);
    EXPECT_EQ(launched.output, "");
    expect_one_line(launched, "--counters cycles");
}

TEST(CommandLine, AFailedCheckExitsFiveAndStillWritesTheRecord) {
    const TemporaryFolder folder;
    const auto path = folder / "record.json";
    const Launch launched = launch(toy_workload(Fault::wrong_result), with({"--record", path.string()}));
    EXPECT_EQ(launched.exit, 5);
    expect_one_line(launched, "the toy is blue");
    const auto record = nlohmann::json::parse(contents(path));
    EXPECT_EQ(record["cells"][0]["check"]["passed"], false);
    EXPECT_EQ(record["cells"][1]["check"]["passed"], true);
}

TEST(CommandLine, ACellThatCannotBeSetUpOrMeasuredTakesNoOtherDown) {
    for (const Fault fault : {Fault::set_up_error, Fault::set_up_throw, Fault::measure_error}) {
        const TemporaryFolder folder;
        const auto path = folder / "record.json";
        const Launch launched = launch(toy_workload(fault), with({"--record", path.string()}));
        EXPECT_EQ(launched.exit, 2);
        expect_one_line(launched, "the toy ");
        const auto record = nlohmann::json::parse(contents(path));
        ASSERT_EQ(record["cells"].size(), 4U);
        EXPECT_THAT(record["cells"][0]["failed"].get<std::string>(), HasSubstr("the toy "));
        EXPECT_EQ(record["cells"][0]["check"]["passed"], false);
        EXPECT_EQ(record["cells"][1]["failed"], nullptr);
        EXPECT_EQ(record["cells"][1]["repetitions"].size(), 2U);
    }
}

TEST(CommandLine, GoogleBenchmarksFlagsWork) {
    const Launch filtered = launch(toy_workload(), with({"--benchmark_filter=layout:hoop/size:2"}));
    EXPECT_EQ(filtered.exit, 0);
    EXPECT_THAT(filtered.output, HasSubstr("layout:hoop/size:2"));
    EXPECT_THAT(filtered.output, Not(HasSubstr("layout:top")));

    const Launch nothing = launch(toy_workload(), with({"--benchmark_filter=kite"}));
    EXPECT_EQ(nothing.exit, 2);

    const Launch listed = launch(toy_workload(), {"--benchmark_list_tests", "--variant", "layout:top"});
    EXPECT_EQ(listed.exit, 0);
    EXPECT_EQ(listed.output, "toy/layout:top/size:1/threads:1\ntoy/layout:top/size:2/threads:1\n");
}

TEST(CommandLine, TheLibrarysOutputHoldsRepetitionsOfOneBenchmarkAndTheirAggregates) {
    const TemporaryFolder folder;
    const auto path = folder / "out.json";
    const Launch launched = launch(toy_workload(), {"--benchmark_out=" + path.string(), "--benchmark_repetitions=3",
                                                    "--min-time-ms=1", "--variant=layout:top", "--set=size=1"});
    ASSERT_EQ(launched.exit, 0) << launched.errors;
    const auto document = nlohmann::json::parse(contents(path));
    std::vector<std::string> names;
    for (const auto& row : document["benchmarks"]) {
        EXPECT_EQ(row["run_name"], "toy/layout:top/size:1/threads:1");
        EXPECT_EQ(row["repetitions"], 3);
        EXPECT_GT(row["real_time"].get<double>(), 0.0);
        names.push_back(row["name"].get<std::string>().substr(row["run_name"].get<std::string>().size()));
    }
    EXPECT_THAT(names, testing::ElementsAre("", "", "", "_mean", "_median", "_stddev", "_cv"));
}

TEST(CommandLine, ANamedPipeIsNoTraceAndNotWaitedFor) {
    const TemporaryFolder folder;
    const std::string pipe = folder / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    WorkloadDescription workload = toy_workload();
    workload.takes_trace = true;
    const Launch launched = launch(workload, {"--trace=" + pipe, "--min-time-ms=1"}, [] { ::alarm(60); });
    EXPECT_LT(launched.exit, 128) << "it waited for somebody to write into the pipe";
}

TEST(CommandLine, AFileNameThatIsNoTextLosesNoRecord) {
    const TemporaryFolder folder;
    const std::string record = folder / "r\xff.json";
    const Launch launched = launch(toy_workload(), {"--record=" + record, "--repetitions=1", "--min-time-ms=1"});
    EXPECT_EQ(launched.exit, 0) << launched.errors;
    EXPECT_FALSE(contents(record).empty());
}

}  // namespace
}  // namespace page_map_lab::bench
