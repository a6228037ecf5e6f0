// A signal in the middle of a run ends it as it ends any program, and leaves nothing where the record would be
// and no worker process.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bench/workloads/worker_team.hpp"
#include "impl/platform/file_descriptor.hpp"
#include "impl/store/memory_store.hpp"
#include "tests/bench/harness/toy_workload.hpp"
#include "tests/bench/launch_in_child.hpp"
#include "variants/any_page_map.hpp"
#include "variants/catalog.hpp"

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
    workload.parameters.push_back(ParameterAxis::option("processes", 0, 0, 2));
    workload.subjects[1].make = [what](const Parameters&) { return std::make_unique<Interrupted>(what); };
    return workload;
}

/// Returns what it said on standard error.
std::string expect_killed_by(int number, void (*what)(), std::vector<std::string> arguments = {}) {
    const TemporaryFolder folder;
    const std::string record = folder / "record.json";
    arguments.insert(arguments.end(), {"--record=" + record, "--repetitions=1", "--min-time-ms=1"});
    const Launch ended = launch(toy_that_meets(what), arguments);
    EXPECT_EQ(ended.exit, 128 + number) << ended.errors;
    EXPECT_TRUE(std::filesystem::is_empty(record.substr(0, record.rfind('/')))) << "something was left";
    return ended.errors;
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

// An address of ours where the access is not allowed: the page map cannot serve it, and the run ends as by any crash.
TEST(Signals, AWriteToARegionThatMayOnlyBeReadEndsARunAndLeavesNoRecord) {
    const std::string said = expect_killed_by(SIGSEGV, [] {
        MemoryStore store(8);
        const auto map = all_variants().front().make({.size_pages = 8, .frame_count = 8, .store = &store});
        const auto registration = map->register_thread();
        const Result<AnyRegion*> region = map->add_region({.pages = {0, 8}, .protection = Access::read});
        volatile std::byte& byte = *map->address_of(*region, 3);
        std::fprintf(stderr, "read %d\n", static_cast<int>(byte));
        std::fflush(stderr);
        byte = std::byte{1};
    });
    EXPECT_NE(said.find("read "), std::string::npos) << said;
}

/// Whether the process has ended, within a minute.
bool has_ended(pid_t process) {
    const FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    pollfd watched{handle.number(), POLLIN, 0};
    return !handle || ::poll(&watched, 1, 60'000) == 1;
}

TEST(Signals, InterruptLeavesNoWorkerProcess) {
    const auto interrupted_with_workers = [] {
        WorkerTeam<BaseVariant::Machine> team(2);
        for (unsigned number = 0; number < team.size(); ++number) {
            team.worker(number).start([](WorkerSide&) { ::pause(); });
            std::fprintf(stderr, "worker %d\n", team.worker(number).process());
        }
        std::fflush(stderr);
        ::kill(::getpid(), SIGINT);
        ::pause();
    };
    const std::string said = expect_killed_by(SIGINT, interrupted_with_workers, {"--processes=2"});
    std::istringstream words(said);
    unsigned workers = 0;
    for (std::string word; words >> word;) {
        if (pid_t process = 0; word == "worker" && words >> process) {
            ++workers;
            EXPECT_TRUE(has_ended(process)) << "worker " << process << " goes on without its owner";
        }
    }
    EXPECT_EQ(workers, 2u) << said;
}

}  // namespace
}  // namespace page_map_lab::bench
