#include "impl/core/error.hpp"

#include <cerrno>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/variants/failing_allocator.hpp"

namespace page_map_lab {
namespace {

TEST(Error, every_code_has_a_name_of_its_own) {
    std::set<std::string_view> names;
    for (int code = 0; code <= static_cast<int>(ErrorCode::system); ++code) {
        const auto name = to_string(static_cast<ErrorCode>(code));
        EXPECT_NE(name, "unknown") << code;
        EXPECT_TRUE(names.insert(name).second) << name;
    }
}

TEST(Error, text_is_the_message_and_the_code_where_there_is_none) {
    EXPECT_EQ((Error{ErrorCode::no_frame}.text()), "no_frame");
    EXPECT_EQ((Error{ErrorCode::usage, 0, "ask for less"}.text()), "ask for less");
}

TEST(Error, text_ends_in_the_words_of_the_system) {
    EXPECT_EQ((Error{ErrorCode::io, ENOSPC, "the store is full"}.text()),
              "the store is full (No space left on device)");
}

TEST(Error, fail_makes_the_failing_side_of_any_result) {
    const Result<int> number = fail(ErrorCode::past_end, "page 9");
    ASSERT_FALSE(number);
    EXPECT_EQ(number.error().code, ErrorCode::past_end);
    EXPECT_EQ(number.error().text(), "page 9");
    const Status status = fail(ErrorCode::try_again);
    ASSERT_FALSE(status);
    EXPECT_TRUE(status.error().message.empty());
    EXPECT_EQ(status.error().system_errno, 0);
    EXPECT_TRUE(Status(fail(ErrorCode::try_again, {}, 11)).error().message.empty());
}

// What must not throw reports its failed system calls this way, also when memory has run out.
TEST(Error, OfALiteralNeedsNoMemory) {
    Status failed;
    {
        const testing::Allocations none(0);
        failed = fail(ErrorCode::system, "a message that is longer than the place that a string has in itself", 12);
    }
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::system);
    EXPECT_EQ(failed.error().system_errno, 12);
    EXPECT_TRUE(failed.error().message.empty());
    EXPECT_EQ(Status(fail(ErrorCode::system, "what is wrong", 0)).error().text(), "what is wrong");
}

}  // namespace
}  // namespace page_map_lab
