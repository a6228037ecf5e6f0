#include <cstdlib>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/workloads/lookup.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

using Json = nlohmann::json;

/// What the shipped schema says about each of the records: empty where it is valid.
std::vector<std::string> schema_errors(const std::vector<Json>& records) {
    const TemporaryFolder folder;
    std::string files;
    for (const Json& record : records) {
        const auto file = folder / ("record_" + std::to_string(files.size()) + ".json");
        std::ofstream(file) << record;
        files += " '" + file.string() + "'";
    }
    const auto tests = std::filesystem::path(__FILE__).parent_path();
    const std::string command = "/usr/bin/python3 '" + (tests / "validate_record.py").string() + "' '" +
                                (tests / "../../../results/record.schema.json").string() + "'" + files + " > '" +
                                (folder / "said").string() + "' 2>&1";
    const int status = std::system(command.c_str());
    const std::string said = contents(folder / "said");
    std::vector<std::string> errors;
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
        errors.push_back(line);
    }
    EXPECT_TRUE(status == 0 && errors.size() == records.size()) << said;
    errors.resize(records.size(), "nothing was said");
    return errors;
}

std::string schema_errors(const Json& record) {
    return schema_errors(std::vector<Json>{record}).front();
}

Json record_of(const WorkloadDescription& workload, std::vector<std::string> arguments) {
    const TemporaryFolder folder;
    const auto path = folder / "record.json";
    arguments.insert(arguments.end(), {"--record", path.string(), "--repetitions", "3", "--min-time-ms", "1"});
    const Launch launched = launch(workload, arguments);
    EXPECT_THAT(launched.exit, testing::AnyOf(0, 2, 5)) << launched.errors;
    return Json::parse(contents(path));
}

TEST(Record, OfARealTinyRunIsValid) {
    WorkloadDescription workload = lookup_question();
    add_floor(workload, "floor:array", [](const Parameters& parameters) {
        return std::make_unique<LookupCell<ResidentArray>>("floor:array", parameters);
    });
    const Json record = record_of(workload, {"--floors", "--pages", "64", "--threads", "1", "--beside", "floor:array"});
    EXPECT_EQ(schema_errors(record), "");
    ASSERT_EQ(record["cells"].size(), 4U);
    for (const auto& cell : record["cells"]) {
        EXPECT_EQ(cell["repetitions"].size(), 3U);
        EXPECT_TRUE(cell["check"]["passed"].get<bool>());
        EXPECT_GT(cell["repetitions"][0]["beside"]["score"].get<double>(), 0.0);
    }
}

TEST(Record, OfEveryKindOfTroubleIsValid) {
    for (const Fault fault : {Fault::none, Fault::set_up_error, Fault::wrong_result, Fault::excluded}) {
        EXPECT_EQ(schema_errors(record_of(toy_workload(fault), {"--floors"})), "") << static_cast<int>(fault);
    }
}

TEST(Record, CarriesWhatTheLauncherSays) {
    const Json record =
        record_of(toy_workload(), {"--seed", "42", "--launch", R"({"run": "today-quick", "index": 3, "block": 0})"});
    EXPECT_EQ(record["launch"]["run"], "today-quick");
    EXPECT_EQ(record["launch"]["index"], 3);
    EXPECT_EQ(record["launch"]["seed"], 42);
    EXPECT_EQ(record["launch"]["command"][0], "bench_toy");
    EXPECT_EQ(schema_errors(record), "");
}

TEST(Record, SumsOverRepetitionsThatCountAndListsThoseThatDoNot) {
    const Json record = record_of(toy_workload(Fault::excluded), {"--variant", "layout:top", "--set", "size=1"});
    const Json& cell = record["cells"][0];
    EXPECT_EQ(cell["repetitions"].size(), 3U);
    EXPECT_EQ(cell["repetitions"][0]["excluded"], "the toy was asleep");
    EXPECT_EQ(cell["histograms"][0]["count"], 2);
    EXPECT_EQ(cell["histograms"][0]["min"], 101);
    EXPECT_EQ(cell["histograms"][0]["max"], 102);
    EXPECT_EQ(cell["phases"][0]["operations"], 2);
    EXPECT_EQ(cell["repetitions"][0]["metrics"]["falls"], nullptr);
    EXPECT_EQ(cell["repetitions"][0]["metrics"]["falls_why"], "nobody counted");
}

TEST(Record, LeavesDefaultsOutOfNamesAndKeepsThemInTheParameters) {
    const Json record = record_of(toy_workload(), {"--set", "size=1", "--set", "colour=red,green"});
    std::set<std::string> names;
    for (const auto& cell : record["cells"]) {
        names.insert(cell["name"].get<std::string>());
        EXPECT_TRUE(cell["parameters"].contains("colour"));
    }
    EXPECT_THAT(names, testing::Contains("toy/layout:top/size:1/threads:1"));
    EXPECT_THAT(names, testing::Contains("toy/layout:top/size:1/colour:green/threads:1"));
}

TEST(RecordSchema, RefusesWhatIsMalformed) {
    const Json good = record_of(toy_workload(), {"--variant", "layout:top", "--set", "size=1"});
    ASSERT_EQ(schema_errors(good), "");
    const std::vector<std::pair<std::string, Json>> changes = {
        {"/schema_version", 2},
        {"/cells", Json::array()},
        {"/cells/0/score/direction", "sideways"},
        {"/cells/0/repetitions/0/score", "fast"},
        {"/cells/0/repetitions/0/score", nullptr},
        {"/cells/0/repetitions/0/threads", Json::array()},
        {"/cells/0/repetitions/0/threads/0/operations", -1},
        {"/cells/0/repetitions/0/threads/0/surprise", 1},
        {"/cells/0/counters/0/state", "unwell"},
        {"/cells/0/histograms/0/buckets/0", Json::array({1, 2})},
        {"/cells/0/metrics/weight_bytes", "heavy"},
        {"/build/git_dirty", "no"},
        {"/host/name", "unnamed"},
        {"/host/tlb_mechanism/value", "magic"},
        {"/environment/max_map_count", nullptr},
        {"/placement/state", "fine"},
        {"/gate", Json::object()},
        {"/launch/started", "yesterday"},
    };
    std::vector<std::string> wrong;
    std::vector<Json> records;
    for (const auto& [place, value] : changes) {
        wrong.push_back(place + " = " + value.dump());
        records.push_back(good);
        records.back()[Json::json_pointer(place)] = value;
    }
    for (const char* name : {"launch", "build", "host", "environment", "placement", "gate", "cells", "context"}) {
        wrong.push_back("without " + std::string(name));
        records.push_back(good);
        records.back().erase(name);
    }
    const auto errors = schema_errors(records);
    for (std::size_t index = 0; index < records.size(); ++index) {
        EXPECT_NE(errors[index], "") << wrong[index];
    }
}

}  // namespace
}  // namespace page_map_lab::bench
