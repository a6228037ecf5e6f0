#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <vector>

#include "impl/store/trace.hpp"

namespace page_map_lab {
namespace {

using Kind = TraceOperation::Kind;
using testing::HasSubstr;

std::vector<TraceOperation> operations_of(const Trace& trace) {
    return {trace.operations().begin(), trace.operations().end()};
}

TEST(Iolog, of_version_two_is_read) {
    const auto trace = Trace::parse("fio version 2 iolog\n"
                                    "/data/file add\n"
                                    "/data/file open\n"
                                    "/data/file write 0 4096\n"
                                    "/data/file wait 1000 0\n"
                                    "/data/other read 8192 512\n"
                                    "/data/file sync 0 0\n"
                                    "/data/other datasync\n"
                                    "\n"
                                    "/data/file trim 0 4096\n"
                                    "/data/file close",
                                    "log");
    ASSERT_TRUE(trace) << trace.error().text();
    ASSERT_EQ(trace->files().size(), 2U);
    EXPECT_EQ(trace->files()[1].name, "/data/other");
    EXPECT_EQ(operations_of(*trace), (std::vector<TraceOperation>{{Kind::write, 0, 0, 4096},
                                                                  {Kind::read, 1, 8192, 512},
                                                                  {Kind::sync, 0, 0, 0},
                                                                  {Kind::sync, 1, 0, 0}}));
    EXPECT_EQ(trace->skipped_operations(), 2U);
}

TEST(Iolog, of_version_three_is_read_without_its_time_stamps) {
    const auto trace = Trace::parse("fio version 3 iolog\r\n"
                                    "0 f add\r\n"
                                    "17 f read 4096 100\r\n",
                                    "log");
    ASSERT_TRUE(trace) << trace.error().text();
    EXPECT_EQ(operations_of(*trace), (std::vector<TraceOperation>{{Kind::read, 0, 4096, 100}}));
}

struct Malformed {
    const char* name;
    const char* text;
    const char* says;

    friend void PrintTo(const Malformed& input, std::ostream* stream) { *stream << input.name; }
};

class MalformedIolog : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedIolog, is_refused_with_its_name_the_line_the_byte_and_what_is_wrong) {
    const auto trace = Trace::parse(GetParam().text, "bad.log");
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().code, ErrorCode::malformed);
    EXPECT_THAT(trace.error().text(), HasSubstr("trace 'bad.log'"));
    EXPECT_THAT(trace.error().text(), HasSubstr(GetParam().says));
    EXPECT_EQ(trace.error().text().find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    EachRule, MalformedIolog,
    testing::Values(
        Malformed{"version_one", "fio version 1 iolog\n", "line 1 (byte 0): a heading"},
        Malformed{"no_action", "fio version 2 iolog\nf\n", "line 2 (byte 20): no action"},
        Malformed{"unknown_action", "fio version 2 iolog\nf add\nf erase 0 1\n", "line 3 (byte 26): an unknown action"},
        Malformed{"no_offset", "fio version 2 iolog\nf read\n", "line 2 (byte 20): an offset or a length"},
        Malformed{"no_length", "fio version 2 iolog\nf read 0\n", "missing or no number"},
        Malformed{"negative_offset", "fio version 2 iolog\nf read -1 8\n", "missing or no number"},
        Malformed{"number_of_65_bits", "fio version 2 iolog\nf read 18446744073709551616 8\n", "missing or no number"},
        Malformed{"number_with_letters", "fio version 2 iolog\nf read 4k 8\n", "missing or no number"},
        Malformed{"length_zero", "fio version 2 iolog\nf read 0 0\n", "out of bounds"},
        Malformed{"length_too_large", "fio version 2 iolog\nf read 0 2147483649\n", "out of bounds"},
        Malformed{"offset_that_wraps", "fio version 2 iolog\nf read 18446744073709551615 8\n", "out of bounds"},
        Malformed{"too_many_fields", "fio version 2 iolog\nf read 0 8 9\n", "too many fields"},
        Malformed{"no_time_stamp", "fio version 3 iolog\nf read 0 8\n", "a time stamp that is no number"},
        Malformed{"too_many_fields_after_the_stamp", "fio version 3 iolog\n1 f read 0 8 9\n", "too many fields"},
        Malformed{"nothing", "fio version 2 iolog\nf add\nf close\n", "holds no read and no write"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace page_map_lab
