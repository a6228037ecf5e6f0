// The shootdown workload: every policy, and the raw calls.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/shootdown.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    WorkloadDescription workload = shootdown_question();
    add_variants<FeltAxes{.shootdown = true, .mechanism = true}>(workload, []<class Variant>(const Parameters& parameters) {
        return std::make_unique<ShootdownCell<RevokeByPolicy<Variant>>>(parameters);
    });
    add_floor(workload, "floor:raw_mprotect_ranged", [](const Parameters& parameters) {
        return std::make_unique<ShootdownCell<RevokeRanged>>(parameters);
    });
    add_floor(workload, "floor:raw_mprotect_single", [](const Parameters& parameters) {
        return std::make_unique<ShootdownCell<RevokeSingle>>(parameters);
    });
    return workload_main(argc, argv, workload);
}
