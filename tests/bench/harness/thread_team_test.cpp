#include "bench/harness/thread_team.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace page_map_lab::bench {
namespace {

using namespace std::chrono_literals;

class ThreadTeamTest : public testing::Test {
protected:
    ThreadTeamTest() : topology_(*Topology::discover()), team_(topology_, PinningPlan{}, CounterSetName::none) {}
    unsigned several() const { return std::min<unsigned>(2, static_cast<unsigned>(topology_.cpus().size())); }

    Topology topology_;
    ThreadTeam team_;
};

TEST_F(ThreadTeamTest, RunsEachRoleOnItsOwnProcessorAndReportsInOrder) {
    const auto reports = team_.run({{"first", 1}, {"second", several() - 1}}, 0ns, [](TeamMember& member) -> Status {
        member.start();
        member.stop(member.index() + 10);
        return {};
    });
    ASSERT_TRUE(reports) << reports.error().text();
    ASSERT_EQ(reports->size(), several());
    EXPECT_EQ(reports->front().role, "first");
    EXPECT_EQ(reports->front().operations, 10U);
    EXPECT_EQ(reports->front().pinned.observed_cpu, reports->front().pinned.asked_cpu);
    EXPECT_FALSE(reports->front().counters.empty());
    if (several() == 2) {
        EXPECT_EQ(reports->back().role, "second");
        EXPECT_EQ(reports->back().operations, 11U);
        EXPECT_NE(reports->back().pinned.asked_cpu, reports->front().pinned.asked_cpu);
    }
}

TEST_F(ThreadTeamTest, CountsNoInterruptsWhereNoneWouldArrive) {
    team_.count_no_interrupts("nobody is interrupted");
    const auto reports = team_.run({{"any", 1}}, 0ns, [](TeamMember& member) -> Status {
        member.start();
        member.stop(1);
        return {};
    });
    ASSERT_TRUE(reports) << reports.error().text();
    for (const char* name : {"tlb_flush_remote_received", "call_function_interrupts"}) {
        const CounterReading* reading = find_reading(reports->front().counters, name);
        ASSERT_NE(reading, nullptr);
        EXPECT_FALSE(reading->value);
        EXPECT_EQ(reading->state, CounterState::absent);
        EXPECT_EQ(reading->why, "nobody is interrupted");
    }
    EXPECT_NE(find_reading(reports->front().counters, "task_clock_ns")->why, "nobody is interrupted");
}

TEST_F(ThreadTeamTest, NobodyLeavesTheStartBeforeAllHaveEnteredIt) {
    for (int round = 0; round < 50; ++round) {
        std::atomic<unsigned> prepared{0};
        std::atomic<bool> early{false};
        const unsigned threads = several();
        const auto reports = team_.run({{"any", threads}}, 0ns, [&](TeamMember& member) -> Status {
            if (member.index() == 0) {
                std::this_thread::sleep_for(1ms);
            }
            prepared.fetch_add(1, std::memory_order_relaxed);  // relaxed: the start orders
            member.start();
            if (prepared.load(std::memory_order_relaxed) != threads) {
                early.store(true, std::memory_order_relaxed);
            }
            member.stop(1);
            return {};
        });
        ASSERT_TRUE(reports);
        ASSERT_FALSE(early.load());
    }
}

TEST_F(ThreadTeamTest, StopsATimeBoundRunNotBeforeItsTime) {
    const auto before = std::chrono::steady_clock::now();
    const auto reports = team_.run({{"any", several()}}, 5ms, [](TeamMember& member) -> Status {
        std::uint64_t turns = 0;
        member.start();
        do {
            ++turns;
        } while (!member.stopping());
        member.stop(turns);
        return {};
    });
    // A member may come to the start, or hear of the end, later than the others: its own time says nothing.
    EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
    ASSERT_TRUE(reports);
    for (const auto& report : *reports) {
        EXPECT_GT(report.operations, 0U);
        EXPECT_GT(report.cpu_ns, 0U);
    }
}

TEST_F(ThreadTeamTest, AnyMemberCanEndTheRun) {
    const auto reports =
        team_.run({{"initiator", 1}, {"victim", several() - 1}}, 0ns, [](TeamMember& member) -> Status {
            member.start();
            if (member.role() == "initiator") {
                member.request_stop();
            }
            while (!member.stopping()) {
                std::this_thread::yield();
            }
            member.stop(1);
            return {};
        });
    EXPECT_TRUE(reports);
}

TEST_F(ThreadTeamTest, OneMembersErrorEndsTheRunAndIsReported) {
    for (const bool before_start : {true, false}) {
        for (const bool throws : {true, false}) {
            const auto reports = team_.run({{"any", several()}}, 10s, [&](TeamMember& member) -> Status {
                const auto give_up = [&]() -> Status {
                    if (throws) {
                        throw std::runtime_error("broken");
                    }
                    return fail(ErrorCode::io, "broken");
                };
                if (member.index() == 0 && before_start) {
                    return give_up();
                }
                member.start();
                if (member.index() == 0) {
                    return give_up();
                }
                while (!member.stopping()) {
                    std::this_thread::yield();
                }
                member.stop(1);
                return {};
            });
            ASSERT_FALSE(reports);
            EXPECT_EQ(reports.error().message, "broken");
        }
    }
}

TEST_F(ThreadTeamTest, MoreThreadsThanThePlanHasProcessorsAreRefused) {
    const auto possible = team_.can_run(static_cast<unsigned>(topology_.cpus().size()) + 1);
    ASSERT_FALSE(possible);
    EXPECT_EQ(possible.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace page_map_lab::bench
