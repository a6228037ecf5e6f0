#include "bench/harness/planted.hpp"

namespace page_map_lab::bench {

Result<WorkloadDescription> with_planted_twins(WorkloadDescription workload, const Options& options) {
    if (!options.planted_percents.empty() && !workload.plants) {
        return fail(ErrorCode::usage, "--plant: the " + workload.name + " workload has nothing to plant a slowdown in; "
                                      "the lookup workload has");
    }
    const std::vector<Subject> subjects = workload.subjects;
    for (const unsigned percent : options.planted_percents) {
        for (const Subject& subject : subjects) {
            if (subject.floor) {
                continue;
            }
            Subject twin = subject;
            twin.name += "/planted:" + std::to_string(percent);
            twin.make = [make = subject.make, percent](Parameters parameters) {
                parameters.set(planted_parameter, std::uint64_t{percent}, false);
                return make(parameters);
            };
            workload.subjects.push_back(std::move(twin));
        }
    }
    return workload;
}

}  // namespace page_map_lab::bench
