// Topology, placement, counters and threads: each degrades or says what is wrong, and never ends the program.
#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "bench/harness/thread_team.hpp"
#include "impl/platform/counters.hpp"
#include "impl/platform/host_facts.hpp"
#include "impl/platform/interrupts.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/node_arena.hpp"
#include "impl/platform/pinning.hpp"
#include "impl/platform/topology.hpp"
#include "impl/store/trace.hpp"
#include "tests/failures/scenario.hpp"
#include "tests/impl/store/temporary_folder.hpp"

namespace page_map_lab::failures {
namespace {

/// Where no call can fail but an allocation whose failure is thrown.
constexpr Documented only_bad_alloc{{}, Throws::bad_alloc};
constexpr Documented discovers{{ErrorCode::no_memory, ErrorCode::system}, Throws::bad_alloc};
constexpr Documented reads_a_description{{ErrorCode::no_memory, ErrorCode::system, ErrorCode::usage}, Throws::bad_alloc};
constexpr Documented binds_memory{{ErrorCode::no_memory, ErrorCode::system, ErrorCode::denied}, Throws::bad_alloc};
constexpr Documented reads_a_trace{{ErrorCode::denied, ErrorCode::io, ErrorCode::system}, Throws::bad_alloc};
constexpr Documented runs_threads{{ErrorCode::system}, Throws::bad_alloc};

/// The files that this process has open, but for events: one of each tracepoint stays open for the life of the process.
int open_files_but_events() {
    int count = 0;
    for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        count += std::filesystem::read_symlink(file, gone).string().find("perf_event") == std::string::npos;
    }
    return count;
}

/// A reading either has a value or says why not.
void expect_reasons(const std::vector<CounterReading>& readings) {
    for (const CounterReading& reading : readings) {
        if (reading.state != CounterState::ok && reading.why.empty()) {
            broken("counter " + reading.name + " has no value and no reason");
        }
    }
}

void place(const Topology& topology) {
    constexpr std::size_t bytes = 16 * page_size;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (const char* text : {"local", "interleave", "node:0"}) {
        const MemoryPolicy policy = *attempt("parse a memory policy", only_bad_alloc, [&] { return MemoryPolicy::parse(text); });
        attempt("apply a memory policy", binds_memory, [&] { return policy.apply(topology, memory, bytes); });
        attempt_throwing("observe a placement", [&] {
            const MemoryOutcome outcome = observe_placement(policy, topology, memory, bytes);
            if (outcome.state != PlacementState::ok && outcome.why.empty()) {
                broken("a placement is not ok and does not say why");
            }
        });
        attempt_throwing("make a bound arena", [&] {
            NodeArena arena({.numa_node = 0, .topology = &topology});
            void* node = arena.allocate(512, 512);
            arena.release(node, 512, 512);
        }, Throws::bad_alloc_or_runtime_error);
    }
    ::munmap(memory, bytes);
}

void pin(const Topology& topology) {
    for (const char* text : {"compact", "scatter", "per_node", "list:0"}) {
        const PinningPlan plan = *attempt("parse a pinning plan", only_bad_alloc, [&] { return PinningPlan::parse(text); });
        const auto cpus = attempt("plan a pinning", only_bad_alloc, [&] { return plan.cpus_for(topology, 1); });
        attempt_throwing("pin a thread", [&] {
            const PinOutcome outcome = pin_this_thread(topology, cpus->front());
            if (outcome.state != PlacementState::ok && (outcome.why.empty() || !injected())) {
                broken("a thread is not pinned, and nothing says why: " + outcome.why);
            }
        });
    }
}

void count() {
    for (const CounterSetName set : {CounterSetName::tlb, CounterSetName::interrupts}) {
        attempt_throwing("count on a thread", [&] {
            ThreadCounters counters = ThreadCounters::open(set);
            counters.start();
            counters.stop();
            expect_reasons(counters.read());
        });
        attempt_throwing("describe counters", [&] { describe(set); });
    }
    attempt_throwing("count on a processor", [] {
        CpuCounters counters = CpuCounters::open(0);
        counters.start();
        counters.stop();
        expect_reasons(counters.read());
    });
    attempt_throwing("count phases", [] {
        const PhaseCounters counters = PhaseCounters::open();
        const PhaseSample before = counters.sample();
        expect_reasons(counters.readings(before, counters.sample()));
    });
}

/// For want of memory a fact is not missing: that is thrown.
void expect_known(const std::vector<Fact>& before, const std::vector<Fact>& now) {
    for (std::size_t position = 0; position < before.size(); ++position) {
        if (before[position].value && !now.at(position).value && injected_into("operator new")) {
            broken("the fact " + before[position].name + " is missing: " + now[position].why);
        }
    }
}

void read_facts(const Topology& topology) {
    const HostFacts host_before = read_host_facts(topology);
    attempt_throwing("read the host's facts", [&] { expect_known(host_before.facts, read_host_facts(topology).facts); });
    const std::vector<Fact> environment_before = read_environment_facts();
    attempt_throwing("read the environment's facts", [&] { expect_known(environment_before, read_environment_facts()); });
}

/// A row that this machine has is never missing.
void count_interrupts() {
    const InterruptSnapshot before = *InterruptSnapshot::take();
    const auto now = attempt("count interrupts", only_bad_alloc, [] { return InterruptSnapshot::take(); });
    for (const std::string_view row : InterruptSnapshot::rows) {
        if (now->total(row).has_value() != before.total(row).has_value()) {
            broken("interrupts were counted without the row " + std::string(row));
        }
    }
}

void read_a_trace() {
    const TemporaryFolder folder;
    const std::string path =
        folder.make_file("log", "fio version 2 iolog\nfile add\nfile write 0 8192\nother read 4096 100\nfile sync 0 0\n");
    const auto trace = attempt("read a trace", reads_a_trace, [&] { return Trace::load(path); });
    if (trace->page_accesses() != 3) {
        broken("a trace was read wrongly");
    }
}

/// Two roles of one thread each, which meet at the barriers: a thread that could not be made leaves nobody waiting.
void run_threads(const Topology& topology) {
    const PinningPlan plan;
    bench::ThreadTeam team(topology, plan, CounterSetName::none);
    const unsigned threads = std::min<unsigned>(2, static_cast<unsigned>(topology.cpus().size()));
    std::vector<bench::Role> roles;
    for (unsigned thread = 0; thread < threads; ++thread) {
        roles.push_back({thread == 0 ? "first" : "second", 1});
    }
    const auto body = [](bench::TeamMember& member) -> Status {
        member.start();
        while (!member.stopping()) {
            std::this_thread::yield();
        }
        member.stop(1);
        return {};
    };
    const auto reports = attempt("run a team", runs_threads, [&] { return team.run(roles, std::chrono::milliseconds(1), body); });
    if (reports->size() != threads) {
        broken("a team of " + std::to_string(threads) + " has " + std::to_string(reports->size()) + " reports");
    }
}

/// What is read, counted or bound leaves no file open.
template <class Run>
void leaving_no_file_open(Run&& run) {
    const int files = open_files_but_events();
    run();
    if (open_files_but_events() != files) {
        broken("a file descriptor was left open");
    }
}

}  // namespace

void describe_the_machine() {
    leaving_no_file_open([] {
        const Topology topology = *attempt("discover the topology", discovers, [] { return Topology::discover(); });
        attempt("read a synthetic topology", reads_a_description,
                [] { return Topology::from_synthetic("package:2 numanode:1 core:2 pu:2"); });
        read_facts(topology);
    });
}

void count_events() {
    leaving_no_file_open([] {
        count();
        count_interrupts();
    });
}

void place_memory_and_threads() {
    const Topology topology = Topology::discover().value();
    leaving_no_file_open([&] {
        place(topology);
        pin(topology);
    });
}

void run_a_team() {
    const Topology topology = Topology::discover().value();
    ThreadCounters::open(CounterSetName::none);  // whether counters can be set up is count_events' question
    leaving_no_file_open([&] { run_threads(topology); });
}

void read_a_log() {
    leaving_no_file_open([] { read_a_trace(); });
}

}  // namespace page_map_lab::failures
