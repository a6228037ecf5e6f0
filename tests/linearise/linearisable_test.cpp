// The judge itself: histories that could have happened one call after another, and histories that could not.
#include <gtest/gtest.h>

#include "tests/linearise/linearisable.hpp"

namespace page_map_lab::linearise {
namespace {

using enum Operation;
using enum Answer;

Event event(Operation operation, Answer answer, std::uint64_t called, std::uint64_t returned, std::uint64_t value = 0) {
    return {.operation = operation, .answer = answer, .value = value, .called = called, .returned = returned};
}

TEST(Linearisable, AnEmptyHistoryIs) { EXPECT_TRUE(judge({}).linearisable); }

TEST(Linearisable, WhatIsWrittenIsReadAfterARemovalAndALoad) {
    EXPECT_TRUE(judge({{event(load, page, 1, 2), event(write, done, 3, 4, 7), event(put, done, 5, 6),
                        event(remove, removed, 7, 8), event(find, nothing, 9, 10), event(load, page, 11, 12),
                        event(read, done, 13, 14, 7), event(put, done, 15, 16)}})
                    .linearisable);
}

TEST(Linearisable, CallsThatOverlapMayHaveHappenedInEitherOrder) {
    EXPECT_TRUE(judge({{event(load, page, 1, 10)}, {event(find, nothing, 2, 3), event(find, page, 4, 5)}}).linearisable);
    EXPECT_TRUE(judge({{event(load, page, 1, 2), event(put, done, 3, 12)}, {event(remove, removed, 4, 11)}}).linearisable);
}

TEST(Linearisable, ARemovalMayAlwaysDecline) {
    EXPECT_TRUE(judge({{event(load, page, 1, 2), event(put, done, 3, 4), event(remove, kept, 5, 6),
                        event(find, page, 7, 8)}})
                    .linearisable);
}

TEST(Linearisable, AStaleFindAfterARemovalIsNot) {
    const Verdict verdict = judge({{event(load, page, 1, 2), event(put, done, 3, 4), event(remove, removed, 5, 6)},
                                   {event(find, page, 7, 8)}});
    EXPECT_FALSE(verdict.linearisable);
    EXPECT_NE(verdict.why.find("find(0) = a page [7, 8]"), std::string::npos) << verdict.why;
}

TEST(Linearisable, TwoInsertsThatBothSucceedAreNot) {
    EXPECT_FALSE(judge({{event(insert, page, 1, 4)}, {event(insert, page, 2, 3)}}).linearisable);
    EXPECT_TRUE(judge({{event(insert, page, 1, 4)}, {event(insert, present, 2, 3)}}).linearisable);
}

TEST(Linearisable, AnInsertThatIsLostIsNot) {
    EXPECT_FALSE(judge({{event(insert, page, 1, 2)}, {event(find, nothing, 3, 4)}}).linearisable);
}

TEST(Linearisable, AnInsertIsNotBusyWhereThereIsAPage) {
    EXPECT_FALSE(judge({{event(load, page, 1, 2), event(insert, busy, 3, 4)}}).linearisable);
}

TEST(Linearisable, ARemovalUnderAReferenceIsNot) {
    EXPECT_FALSE(judge({{event(load, page, 1, 2)}, {event(remove, removed, 3, 4)}}).linearisable);
    EXPECT_FALSE(judge({{event(load, page, 1, 2), event(put, done, 5, 6)},
                        {event(find, page, 3, 4), event(remove, removed, 7, 8)}})
                     .linearisable);
}

TEST(Linearisable, ALostPutIsNot) {
    // Two references, one put: who then removes the page has taken it from its holder.
    EXPECT_FALSE(judge({{event(load, page, 1, 2), event(put, done, 3, 4), event(put, done, 5, 6)}}).linearisable);
}

TEST(Linearisable, AnOlderVersionIsNot) {
    EXPECT_FALSE(judge({{event(load, page, 1, 2), event(write, done, 3, 4, 7), event(write, done, 5, 6, 8)},
                        {event(find, page, 7, 8), event(read, done, 9, 10, 7)}})
                     .linearisable);
    EXPECT_TRUE(judge({{event(load, page, 1, 2), event(write, done, 3, 4, 7), event(write, done, 5, 10, 8)},
                       {event(find, page, 7, 8), event(read, done, 9, 11, 7)}})
                    .linearisable);
}

TEST(Linearisable, AValueThatNobodyWroteIsNot) {
    EXPECT_FALSE(judge({{event(load, page, 1, 2), event(read, done, 3, 4, 99)}}).linearisable);
}

TEST(Linearisable, ReadsThatSawTwoWritesInOppositeOrdersAreNot) {
    const ThreadHistory first{event(load, page, 1, 2), event(write, done, 10, 20, 7), event(read, done, 21, 22, 8)};
    const ThreadHistory second{event(find, page, 3, 4), event(write, done, 11, 19, 8), event(read, done, 23, 24, 7)};
    EXPECT_FALSE(judge({first, second}).linearisable);
}

TEST(Linearisable, ALongHistoryOfManyOverlapsIsSearchedOnce) {
    History history(4);
    for (std::uint64_t step = 0; step < 400; ++step) {
        for (ThreadHistory& thread : history) {
            thread.push_back(event(step % 2 == 0 ? load : put, step % 2 == 0 ? page : done, step * 10, step * 10 + 9));
        }
    }
    const Verdict verdict = judge(history);
    EXPECT_TRUE(verdict.linearisable);
    EXPECT_LT(verdict.points, 400u * 16 * 5);
}

TEST(History, IsTakenApartByPages) {
    const History whole{{{.operation = find, .answer = nothing, .page = 3}, {.operation = find, .answer = nothing, .page = 4}},
                        {{.operation = remove, .answer = kept, .page = 4}}};
    const History part = history_of(whole, 4);
    ASSERT_EQ(part.size(), 2u);
    EXPECT_EQ(part[0].size(), 1u);
    EXPECT_EQ(part[1].size(), 1u);
}

}  // namespace
}  // namespace page_map_lab::linearise
