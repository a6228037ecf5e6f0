// What a victim's log proves about an operation of the initiator, and about each of its flushes.
#include <gtest/gtest.h>

#include <sched.h>

#include <thread>

#include "bench/workloads/flush_times.hpp"
#include "bench/workloads/victim_evidence.hpp"

namespace page_map_lab::bench {
namespace {

using Moment = VictimClock::time_point;

Moment at_us(int time) { return Moment{} + std::chrono::microseconds(time); }

TimeSpan span_us(int started, int ended) { return {at_us(started), at_us(ended)}; }

bool was_running_during(const VictimLog& log, const TimeSpan& operation) { return VictimEvidence::supports(operation, {log}); }

VictimLog at_work(int started, int ended, std::vector<Absence> absences = {}) {
    VictimLog log;
    log.last_run = span_us(started, ended);
    log.absences = std::move(absences);
    return log;
}

TEST(VictimLogTest, SupportsAnOperationThatItWasAtWorkThroughout) {
    const VictimLog log = at_work(0, 10'000);
    EXPECT_TRUE(was_running_during(log, span_us(100, 200)));
    EXPECT_FALSE(was_running_during(log, span_us(9'900, 10'100))) << "it had ended";
    EXPECT_FALSE(was_running_during(log, span_us(-100, 100))) << "it had not begun";
}

TEST(VictimLogTest, DoesNotSupportAnOperationThatItWasAwayFrom) {
    const VictimLog log = at_work(0, 20'000, {{span_us(150, 180)}});
    EXPECT_FALSE(was_running_during(log, span_us(100, 200)));
    EXPECT_TRUE(was_running_during(log, span_us(181, 400)));
    EXPECT_TRUE(was_running_during(log, span_us(0, 6'000))) << "a two-hundredth of a long operation";
    EXPECT_FALSE(was_running_during(log, span_us(0, 5'999)));
}

TEST(VictimLogTest, ExcusesSleepInAFaultThatTheOperationCausedAndNoOther) {
    const VictimLog log = at_work(0, 1'000, {{span_us(150, 180), /*switched_out=*/true, /*slept_in_fault=*/true}});
    EXPECT_TRUE(was_running_during(log, span_us(100, 200)));
    EXPECT_FALSE(was_running_during(log, span_us(160, 260))) << "it slept before the operation began";
}

TEST(VictimLogTest, KnowsAnAbsenceHoweverShort) {
    VictimLog log;
    log.prepare();
    log.note(span_us(10, 18), {});
    log.note(span_us(20, 22), {.switched_out = true, .by_somebody = true});
    log.note(span_us(30, 60), {.served_a_fault = true});
    log.note(span_us(70, 91), {});
    ASSERT_EQ(log.absences.size(), 2U) << "an interrupt and a fault are none; a pause that nobody explains is one";
    EXPECT_EQ(log.absences[0].time.started, at_us(20));
    EXPECT_EQ(log.absences[1].time.started, at_us(70));
    EXPECT_EQ(log.stalls.count(), 4U);
}

TEST(VictimLogTest, ForgivesLongStallsWhereTheyAreUsual) {
    VictimLog log;
    for (int stall = 0; stall < 10; ++stall) {
        log.note(span_us(100 * stall, 100 * stall + 30), {});
    }
    log.note(span_us(1'000, 1'030), {.switched_out = true});
    log.note(span_us(1'100, 1'200), {});
    log.forgive_usual_stalls();
    ASSERT_EQ(log.absences.size(), 2U);
    EXPECT_EQ(log.absences[0].time.started, at_us(1'000));
    EXPECT_EQ(log.absences[1].time.started, at_us(1'100));
}

TEST(VictimLogTest, HoldsItAgainstAVictimThatSomebodyElseTookTheProcessorInAFault) {
    VictimLog log;
    log.note(span_us(0, 5), {.switched_out = true, .served_a_fault = true});
    log.note(span_us(10, 15), {.switched_out = true, .by_somebody = true, .served_a_fault = true});
    log.note(span_us(20, 25), {.switched_out = true});
    EXPECT_TRUE(log.absences[0].slept_in_fault);
    EXPECT_FALSE(log.absences[1].slept_in_fault);
    EXPECT_FALSE(log.absences[2].slept_in_fault) << "asleep, and in no fault of a region's";
}

TEST(VictimLogTest, ProvesNothingOnceAbsencesWereLost) {
    VictimLog log = at_work(0, 1'000'000);
    for (std::size_t absence = 0; absence <= VictimLog::most_absences; ++absence) {
        EXPECT_FALSE(log.absences_lost);
        log.note(span_us(10, 12), {.switched_out = true});
    }
    EXPECT_TRUE(log.absences_lost);
    EXPECT_FALSE(log.was_running_at(at_us(500)));
    EXPECT_FALSE(was_running_during(log, span_us(500, 600)));
}

constexpr int looks_of_a_run = 1000;

// A run that is over after so many looks, during one of which its thread sleeps.
struct NapsOnce {
    int look_of_the_nap;
    mutable int looks = 0;
    bool stopping() const {
        if (++looks == look_of_the_nap) {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        return looks >= looks_of_a_run;  // and stays over: whoever is stalled looks more than once
    }
};

TEST(Suffer, NoticesThatItsThreadWasSwitchedOutForAMoment) {
    VictimLog log;
    log.prepare();
    volatile std::uint64_t word = 0;
    suffer(log, NapsOnce{looks_of_a_run / 2}, [&](std::uint64_t) { return &word; });
    EXPECT_EQ(word, log.iterations);
    EXPECT_GE(log.absences.size(), 1U);
    EXPECT_LE(log.stalled_ns, log.duration_ns);
}

TEST(Suffer, NotesWhatKeptItFromSeeingTheEnd) {
    VictimLog log;
    log.prepare();
    volatile std::uint64_t word = 0;
    suffer(log, NapsOnce{looks_of_a_run}, [&](std::uint64_t) { return &word; });
    ASSERT_FALSE(log.absences.empty());
    EXPECT_TRUE(log.absences.back().switched_out);
    EXPECT_EQ(log.absences.back().time.ended, log.last_run.ended);
}

TEST(AwaitIncrement, WaitsForTheFirstIncrementAndNotForEver) {
    volatile std::uint64_t word = 0;
    const auto started = VictimClock::now();
    await_increment(&word, std::chrono::milliseconds(2));
    EXPECT_GE(VictimClock::now() - started, std::chrono::milliseconds(2));
    std::thread victim([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        __atomic_store_n(&word, 1, __ATOMIC_RELAXED);  // relaxed: only counts
    });
    await_increment(&word, std::chrono::minutes(1));
    EXPECT_EQ(__atomic_load_n(&word, __ATOMIC_RELAXED), 1U);  // relaxed: only counts
    victim.join();
}

FlushProof proof_of(const std::vector<Moment>& flushes, const TimeSpan& operation, const std::vector<VictimLog>& logs) {
    return {flushes, operation, logs};
}

TEST(FlushProofTest, ExpectsInterruptsOfFlushesThatFoundTheVictimAtWork) {
    const std::vector<VictimLog> logs = {at_work(0, 1'000, {{span_us(150, 180)}, {span_us(300, 310)}}), at_work(0, 200)};
    const FlushProof proof = proof_of({at_us(100), at_us(149), at_us(150), at_us(179), at_us(180), at_us(305)},
                                      span_us(100, 400), logs);
    EXPECT_EQ(proof.met, 3U + 5U);
    EXPECT_EQ(proof.missed, 3U + 1U);
    EXPECT_FALSE(proof.supports_its_time());
}

TEST(FlushProofTest, SupportsTheTimeOfAnOperationWithATenthMissing) {
    std::vector<Moment> flushes;
    for (int flush = 0; flush < 10; ++flush) {
        flushes.push_back(at_us(10 * flush));
    }
    const auto with_absences_until = [&](int ended, bool asleep) {
        return proof_of(flushes, span_us(0, 100), {at_work(0, 100, {{span_us(5, ended), /*switched_out=*/true, asleep}})});
    };
    EXPECT_TRUE(with_absences_until(11, false).supports_its_time());
    EXPECT_FALSE(with_absences_until(21, false).supports_its_time());
    EXPECT_TRUE(with_absences_until(21, true).supports_its_time()) << "in a fault that the operation caused";
    EXPECT_EQ(with_absences_until(21, true).met, 8U) << "and yet it received no interrupt there";
}

struct NoMachine {
    static Status set_access(std::byte*, std::size_t, Access) noexcept { return {}; }
};

TEST(FlushTimesTest, NotesWhatTakesAccessAwayOnItsThreadWhileItIsTold) {
    FlushTimes times(3);
    const auto started = VictimClock::now();
    const auto flush = [](Access access) { static_cast<void>(NotesFlushes<NoMachine>::set_access(nullptr, 0, access)); };
    flush(Access::none);
    {
        const FlushTimes::Scope noting(times);
        flush(Access::none);
        flush(Access::write);
        flush(Access::none);
        std::thread([&] { flush(Access::none); }).join();
    }
    flush(Access::none);
    EXPECT_EQ(times.during({started, VictimClock::now()}).size(), 2U);
    EXPECT_TRUE(times.has_room_for(1));
    EXPECT_FALSE(times.has_room_for(2));
}

TEST(UsualPauseTest, ExcusesWhatMostOperationsBringAndNothingLonger) {
    UsualPause usual;
    const TimeSpan operation = span_us(0, 1'000);
    const auto paused = [](int us) { return std::vector{at_work(0, 1'000), at_work(0, 1'000, {{span_us(100, 100 + us)}})}; };
    const auto supports = [&](const std::vector<VictimLog>& logs) {
        return VictimEvidence::supports(operation, logs, usual.longest_excused());
    };
    usual.note(operation, paused(300));
    usual.note(operation, paused(310));
    EXPECT_FALSE(supports(paused(300))) << "too few were seen";
    usual.note(operation, paused(900));
    EXPECT_TRUE(supports(paused(300)));
    EXPECT_TRUE(supports(paused(620)));
    EXPECT_FALSE(supports(paused(626))) << "twice the median, and more than the two-hundredth beyond";
    EXPECT_FALSE(supports({at_work(0, 1'000, {{span_us(100, 110), /*switched_out=*/true}})})) << "the kernel knows why";
    EXPECT_FALSE(supports({at_work(0, 900)})) << "it had ended";
    for (int operations = 0; operations < 4; ++operations) {
        usual.note(operation, paused(0));
    }
    EXPECT_FALSE(supports(paused(300))) << "most operations bring none";
}

ThreadReport victim(double shootdowns) {
    ThreadReport report{.role = "victim", .pinned = {}};
    report.counters = {{.name = "tlb_flush_remote_received", .event = "", .value = shootdowns}};
    return report;
}

TEST(VictimEvidenceTest, AddsVictimsUpAndSaysWhatIsMissing) {
    const VictimEvidence two({victim(3), victim(4)});
    EXPECT_EQ(two.shootdowns.value, 7);
    EXPECT_FALSE(two.function_calls.value);
    EXPECT_EQ(two.function_calls.why, "call_function_interrupts was not counted");
    EXPECT_FALSE(VictimEvidence({}).shootdowns.value);
}

TEST(VictimEvidenceTest, HoldsAbsencesAgainstVictimsWhateverElseFaulted) {
    EXPECT_FALSE(VictimEvidence::supports(span_us(100, 200), {at_work(0, 1'000), at_work(0, 1'000, {{span_us(100, 130)}})}));
    EXPECT_TRUE(VictimEvidence::supports(span_us(140, 200), {at_work(0, 1'000), at_work(0, 1'000, {{span_us(100, 130)}})}));
}

}  // namespace
}  // namespace page_map_lab::bench
