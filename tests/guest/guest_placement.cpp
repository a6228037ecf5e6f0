// Whether every pinning plan and every memory policy does on this machine what it says: applied, and read back from the
// kernel (sched_getaffinity, move_pages). Prints what was not so, and one line of counts.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "impl/core/page_index.hpp"
#include "impl/platform/memory_placement.hpp"
#include "impl/platform/pinning.hpp"
#include "impl/platform/topology.hpp"

namespace {

using namespace page_map_lab;

struct Count {
    unsigned kept = 0;
    unsigned all = 0;

    void add(const std::string& name, const std::string& wrong) {
        ++all;
        kept += wrong.empty();
        if (!wrong.empty()) {
            std::printf("%s: %s\n", name.c_str(), wrong.c_str());
        }
    }
};

/// Runs `threads` threads by the plan and reads back where each may run. Returns what is wrong, or nothing.
std::string try_plan(const Topology& topology, const PinningPlan& plan, unsigned threads) {
    const Result<std::vector<unsigned>> cpus = plan.cpus_for(topology, threads);
    if (!cpus) {
        return cpus.error().text();
    }
    std::vector<PinOutcome> outcomes(threads);
    std::vector<unsigned> ran_on(threads);
    {
        std::vector<std::jthread> team;
        for (unsigned number = 0; number < threads; ++number) {
            team.emplace_back([&, number] {
                outcomes[number] = pin_this_thread(topology, (*cpus)[number]);
                ran_on[number] = static_cast<unsigned>(sched_getcpu());
            });
        }
    }
    std::set<unsigned> nodes;
    std::set<unsigned> packages;
    for (unsigned number = 0; number < threads; ++number) {
        const PinOutcome& outcome = outcomes[number];
        if (outcome.state != PlacementState::ok || outcome.observed_cpu != (*cpus)[number] ||
            ran_on[number] != (*cpus)[number]) {
            return "thread " + std::to_string(number) + " was to run on " + std::to_string((*cpus)[number]) +
                   " and ran on " + std::to_string(ran_on[number]) + " " + outcome.why;
        }
        nodes.insert(topology.find_cpu(ran_on[number])->numa_node);
        packages.insert(topology.find_cpu(ran_on[number])->package);
    }
    const std::size_t most = std::min<std::size_t>(threads, topology.numa_nodes().size());
    if (plan.kind() == PinningPlan::Kind::per_node && nodes.size() != most) {
        return std::to_string(threads) + " threads are on " + std::to_string(nodes.size()) + " nodes, not on " +
               std::to_string(most);
    }
    if (plan.kind() == PinningPlan::Kind::scatter &&
        packages.size() != std::min(threads, topology.machine_packages())) {
        return std::to_string(threads) + " threads are in " + std::to_string(packages.size()) + " packages";
    }
    if (plan.kind() == PinningPlan::Kind::compact && threads == 2 && packages.size() != 1) {
        return "2 threads are in 2 packages";
    }
    return {};
}

/// Applies the policy to memory, touches it from a thread on `cpu`, and asks the kernel where its pages are.
std::string try_policy(const Topology& topology, const MemoryPolicy& policy, unsigned cpu, int sharing) {
    constexpr std::size_t bytes = 256 * page_size;
    std::string wrong;
    std::jthread([&] {
        if (const PinOutcome pinned = pin_this_thread(topology, cpu); pinned.state != PlacementState::ok) {
            wrong = pinned.why;
            return;
        }
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            wrong = "no memory";
            return;
        }
        if (const Status applied = policy.apply(topology, memory, bytes); !applied) {
            wrong = applied.error().text();
        } else {
            std::memset(memory, 1, bytes);
            const MemoryOutcome outcome = observe_placement(policy, topology, memory, bytes);
            if (outcome.state != PlacementState::ok) {
                wrong = "from processor " + std::to_string(cpu) + ": " + outcome.why;
            } else if (policy.kind() == MemoryPolicy::Kind::local &&
                       (outcome.observed_pages_by_node.size() != 1 ||
                        outcome.observed_pages_by_node.begin()->first != topology.find_cpu(cpu)->numa_node)) {
                wrong = "processor " + std::to_string(cpu) + " got pages of another node";
            }
        }
        munmap(memory, bytes);
    }).join();
    return wrong;
}

}  // namespace

int main() {
    const Result<Topology> topology = Topology::discover();
    if (!topology) {
        std::fprintf(stderr, "guest_placement: %s\n", topology.error().text().c_str());
        return 1;
    }
    const auto all_cpus = static_cast<unsigned>(topology->cpus().size());
    std::string backwards = "list:";
    for (unsigned number = all_cpus; number-- > 0;) {
        backwards += std::to_string(topology->cpus()[number].os_index) + (number == 0 ? "" : ",");
    }
    Count plans;
    for (const std::string& text : {std::string("compact"), std::string("scatter"), std::string("per_node"), backwards}) {
        const Result<PinningPlan> plan = PinningPlan::parse(text);
        std::string wrong = plan ? "" : plan.error().text();
        for (unsigned threads = 1; threads <= all_cpus && wrong.empty(); ++threads) {
            wrong = try_plan(*topology, *plan, threads);
        }
        plans.add(text, wrong);
    }
    std::vector<std::string> policy_texts{"local", "interleave"};
    for (const unsigned node : topology->numa_nodes()) {
        policy_texts.push_back("node:" + std::to_string(node));
    }
    Count policies;
    for (const std::string& text : policy_texts) {
        const Result<MemoryPolicy> policy = MemoryPolicy::parse(text);
        std::string wrong = policy ? "" : policy.error().text();
        for (const LogicalCpu& cpu : topology->cpus()) {
            for (const int sharing : {MAP_PRIVATE, MAP_SHARED}) {
                wrong = wrong.empty() ? try_policy(*topology, *policy, cpu.os_index, sharing) : wrong;
            }
        }
        policies.add(text, wrong);
    }
    std::printf("placement: cpus %u, nodes %zu, plans %u of %u, policies %u of %u\n", all_cpus,
                topology->numa_nodes().size(), plans.kept, plans.all, policies.kept, policies.all);
    return plans.kept == plans.all && policies.kept == policies.all ? 0 : 1;
}
