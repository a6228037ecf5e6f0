// The replay workload: every variant.
#include "bench/harness/variant_subjects.hpp"
#include "bench/workloads/replay.hpp"

int main(int argc, char** argv) {
    using namespace page_map_lab;
    using namespace page_map_lab::bench;
    WorkloadDescription workload = replay_question();
    add_variants<FeltAxes{.layout = true, .read = true, .shootdown = true, .mechanism = true}>(
        workload, []<class Variant>(const Parameters& parameters) {
            return std::make_unique<ReplayCell>(parameters,
                                                [](const ReplayShape& shape, std::shared_ptr<const Trace> trace,
                                                   std::shared_ptr<ReplayFile> file, Environment& environment) {
                                                    return std::make_unique<MapReplayTarget<Variant>>(
                                                        shape, std::move(trace), std::move(file), environment);
                                                });
        });
    return workload_main(argc, argv, workload);
}
