// Pinning plans and memory policies: refused with a message, or text that parses to the same again and plans that give each
// thread a processor of its own.
#include <cstddef>
#include <cstdint>
#include <algorithm>
#include <string>

#include "impl/platform/memory_placement.hpp"
#include "impl/platform/pinning.hpp"
#include "impl/platform/topology.hpp"
#include "tests/fuzz/expectations.hpp"

using namespace page_map_lab;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Topology topology = *Topology::from_synthetic("package:2 numanode:1 core:4 pu:2");
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto plan = PinningPlan::parse(text)) {
        const auto again = PinningPlan::parse(plan->text());
        fuzz::expect(again && again->text() == plan->text(), "a plan's text is not that plan");
        for (const unsigned threads : {0U, 1U, 5U, 16U, 17U}) {
            if (auto cpus = plan->cpus_for(topology, threads)) {
                fuzz::expect(cpus->size() == threads, "not a processor for each thread");
                std::sort(cpus->begin(), cpus->end());
                fuzz::expect(std::unique(cpus->begin(), cpus->end()) == cpus->end(), "two threads on one processor");
            }
        }
    } else {
        fuzz::expect_message(plan.error());
    }
    if (const auto policy = MemoryPolicy::parse(text)) {
        const auto again = MemoryPolicy::parse(policy->text());
        fuzz::expect(again && again->text() == policy->text(), "a policy's text is not that policy");
        fuzz::expect(!policy->asked_nodes(topology).empty(), "a policy that asks for no node");
    } else {
        fuzz::expect_message(policy.error());
    }
    return 0;
}
