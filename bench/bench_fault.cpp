// The fault workload: every layout under every read path, and who gives rights; and the raw call. Nothing is shot down.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/fault.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    static constexpr FeltAxes felt{.layout = true, .read = true, .mechanism = true};
    WorkloadDescription workload = fault_question();
    add_variants<felt>(workload, []<class Variant>(const Parameters& parameters) {
        return std::make_unique<FaultCell>(parameters, [](std::uint64_t pages, Environment& environment) {
            return std::make_unique<MapFaultTarget<Variant>>(pages, environment);
        });
    });
    add_floor(workload, "floor:raw_fault", [](const Parameters& parameters) {
        return std::make_unique<FaultCell>(parameters, [](std::uint64_t pages, Environment& environment) {
            return std::make_unique<RawFaultTarget>(pages, environment);
        });
    });
    return workload_main(argc, argv, workload);
}
