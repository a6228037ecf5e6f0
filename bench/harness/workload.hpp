// How a workload asks: a description, and per variant or floor a class derived from Cell. Everything else (command
// line, order, threads, clocks, counters, record, exit codes) is the harness's.
//
// Virtual calls stand at phase borders only; what runs inside a measured loop is one template instantiation.
//
// A workload is a header: a function that returns the question, and its cells. Its program says which subjects are asked:
// add_variants (variant_subjects.hpp) takes them from the catalog. bench/bench_insert.cpp and bench/workloads/insert.hpp
// are the shortest example.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/harness/environment.hpp"
#include "bench/harness/parameters.hpp"
#include "bench/harness/sample.hpp"
#include "bench/harness/thread_team.hpp"
#include "impl/core/error.hpp"

namespace page_map_lab::bench {

/// One subject at one point of the sweep. Made cheaply; `set_up` is called once, before the first repetition, `measure`
/// once a repetition, `check` once after the last; the destructor gives everything back.
class Cell {
public:
    Cell() = default;
    Cell(const Cell&) = delete;
    Cell& operator=(const Cell&) = delete;
    virtual ~Cell() = default;

    /// Makes or borrows the fixture. Errors (or a thrown std::runtime_error) fail this cell with exit 2.
    virtual Status set_up(Environment& environment) = 0;

    /// One repetition. Errors fail this cell; a repetition that merely may not be used says so in Sample::excluded.
    virtual Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned repetition) = 0;

    /// Whether what was measured was also right: digest, sums, counts. A failure is exit 5.
    virtual CheckOutcome check(Environment& environment) = 0;

    /// Numbers about the cell as a whole, asked after the last repetition and before `check`.
    virtual std::vector<Metric> metrics() const { return {}; }

    /// The fixture this cell shares ("" for its own) and about how many bytes it takes: cells whose fixtures would not
    /// fit into memory together are run in groups.
    struct Footprint {
        std::string fixture;
        std::uint64_t bytes = 0;
    };
    virtual Footprint footprint() const { return {}; }
};

/// What can be measured: a variant, or a floor to hold it against.
struct Subject {
    std::string name;                                           ///< "layout:radix/read:rcu_qsbr", "floor:array"
    std::vector<std::pair<std::string, std::string>> policies;  ///< axis and policy, in name order; empty for a floor
    bool floor = false;
    std::function<std::unique_ptr<Cell>(const Parameters&)> make;
};

/// An axis that variants differ in, whether or not this workload feels it.
struct PolicyAxis {
    std::string name;
    std::string default_policy;  ///< what a name that leaves the axis out means
    std::vector<std::string> policies;
};

/// The one number that ranks a cell.
struct Score {
    std::string metric;  ///< "ns_per_operation"
    std::string unit;    ///< "ns"
    bool lower_is_better = true;
};

/// A workload: what it asks, of whom, and at which sizes.
struct WorkloadDescription {
    std::string name;
    std::string question;
    std::vector<std::string> axes{};        ///< the policies it can feel, in name order (variant_subjects.hpp fills it)
    std::vector<PolicyAxis> policy_axes{};  ///< every axis there is (variant_subjects.hpp fills it)
    std::vector<ParameterAxis> parameters;
    /// What the real size measures besides the product of its axes: each a few axes with the lists that take the place
    /// of their values, as --set writes them, so that options are not multiplied by each other. One that names an axis
    /// which the command line names is left out: there the user decides.
    std::vector<std::map<std::string, std::string>> variations{};
    Score score;
    std::vector<Subject> subjects{};
    bool takes_trace = false;
    std::size_t most_points = 100'000;  ///< of a sweep; a longer one is refused before any of it is made
    bool plants = false;  ///< whether its cells obey planted_parameter (planted.hpp)

    /// Whether this point of the sweep can be run at all. Errors: usage, naming the parameter and the way out.
    /// A sweep with an impossible point is refused before anything is measured (exit 2).
    std::function<Status(const Parameters&)> possible{};
    /// How many threads a point needs; by default its parameter "threads", or 1.
    std::function<unsigned(const Parameters&)> threads_needed{};
};

/// Adds a floor; a cell of it is made by `make`.
inline void add_floor(WorkloadDescription& workload, std::string name,
                      std::function<std::unique_ptr<Cell>(const Parameters&)> make) {
    workload.subjects.push_back({std::move(name), {}, true, std::move(make)});
}

/// Runs the workload as the command line says and writes the record. Returns the exit code: 0 ok; 2 usage, unreadable
/// or malformed input, nothing matched, a cell that could not be set up; 4 required counters unavailable; 5 a
/// correctness check failed. Every failure is one line on stderr.
int workload_main(int argc, char** argv, const WorkloadDescription& workload);

}  // namespace page_map_lab::bench
