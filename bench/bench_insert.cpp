// The insert workload: every layout under every read path, and the array.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/insert.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    static constexpr FeltAxes felt{.layout = true, .read = true};
    WorkloadDescription workload = insert_question();
    add_variants<felt>(workload, []<class Variant>(const Parameters& parameters) {
        return std::make_unique<InsertCell<MapToPopulate<Variant>>>(parameters);
    });
    add_floor(workload, "floor:array",
              [](const Parameters& parameters) { return std::make_unique<InsertCell<ArrayToPopulate>>(parameters); });
    return workload_main(argc, argv, workload);
}
