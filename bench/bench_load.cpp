// The load workload: every layout under every read path, and the store's bare read into an array.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/load.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    static constexpr FeltAxes felt{.layout = true, .read = true};
    WorkloadDescription workload = load_question();
    add_variants<felt>(workload, []<class Variant>(const Parameters& parameters) {
        return std::make_unique<LoadCell<MapToLoad<Variant>>>(parameters);
    });
    add_floor(workload, "floor:raw_read",
              [](const Parameters& parameters) { return std::make_unique<LoadCell<ArrayToLoad>>(parameters); });
    return workload_main(argc, argv, workload);
}
