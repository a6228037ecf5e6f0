// Planted slowdowns: how much more work a twin does than it counts, and that nobody sees one who did not ask.
#include <atomic>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/harness/heap_padding.hpp"
#include "bench/harness/planted.hpp"
#include "bench/workloads/lookup.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Says at its end how often it was asked.
struct CountsItsFinds : ResidentArray {
    using ResidentArray::ResidentArray;
    ~CountsItsFinds() {
        std::printf("finds %llu\n", static_cast<unsigned long long>(finds.load(std::memory_order_relaxed)));
    }
    Counted find(PageIndex index) noexcept {
        finds.fetch_add(1, std::memory_order_relaxed);  // relaxed: only counts
        return ResidentArray::find(index);
    }
    std::atomic<std::uint64_t> finds{0};
};

WorkloadDescription tested_workload() {
    WorkloadDescription workload = lookup_question();
    workload.subjects.push_back({"layout:tested", {}, false, [](const Parameters& parameters) -> std::unique_ptr<Cell> {
                                     return std::make_unique<LookupCell<CountsItsFinds>>("layout:tested", parameters);
                                 }});
    return workload;
}

TEST(Planted, ATwinDoesAsMuchMoreThanItCountsAndIsRight) {
    constexpr std::uint64_t pages = 256;
    for (const std::uint64_t percent : {0, 3, 100}) {
        const TemporaryFolder folder;
        const std::string record = (folder / "record.json").string();
        const Launch launched =
            launch(tested_workload(), {"--variant=*/planted:" + std::to_string(percent),
                                       "--plant=" + std::to_string(percent), "--pages=256", "--pattern=uniform",
                                       "--threads=1", "--repetitions=1", "--min-time-ms=5", "--record=" + record});
        ASSERT_EQ(launched.exit, 0) << launched.errors;
        std::ifstream file(record);
        const auto cells = nlohmann::json::parse(file).at("cells");
        ASSERT_EQ(cells.size(), 1U);
        EXPECT_EQ(cells[0].at("variant"), "layout:tested/planted:" + std::to_string(percent));
        EXPECT_FALSE(cells[0].at("parameters").contains(std::string(planted_parameter)));
        const auto counted = cells[0].at("repetitions")[0].at("threads")[0].at("operations").get<std::uint64_t>();

        const std::size_t plain_keys = advised_key_count(pages);
        const std::size_t warm_up = std::min<std::size_t>(plain_keys + plain_keys / 100 * percent, 1U << 16);
        const std::size_t position = launched.output.find("finds ");
        ASSERT_NE(position, std::string::npos);
        const std::uint64_t done = std::stoull(launched.output.substr(position + 6)) - warm_up - pages;
        EXPECT_EQ(counted, done * 100 / (100 + percent));
        EXPECT_GT(counted, 0U);
    }
}

TEST(Planted, ATwinIsNeverDescribedNorMeasuredUnasked) {
    EXPECT_THAT(launch(tested_workload(), {"--describe", "--plant=3"}).output, Not(HasSubstr("planted")));
    EXPECT_THAT(launch(tested_workload(), {"--help"}).output, Not(HasSubstr("--plant")));
    const std::vector<std::string> brief = {"--pages=256", "--threads=1", "--repetitions=1", "--min-time-ms=1"};
    EXPECT_THAT(launch(tested_workload(), brief).output, Not(HasSubstr("planted")));
}

TEST(Planted, AWorkloadThatCannotSaysSo) {
    const Launch launched = launch(toy_workload(), {"--plant=3"});
    EXPECT_EQ(launched.exit, 2);
    EXPECT_THAT(launched.errors, HasSubstr("nothing to plant"));
    EXPECT_EQ(launch(tested_workload(), {"--plant=101"}).exit, 2);
}

TEST(HeapPadding, TakesWhatItIsAskedTo) {
    EXPECT_EQ(HeapPadding(0).pieces(), 0U);
    EXPECT_EQ(HeapPadding(64).pieces(), 2U);       // 32, then 16
    EXPECT_GT(HeapPadding(1U << 20).pieces(), 500U);  // half of it in pieces of up to 4096 bytes
    EXPECT_EQ(launch(toy_workload(), {"--heap-padding=123456"}).exit, 0);
    EXPECT_EQ(launch(toy_workload(), {"--heap-padding=-1"}).exit, 2);
}

}  // namespace
}  // namespace page_map_lab::bench
