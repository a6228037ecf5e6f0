#include "bench/workloads/phase_clock.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <thread>

#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

using RemovalPhase = page_map_lab::Phase;

std::uint64_t time_of(const PhaseClock& clock, RemovalPhase phase) {
    return clock.phases()[static_cast<std::size_t>(phase)].duration_ns;
}

/// A removal that waits for a lock in one of its passes for as long as it says.
void remove_and_wait(PhaseObserver& observer, std::chrono::milliseconds wait) {
    PhaseMarks marks(&observer);
    marks.enter(RemovalPhase::mark);
    marks.enter(RemovalPhase::revoke);
    {
        const PhaseMarks::Waiting waits(&marks, RemovalPhase::lock);
        std::this_thread::sleep_for(wait);
    }
    marks.enter(RemovalPhase::flush);
}

TEST(PhaseClock, TimeThatIsWaitedIsInThePhaseOfWaitingAndGrowsWithIt) {
    PhaseClock clock;
    remove_and_wait(clock, std::chrono::milliseconds(2));
    EXPECT_GE(time_of(clock, RemovalPhase::lock), 2'000'000u);
    remove_and_wait(clock, std::chrono::milliseconds(3));
    EXPECT_GE(time_of(clock, RemovalPhase::lock), 5'000'000u) << "summed over removals";
    EXPECT_EQ(time_of(clock, RemovalPhase::grace_period), 0u);
    for (const bench::Phase& phase : clock.phases()) {
        EXPECT_EQ(phase.operations, 2u) << phase.name;
    }
}

TEST(PhaseClock, MarksEachPartOfAPassThatHadToWait) {
    PhaseClock clock;
    remove_and_wait(clock, std::chrono::milliseconds(0));
    remove_and_wait(clock, std::chrono::milliseconds(0));
    TimelineMarks timeline;
    timeline.begin_run();
    clock.mark(timeline, 7);
    const TemporaryFolder folder;
    ASSERT_TRUE(timeline.write((folder / "marks.json").string()));
    const auto marks = nlohmann::json::parse(std::ifstream(folder / "marks.json"))["marks"];
    std::vector<std::string> names;
    for (std::size_t index = 0; index < marks.size(); ++index) {
        names.push_back(marks[index]["name"]);
        if (index != 0) {
            EXPECT_EQ(marks[index]["started_ns"], marks[index - 1]["ended_ns"]);
        }
    }
    EXPECT_THAT(names, testing::ElementsAre("mark", "revoke", "lock", "revoke", "flush")) << "of the last removal";
}

TEST(PhaseClock, ARemovalThatDidNotGetItsTurnIsNone) {
    PhaseClock clock;
    { const PhaseMarks marks(&clock); }
    EXPECT_TRUE(clock.phases().empty());
}

TEST(PhaseCounterMarks, APhaseThatNeverCameHasNoCountersAndIsNotSaidToLackThem) {
    PhaseClock clock;
    PhaseCounterMarks marks;
    marks.open();
    remove_and_wait(clock, std::chrono::milliseconds(0));
    remove_and_wait(marks, std::chrono::milliseconds(0));
    std::vector<bench::Phase> phases = clock.phases();
    marks.add_to(phases);
    for (const bench::Phase& phase : phases) {
        const bool came = phase.name == "mark" || phase.name == "revoke" || phase.name == "lock" || phase.name == "flush";
        EXPECT_EQ(phase.counters.empty(), !came) << phase.name;
        EXPECT_EQ(phase.counted_operations, came ? 1u : 0u) << phase.name;
    }
}

}  // namespace
}  // namespace page_map_lab::bench
