// The benchmark programs as they are run: each asks about the axes that its workload feels, and each of its subjects can be
// measured and passes its check. What they are put together from has tests of its own.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/bench/launch_in_child.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {
namespace {

using Json = nlohmann::json;
using Axes = std::vector<std::string>;

const std::map<std::string, Axes> axes_felt = {
    {"bench_fault", {"layout", "read"}},
    {"bench_insert", {"layout", "read"}},
    {"bench_load", {"layout", "read"}},
    {"bench_lookup", {"layout", "read"}},
    {"bench_mixed", {"layout", "read", "shootdown"}},
    {"bench_remove", {"layout", "read", "shootdown", "frames"}},
    {"bench_replay", {"layout", "read", "shootdown"}},
    {"bench_shootdown", {"shootdown"}},
};

/// The programs that were built: their paths.
std::vector<std::string> programs() {
    std::vector<std::string> paths;
    std::istringstream all(PAGE_MAP_LAB_PROGRAMS);
    for (std::string path; std::getline(all, path, ':');) {
        paths.push_back(path);
    }
    return paths;
}

class Program : public testing::TestWithParam<std::string> {
protected:
    static std::string name() { return std::filesystem::path(GetParam()).filename(); }
    /// Its exit code; `arguments` as a shell takes them.
    int run(const std::string& arguments) const {
        const std::string command = GetParam() + " " + arguments + " > " + (folder_ / "output").string() + " 2>&1";
        const int status = std::system(command.c_str());
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    std::string output() const { return contents(folder_ / "output"); }
    Json description() const {
        EXPECT_EQ(run("--describe"), 0) << output();
        return Json::parse(output());
    }

    const TemporaryFolder folder_;
};

TEST_P(Program, FeelsTheAxesOfItsWorkload) {
    ASSERT_TRUE(axes_felt.contains(name())) << name() << " is new: say above which axes it feels";
    const Json described = description();
    EXPECT_EQ(described["axes"].get<Axes>(), axes_felt.at(name()));
    const std::map<std::string, std::size_t> policies = {
        {"layout", Layouts::size}, {"read", ReadPaths::size}, {"shootdown", Shootdowns::size}, {"frames", 2}};
    std::size_t variants = 1;
    for (const std::string& axis : axes_felt.at(name())) {
        variants *= policies.at(axis);
    }
    EXPECT_EQ(described["variants"].size(), variants);
    EXPECT_EQ(described["floors"].empty(), name() == "bench_mixed" || name() == "bench_replay");
}

TEST_P(Program, MeasuresEachOfItsSubjects) {
    const Json described = description();
    std::set<std::string> subjects(described["floors"].begin(), described["floors"].end());
    for (const Json& variant : described["variants"]) {
        subjects.insert(variant["name"]);
    }
    std::string arguments = "--floors --repetitions=1 --min-time-ms=1 --record=" + (folder_ / "record.json").string();
    for (const auto& [axis, values] : described["parameters"].items()) {
        Json smallest = values.is_object() ? values["smoke"][0] : values[0];
        if (smallest.is_number() && values.is_object() && values["real"].is_array()) {
            smallest = std::min(smallest, values["real"][0]);
        }
        arguments += " --set " + axis + "=" + (smallest.is_string() ? smallest.get<std::string>() : smallest.dump());
    }
    if (described["trace"].get<bool>()) {
        const std::filesystem::path trace = folder_ / "trace";
        std::ofstream(trace) << "fio version 2 iolog\nfile add\nfile open\nfile write 0 8192\nfile read 4096 4096\nfile close\n";
        arguments += " --trace=" + trace.string();
    }
    ASSERT_EQ(run(arguments), 0) << output();
    const Json record = Json::parse(contents(folder_ / "record.json"));
    std::set<std::string> measured;
    for (const Json& cell : record["cells"]) {
        EXPECT_TRUE(cell["check"]["passed"]) << cell["name"];
        measured.insert(cell["variant"]);
    }
    EXPECT_EQ(measured, subjects);
}

INSTANTIATE_TEST_SUITE_P(Built, Program, testing::ValuesIn(programs()), [](const auto& tested) {
    return std::filesystem::path(tested.param).filename().string();
});

}  // namespace
}  // namespace page_map_lab::bench
