// What a victim's log proves about an operation of the initiator.
#include <gtest/gtest.h>

#include "bench/workloads/victim_evidence.hpp"

namespace page_map_lab::bench {
namespace {

TimeSpan span_us(int started, int ended) {
    const VictimClock::time_point zero{};
    return {zero + std::chrono::microseconds(started), zero + std::chrono::microseconds(ended)};
}

TEST(VictimLogTest, SupportsAnOperationThatItWasAtWorkThroughout) {
    VictimLog log;
    log.last_run = span_us(0, 10'000);
    EXPECT_TRUE(log.was_running_during(span_us(100, 200)));
    EXPECT_FALSE(log.was_running_during(span_us(9'900, 10'100))) << "it had ended";
    EXPECT_FALSE(log.was_running_during(span_us(-100, 100))) << "it had not begun";
}

TEST(VictimLogTest, DoesNotSupportAnOperationThatItSleptThrough) {
    VictimLog log;
    log.last_run = span_us(0, 10'000);
    log.pauses = {span_us(150, 300)};
    EXPECT_FALSE(log.was_running_during(span_us(100, 200)));
    EXPECT_TRUE(log.was_running_during(span_us(301, 400)));
    EXPECT_TRUE(log.was_running_during(span_us(0, 3'000))) << "a twentieth of a long operation";
    EXPECT_FALSE(log.was_running_during(span_us(0, 2'999)));
}

ThreadReport victim(double shootdowns, double page_faults) {
    ThreadReport report{.role = "victim", .pinned = {}};
    report.counters = {{.name = "tlb_flush_remote_received", .event = "", .value = shootdowns},
                       {.name = "page_faults", .event = "", .value = page_faults}};
    return report;
}

TEST(VictimEvidenceTest, AddsVictimsUpAndSaysWhatIsMissing) {
    const VictimEvidence two({victim(3, 0), victim(4, 0)});
    EXPECT_EQ(two.shootdowns.value, 7);
    EXPECT_FALSE(two.function_calls.value);
    EXPECT_EQ(two.function_calls.why, "call_function_interrupts was not counted");
    EXPECT_FALSE(VictimEvidence({}).shootdowns.value);
}

TEST(VictimEvidenceTest, HoldsPausesAgainstVictimsThatDidNotFault) {
    std::vector<VictimLog> logs(1);
    logs[0].last_run = span_us(0, 1'000);
    logs[0].pauses = {span_us(100, 300)};
    EXPECT_FALSE(VictimEvidence({victim(1, 0)}).supports(span_us(100, 200), logs));
    EXPECT_TRUE(VictimEvidence({victim(1, 1)}).supports(span_us(100, 200), logs));
}

}  // namespace
}  // namespace page_map_lab::bench
