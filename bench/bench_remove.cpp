// The remove workload: every variant, memory given back or kept, and the raw calls.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/remove.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    static constexpr FeltAxes felt{.layout = true, .read = true, .shootdown = true, .mechanism = true};
    WorkloadDescription workload = remove_question();
    for (const bool keep : {false, true}) {
        add_variants<felt>(
            workload,
            [keep]<class Variant>(const Parameters& parameters) {
                return std::make_unique<RemoveCell>(
                    parameters, keep, [](const RemoveShape& shape, Environment& environment) {
                        return std::make_unique<MapRemoveTarget<Variant>>(shape, environment);
                    });
            },
            keep ? "keep" : "return");
    }
    for (const bool one_call_a_page : {false, true}) {
        add_floor(workload, one_call_a_page ? "floor:raw_mprotect_single" : "floor:raw_mprotect_ranged",
                  [one_call_a_page](const Parameters& parameters) {
                      return std::make_unique<RemoveCell>(
                          parameters, /*keep_memory=*/true,
                          [one_call_a_page](const RemoveShape& shape,
                                            Environment& environment) -> std::unique_ptr<RemoveTarget> {
                              return shape.processes != 0
                                         ? nullptr
                                         : std::make_unique<RawRemoveTarget>(shape, one_call_a_page, environment);
                          });
                  });
    }
    return workload_main(argc, argv, workload);
}
