#include "bench/harness/selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/harness/variant_subjects.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

std::vector<std::string> selected(const WorkloadDescription& workload, std::vector<std::string> variants,
                                  bool floors = false) {
    Options options;
    options.variants = std::move(variants);
    options.floors = floors;
    std::vector<std::string> names;
    const auto subjects = select_subjects(workload, options);
    if (!subjects) {
        return {subjects.error().message};
    }
    for (const Subject* subject : *subjects) {
        names.push_back(subject->name);
    }
    return names;
}

TEST(Selection, TakesNamesAndGlobsInTheWorkloadsOrder) {
    const auto toys = toy_workload();
    using testing::ElementsAre;
    EXPECT_THAT(selected(toys, {}), ElementsAre("layout:top", "layout:hoop"));
    EXPECT_THAT(selected(toys, {}, true), ElementsAre("layout:top", "layout:hoop", "floor:stand"));
    EXPECT_THAT(selected(toys, {"layout:hoop", "layout:top"}), ElementsAre("layout:top", "layout:hoop"));
    EXPECT_THAT(selected(toys, {"layout:h*"}), ElementsAre("layout:hoop"));
    EXPECT_THAT(selected(toys, {"floor:*"}), ElementsAre("floor:stand"));
    EXPECT_THAT(selected(toys, {"layout:hoop"}, true), ElementsAre("layout:hoop", "floor:stand"));
}

TEST(Selection, AnAxisLeftOutMeansItsDefaultAndOneThatIsNotFeltMakesNoDifference) {
    const auto toys = toy_workload();
    using testing::ElementsAre;
    EXPECT_THAT(selected(toys, {"layout:hoop/read:ear"}), ElementsAre("layout:hoop"));
    EXPECT_THAT(selected(toys, {"read:ear"}), ElementsAre("layout:top"));
    EXPECT_THAT(selected(toys, {"layout:hoop/read:nose"}), ElementsAre(testing::HasSubstr("read:nose")));
    EXPECT_THAT(selected(toys, {"layout:hoop/layout:top"}), ElementsAre(testing::HasSubstr("no variant")));
}

TEST(Selection, TheCatalogsVariantsAreFoundByFullNamesAndShortOnes) {
    WorkloadDescription workload;
    workload.name = "any";
    const auto make = []<class Variant>(const Parameters&) -> std::unique_ptr<Cell> { return nullptr; };
    constexpr FeltAxes felt{.layout = true, .read = true, .shootdown = true, .mechanism = true};
    add_variants<felt>(workload, make);
    add_variants<felt>(workload, make, "keep");
    EXPECT_THAT(workload.axes, testing::ElementsAre("layout", "read", "shootdown", "frames"));
    EXPECT_EQ(workload.subjects.size(), 2 * Variants::size);
    EXPECT_THAT(selected(workload, {"layout:radix/read:rcu_qsbr"}),
                testing::ElementsAre("layout:radix/read:rcu_qsbr/shootdown:batched"));
    EXPECT_THAT(selected(workload, {"frames:keep"}),
                testing::ElementsAre("layout:radix/read:rcu_qsbr/shootdown:batched/frames:keep"));
}

TEST(Selection, WhatIsNotFeltIsNamedOnceAndUnprotectedWalksAreFloors) {
    WorkloadDescription workload;
    const auto make = []<class Variant>(const Parameters&) -> std::unique_ptr<Cell> { return nullptr; };
    constexpr FeltAxes felt{.layout = true, .read = true};
    add_variants<felt>(workload, make);
    add_unprotected_floors<felt>(workload, make);
    EXPECT_THAT(workload.axes, testing::ElementsAre("layout", "read"));
    EXPECT_EQ(workload.subjects.size(), Layouts::size * (ReadPaths::size + 1));
    const auto of_radix = selected(workload, {"layout:radix/*"});
    EXPECT_EQ(of_radix.size(), ReadPaths::size + 1);
    EXPECT_THAT(of_radix, testing::IsSupersetOf({"layout:radix/read:rcu_qsbr", "layout:radix/read:none"}));
    const auto with_floors = selected(workload, {"read:rcu_mb"}, true);
    EXPECT_EQ(with_floors.size(), 1 + Layouts::size);
    EXPECT_THAT(with_floors, testing::IsSupersetOf({"layout:radix/read:rcu_mb", "layout:radix/read:none", "layout:flat/read:none"}));
}

TEST(Selection, SweepsTheLastParameterFastest) {
    Options options;
    options.lists = {{"size", "1,2Ki"}, {"threads", "1..2"}};
    const auto points = sweep(toy_workload(), options);
    ASSERT_TRUE(points);
    std::vector<std::string> names;
    for (const auto& point : *points) {
        names.push_back(point.name());
    }
    EXPECT_THAT(names, testing::ElementsAre("size:1/threads:1", "size:1/threads:2", "size:2048/threads:1",
                                            "size:2048/threads:2"));
}

TEST(Selection, RealSizeSweepsRealValues) {
    Options options;
    options.real_size = true;
    const auto points = sweep(toy_workload(), options);
    ASSERT_TRUE(points);
    ASSERT_EQ(points->size(), 1U);
    EXPECT_EQ(points->front().number("size"), 1024U);
    EXPECT_EQ(points->front().text("colour"), "red");
}

std::vector<std::string> real_points(const std::map<std::string, std::string>& given) {
    auto toys = toy_workload();
    toys.variations = {{{"colour", "green"}, {"size", "7,8"}}, {{"threads", "2"}}};
    Options options;
    options.real_size = true;
    options.lists = given;
    std::vector<std::string> names;
    const auto points = sweep(toys, options);
    for (const auto& point : points.value()) {
        names.push_back(point.name());
    }
    return names;
}

TEST(Selection, RealSizeVariesAFewAxesAtATime) {
    using testing::ElementsAre;
    EXPECT_THAT(real_points({}), ElementsAre("size:1024/threads:1", "size:7/colour:green/threads:1",
                                             "size:8/colour:green/threads:1", "size:1024/threads:2"));
    EXPECT_THAT(real_points({{"size", "3"}}), ElementsAre("size:3/threads:1", "size:3/threads:2"));
    EXPECT_THAT(real_points({{"threads", "3"}}), ElementsAre("size:1024/threads:3", "size:7/colour:green/threads:3",
                                                             "size:8/colour:green/threads:3"));
}

TEST(Selection, AnAbsurdlyLongSweepIsRefused) {
    Options options;
    options.lists = {{"size", "1..400"}, {"threads", "1..250"}};
    const auto longest = sweep(toy_workload(), options);
    ASSERT_TRUE(longest);
    EXPECT_EQ(longest->size(), 100'000U);
    options.lists["size"] = "1..401";
    const auto refused = sweep(toy_workload(), options);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("100250 points"), std::string::npos) << refused.error().message;
}

TEST(ParameterAxis, UnderstandsSuffixesRangesAndLists) {
    const auto axis = ParameterAxis::numbers("pages", {1}, {1});
    const auto parsed = axis.parse("4096,4Ki,1Mi,2..4");
    ASSERT_TRUE(parsed);
    std::vector<std::uint64_t> numbers;
    for (const auto& value : *parsed) {
        numbers.push_back(std::get<std::uint64_t>(value));
    }
    EXPECT_THAT(numbers, testing::ElementsAre(4096, 4096, 1048576, 2, 3, 4));
}

TEST(Parameters, AThreadWithoutAPageOfItsOwnIsRefused) {
    Parameters parameters;
    parameters.set("pages", std::uint64_t{2});
    parameters.set("threads", std::uint64_t{2});
    EXPECT_TRUE(a_page_for_each_thread(parameters));
    Parameters fewer;
    fewer.set("pages", std::uint64_t{1});
    fewer.set("threads", std::uint64_t{2});
    const Status refused = a_page_for_each_thread(fewer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::usage);
}

TEST(ParameterAxis, RefusesWhatIsNoNumberOrOutOfBounds) {
    const auto axis = ParameterAxis::numbers("pages", {1}, {1}, 1, 100);
    for (const char* list : {"", ",", "0", "101", "-1", "1.5", "4K", "1..", "..4", "3..2", "99999999999999999999",
                             "18446744073709551615Ti", "1,,2", " 1"}) {
        EXPECT_FALSE(axis.parse(list)) << list;
    }
}

}  // namespace
}  // namespace page_map_lab::bench
