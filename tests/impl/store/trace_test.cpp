#include "impl/store/trace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <vector>

#include "tests/impl/store/temporary_folder.hpp"

namespace page_map_lab {
namespace {

using Kind = TraceOperation::Kind;
using testing::HasSubstr;

TEST(TraceOperations, are_split_into_pages_with_the_bytes_of_each) {
    struct Part {
        PageIndex page;
        std::uint32_t first_byte;
        std::uint32_t byte_count;
        bool operator==(const Part&) const = default;
    };
    const auto split = [](std::uint64_t offset, std::uint64_t length) {
        std::vector<Part> parts;
        for_each_page({Kind::write, 2, offset, length}, [&](const TracePageAccess& access) {
            EXPECT_EQ(access.kind, Kind::write);
            EXPECT_EQ(access.file, 2U);
            EXPECT_EQ(access.whole_page(), access.byte_count == 4096);
            parts.push_back({access.page, access.first_byte, access.byte_count});
        });
        return parts;
    };
    EXPECT_EQ(split(0, 4096), (std::vector<Part>{{0, 0, 4096}}));
    EXPECT_EQ(split(4095, 1), (std::vector<Part>{{0, 4095, 1}}));
    EXPECT_EQ(split(4095, 2), (std::vector<Part>{{0, 4095, 1}, {1, 0, 1}}));
    EXPECT_EQ(split(5000, 8192), (std::vector<Part>{{1, 904, 3192}, {2, 0, 4096}, {3, 0, 904}}));
    EXPECT_EQ(split(8192, 0), std::vector<Part>{});
}

TEST(Trace, says_how_many_pages_each_file_needs_and_where_it_starts) {
    const auto trace = Trace::make({"a", "unused", "b"}, {{Kind::write, 2, 8191, 2},
                                                          {Kind::read, 0, 40960, 4096},
                                                          {Kind::read, 0, 0, 5000},
                                                          {Kind::sync, 0, 0, 0},
                                                          {Kind::write, 0, 4096, 8192},
                                                          {Kind::read, 0, 4096, 1}});
    ASSERT_TRUE(trace) << trace.error().text();
    const auto files = trace->files();
    EXPECT_EQ(files[0].size_pages, 11U);
    EXPECT_EQ(files[0].pages_touched, 4U);  // 0, 1, 2 and 10
    EXPECT_EQ(files[1].size_pages, 0U);
    EXPECT_EQ(files[2].size_pages, 3U);
    EXPECT_EQ(files[2].pages_touched, 2U);
    EXPECT_EQ(files[2].first_page, 11U);
    EXPECT_EQ(trace->total_pages(), 14U);
    EXPECT_EQ(trace->pages_touched(), 6U);
    EXPECT_EQ(trace->page_accesses(), 8U);
    EXPECT_EQ(trace->page_in_object({Kind::read, 2, 1, 0, 1}), 12U);
}

TEST(Trace, of_operations_out_of_bounds_is_not_made) {
    for (const TraceOperation& operation :
         {TraceOperation{Kind::read, 1, 0, 8}, TraceOperation{Kind::read, 0, 0, 0}, TraceOperation{Kind::sync, 0, 8, 0},
          TraceOperation{Kind::write, 0, ~std::uint64_t{0}, 8}}) {
        const auto trace = Trace::make({"a"}, {{Kind::read, 0, 0, 8}, operation});
        ASSERT_FALSE(trace);
        EXPECT_THAT(trace.error().text(), HasSubstr("operation 1"));
    }
    EXPECT_FALSE(Trace::make({"a"}, {{Kind::sync, 0, 0, 0}}));
}

TEST(Trace, that_cannot_be_read_is_refused_by_name) {
    const TemporaryFolder folder;
    const std::string pipe = folder.file("pipe");
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    for (const std::string& path : {folder.file("absent.trace"), folder.file(""), pipe}) {
        const auto trace = Trace::load(path);
        ASSERT_FALSE(trace) << path;
        EXPECT_EQ(trace.error().code, ErrorCode::usage);
        EXPECT_THAT(trace.error().text(), HasSubstr("trace '" + path + "'"));
    }
}

TEST(Trace, that_is_too_large_is_refused_without_reading_it) {
    const TemporaryFolder folder;
    const std::string path = folder.make_file("huge.trace", "PMLTRACE");
    std::filesystem::resize_file(path, Trace::max_trace_bytes + 1);
    const auto trace = Trace::load(path);
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().code, ErrorCode::usage);
    EXPECT_THAT(trace.error().text(), HasSubstr("record fewer"));
}

TEST(Trace, is_told_by_its_contents_not_by_its_name) {
    const TemporaryFolder folder;
    const auto trace = Trace::load(folder.make_file("log.trace", "fio version 2 iolog\nf read 0 8\n"));
    ASSERT_TRUE(trace) << trace.error().text();
    EXPECT_EQ(trace->operations().size(), 1U);
}

TEST(Trace, that_is_shipped_has_reads_and_writes_over_several_hundred_pages) {
    const auto source = std::filesystem::path(__FILE__).parent_path() / "../../../bench/traces";
    const auto trace = Trace::load((source / "sqlite-transactions.trace").string());
    ASSERT_TRUE(trace) << trace.error().text();
    EXPECT_GT(trace->operations().size(), 2000U);
    EXPECT_GT(trace->pages_touched(), 300U);
    EXPECT_LT(trace->total_pages(), 1000U);
    std::uint64_t reads = 0;
    for (const TraceOperation& operation : trace->operations()) {
        reads += operation.kind == Kind::read ? 1 : 0;
    }
    EXPECT_GT(reads, 1000U);
    for (const TraceFile& file : trace->files()) {
        EXPECT_THAT(file.name, testing::StartsWith("accounts.db"));
    }
}

}  // namespace
}  // namespace page_map_lab
