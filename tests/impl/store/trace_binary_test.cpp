#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <vector>

#include "impl/store/trace.hpp"
#include "tests/impl/store/trace_builder.hpp"

namespace page_map_lab {
namespace {

using Kind = TraceOperation::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

// Two files; every field that can be left out is left out once.
std::string valid_trace() {
    return TraceBuilder()
        .text("PMLTRACE")
        .number(1)
        .number(2)
        .name("accounts.db")
        .name("accounts.db-journal")
        .number(6)
        .number(0 | 16)             // read of file 0 at 0
        .number(4096)               //   4096 bytes
        .number(0)                  // the next 4096
        .number(1 | 4 | 8 | 16)     // write
        .number(1)                  //   to file 1
        .number(2 * 512)            //   512 on
        .number(12)                 //   12 bytes
        .number(2)                  // sync of file 1
        .number(1 | 4 | 8)          // write
        .number(0)                  //   to file 0
        .number(2 * 8192 - 1)       //   8192 back, with the 4096 bytes of before
        .number(1 | 4)              // write
        .number(1)                  //   to file 1, right behind the last
        .finished();
}

TEST(BinaryTrace, holds_the_operations_that_were_written) {
    const auto trace = Trace::parse(valid_trace(), "t");
    ASSERT_TRUE(trace) << trace.error().text();
    EXPECT_EQ(trace->files()[0].name, "accounts.db");
    EXPECT_EQ(trace->files()[1].name, "accounts.db-journal");
    const auto operations = trace->operations();
    EXPECT_EQ(std::vector<TraceOperation>(operations.begin(), operations.end()),
              (std::vector<TraceOperation>{{Kind::read, 0, 0, 4096},
                                           {Kind::read, 0, 4096, 4096},
                                           {Kind::write, 1, 512, 12},
                                           {Kind::sync, 1, 0, 0},
                                           {Kind::write, 0, 0, 4096},
                                           {Kind::write, 1, 524, 12}}));
}

TEST(BinaryTrace, cut_short_anywhere_is_malformed) {
    const std::string whole = valid_trace();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto trace = Trace::parse(whole.substr(0, size), "short.trace");
        ASSERT_FALSE(trace) << size;
        EXPECT_EQ(trace.error().code, ErrorCode::malformed);
        EXPECT_THAT(trace.error().text(), HasSubstr("'short.trace'"));
        EXPECT_THAT(trace.error().text(), HasSubstr("byte "));
        EXPECT_EQ(trace.error().text().find('\n'), std::string::npos);
    }
}

TEST(BinaryTrace, any_changed_bit_is_malformed) {
    const std::string whole = valid_trace();
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string changed = whole;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
        const auto trace = Trace::parse(changed, "changed.trace");
        ASSERT_FALSE(trace) << bit;
        EXPECT_EQ(trace.error().code, ErrorCode::malformed);
    }
}

TEST(BinaryTrace, with_bytes_behind_its_end_is_malformed) {
    const auto trace = Trace::parse(valid_trace() + "x", "t");
    ASSERT_FALSE(trace);
    EXPECT_THAT(trace.error().text(), HasSubstr("1 bytes more"));
}

struct Malformed {
    const char* name;
    std::string bytes;
    const char* says;

    friend void PrintTo(const Malformed& input, std::ostream* stream) { *stream << input.name; }
};

class MalformedTrace : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedTrace, is_refused_with_its_name_the_byte_and_what_is_wrong) {
    const auto trace = Trace::parse(GetParam().bytes, "bad.trace");
    ASSERT_FALSE(trace);
    EXPECT_EQ(trace.error().code, ErrorCode::malformed);
    EXPECT_THAT(trace.error().text(), HasSubstr("trace 'bad.trace' is malformed at byte "));
    EXPECT_THAT(trace.error().text(), HasSubstr(GetParam().says));
}

TraceBuilder one_file() { return TraceBuilder::with_one_file(); }
TraceBuilder heading() { return TraceBuilder().text("PMLTRACE").number(1); }

// The file "a" begins at byte 10 and its operations' number at byte 12, the first operation at byte 13.
INSTANTIATE_TEST_SUITE_P(
    EachRule, MalformedTrace,
    testing::Values(
        Malformed{"empty", "", "byte 0: it is neither"}, Malformed{"other_text", "hello", "byte 0: it is neither"},
        Malformed{"later_version", TraceBuilder().text("PMLTRACE").number(2).finished(), "byte 8: format version 2"},
        Malformed{"too_many_files", heading().number(1 << 30).finished(), "byte 9: it claims 1073741824 files"},
        Malformed{"number_of_65_bits", heading().text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").finished(),
                  "byte 9: the number of files does not fit 64 bits"},
        Malformed{"endless_number", heading().text("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80").finished(),
                  "does not fit 64 bits"},
        Malformed{"empty_name", heading().number(1).name("").number(0).finished(), "byte 10: a file name of 0 bytes"},
        Malformed{"endless_name", heading().number(1).number(~std::uint64_t{0}).finished(), "byte 10: a file name of"},
        Malformed{"zero_in_name", heading().number(1).name(std::string_view("a\0b", 3)).number(0).finished(),
                  "byte 10: a file name that holds a zero byte"},
        Malformed{"same_name_twice", heading().number(2).name("a").name("a").number(0).finished(), "there twice"},
        Malformed{"operations_that_are_not_there", one_file().number(1 << 20).finished(),
                  "byte 12: it claims 1048576 operations"},
        Malformed{"operations_beyond_memory", one_file().number(~std::uint64_t{0}).finished(), "byte 12: it claims"},
        Malformed{"no_file", heading().number(0).number(1).number(2).finished(), "operations, but no file"},
        Malformed{"unknown_kind", one_file().number(1).number(3).finished(),
                  "byte 13: an operation that starts with 3"},
        Malformed{"unknown_bits", one_file().number(1).number(32 | 16).number(1).finished(), "starts with 48"},
        Malformed{"sync_with_a_length", one_file().number(1).number(2 | 16).number(1).finished(), "starts with 18"},
        Malformed{"sync_with_a_place", one_file().number(1).number(2 | 8).number(2).finished(), "starts with 10"},
        Malformed{"file_that_is_not_there", one_file().number(1).number(4 | 16).number(1).number(8).finished(),
                  "byte 13: an operation on file 1 of 1"},
        Malformed{"length_zero", one_file().number(1).number(16).number(0).finished(), "an operation of 0 bytes"},
        Malformed{"first_length_left_out", one_file().number(1).number(0).finished(), "an operation of 0 bytes"},
        Malformed{"length_too_large", one_file().number(1).number(16).number((1ULL << 31) + 1).finished(),
                  "an operation of 2147483649 bytes"},
        Malformed{"offset_below_zero", one_file().number(1).number(8 | 16).number(1).number(8).finished(),
                  "an operation at offset 18446744073709551615"},
        Malformed{"offset_too_large", one_file().number(1).number(8 | 16).number(2ULL << 56).number(8).finished(),
                  "an operation at offset 72057594037927936"}),
    [](const auto& test) { return test.param.name; });

TEST(BinaryTrace, without_a_read_or_write_is_refused) {
    for (const std::string& bytes : {one_file().number(0).finished(), one_file().number(1).number(2).finished()}) {
        const auto trace = Trace::parse(bytes, "t");
        ASSERT_FALSE(trace);
        EXPECT_THAT(trace.error().text(), HasSubstr("holds no read and no write"));
    }
}

TEST(BinaryTrace, the_largest_offset_and_length_are_accepted) {
    const auto trace = Trace::parse(one_file()
                                        .number(1)
                                        .number(8 | 16)
                                        .number(2 * (Trace::max_offset_bytes - Trace::max_length_bytes))
                                        .number(Trace::max_length_bytes)
                                        .finished(),
                                    "t");
    ASSERT_TRUE(trace) << trace.error().text();
    EXPECT_EQ(trace->operations()[0].end_bytes(), Trace::max_offset_bytes);
    EXPECT_EQ(trace->pages_touched(), Trace::max_length_bytes / page_size);
}

}  // namespace
}  // namespace page_map_lab
