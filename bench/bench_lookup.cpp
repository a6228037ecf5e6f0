// The lookup workload: every layout under every read path, and the array.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/lookup.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    static constexpr FeltAxes felt{.layout = true, .read = true};
    WorkloadDescription workload = lookup_question();
    const auto make = []<class Variant>(const Parameters& parameters) {
        return std::make_unique<LookupCell<ResidentMap<Variant>>>(variant_name<Variant>(felt), parameters);
    };
    add_variants<felt>(workload, make);
    add_unprotected_floors<felt>(workload, make);
    add_floor(workload, "floor:array", [](const Parameters& parameters) {
        return std::make_unique<LookupCell<ResidentArray>>("floor:array", parameters);
    });
    add_floor(workload, "floor:array_between_stores", [](const Parameters& parameters) {
        return std::make_unique<LookupCell<ResidentArrayBetweenStores>>("floor:array_between_stores", parameters);
    });
    return workload_main(argc, argv, workload);
}
