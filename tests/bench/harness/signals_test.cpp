// A signal in the middle of a run ends it as it ends any program, and leaves nothing where the record would be.
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/bench/launch_in_child.hpp"
#include "tests/bench/harness/toy_workload.hpp"

namespace page_map_lab::bench {
namespace {

volatile int* volatile nobodys_address = reinterpret_cast<int*>(64);

/// The toy, whose second cell does `what` in the middle of its first repetition.
WorkloadDescription toy_that_meets(void (*what)()) {
    class Interrupted final : public Cell {
    public:
        explicit Interrupted(void (*event)()) : event_(event) {}
        Status set_up(Environment&) override { return {}; }
        Result<Sample> measure(Environment&, ThreadTeam& team, unsigned) override {
            const auto reports = team.run({{"player", 1}}, {}, [this](TeamMember& member) -> Status {
                member.start();
                event_();
                member.stop(1);
                return {};
            });
            return fail(ErrorCode::system, reports ? "the toy went on: make it stop" : reports.error().text());
        }
        CheckOutcome check(Environment&) override { return {true, "ff", ""}; }

    private:
        void (*event_)();
    };
    WorkloadDescription workload = toy_workload();
    workload.subjects[1].make = [what](const Parameters&) { return std::make_unique<Interrupted>(what); };
    return workload;
}

void expect_killed_by(int number, void (*what)()) {
    const TemporaryFolder folder;
    const std::string record = folder / "record.json";
    const Launch ended = launch(toy_that_meets(what), {"--record=" + record, "--repetitions=1", "--min-time-ms=1"});
    EXPECT_EQ(ended.exit, 128 + number) << ended.errors;
    EXPECT_TRUE(std::filesystem::is_empty(record.substr(0, record.rfind('/')))) << "something was left";
}

TEST(Signals, InterruptEndsARunAndLeavesNoRecord) {
    expect_killed_by(SIGINT, [] {
        ::kill(::getpid(), SIGINT);
        ::pause();
    });
}

TEST(Signals, TermEndsARunAndLeavesNoRecord) {
    expect_killed_by(SIGTERM, [] {
        ::kill(::getpid(), SIGTERM);
        ::pause();
    });
}

TEST(Signals, AFaultAtAForeignAddressEndsARunAndLeavesNoRecord) {
    expect_killed_by(SIGSEGV, [] { *nobodys_address = 1; });
}

}  // namespace
}  // namespace page_map_lab::bench
