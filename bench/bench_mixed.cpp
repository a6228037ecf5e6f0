// The mixed workload: every variant.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/mixed.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    WorkloadDescription workload = mixed_question();
    add_variants<FeltAxes{.layout = true, .read = true, .shootdown = true, .mechanism = true}>(
        workload, []<class Variant>(const Parameters& parameters) {
            return std::make_unique<MixedCell>(parameters, [](const MixedShape& shape, Environment& environment) {
                return std::make_unique<MapMixedTarget<Variant>>(shape, environment);
            });
        });
    return workload_main(argc, argv, workload);
}
