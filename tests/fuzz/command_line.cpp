// A benchmark binary's command line, one argument a line: options, variant names, parameter lists, the launch's JSON, and
// the sweep that they ask for.
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/harness/options.hpp"
#include "bench/harness/selection.hpp"
#include "tests/fuzz/expectations.hpp"

using namespace page_map_lab;
using namespace page_map_lab::bench;

namespace {

WorkloadDescription toy_workload() {
    WorkloadDescription workload;
    workload.name = "toy";
    workload.question = "How fast is nothing?";
    workload.axes = {"layout", "read"};
    workload.policy_axes = {{"layout", "radix", {"radix", "xarray"}}, {"read", "rcu", {"rcu", "spinlock"}}};
    workload.takes_trace = true;
    workload.most_points = 1000;  // the real bound takes a tenth of a second to fill, and has a test of its own
    for (const char* layout : {"radix", "xarray"}) {
        for (const char* read : {"rcu", "spinlock"}) {
            Subject& subject = workload.subjects.emplace_back();
            subject.name = std::string("layout:") + layout + "/read:" + read;
            subject.policies = {{"layout", layout}, {"read", read}};
        }
    }
    Subject& floor = workload.subjects.emplace_back();
    floor.name = "floor:array";
    floor.floor = true;
    workload.parameters = {ParameterAxis::numbers("pages", {16, 64}, {4096}), ParameterAxis::numbers("threads", {1}, {2}),
                           ParameterAxis::words("pattern", {"uniform", "zipf"}),
                           ParameterAxis::option("stride", 1, 1, 1 << 20)};
    return workload;
}

std::vector<std::string> arguments_of(std::string_view text) {
    std::vector<std::string> arguments{"bench_toy"};
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        arguments.emplace_back(text.substr(0, end));
        arguments.back().erase(std::min(arguments.back().find('\0'), arguments.back().size()));  // as no argv holds one
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return arguments;
}

template <class T>
bool answered(const Result<T>& result) {
    if (!result) {
        fuzz::expect_message(result.error());
    }
    return result.has_value();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    return ::freopen("/dev/null", "w", stdout) == nullptr;  // --help
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const WorkloadDescription workload = toy_workload();
    std::vector<std::string> arguments = arguments_of({reinterpret_cast<const char*>(data), size});
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    const auto parsed = parse_options(static_cast<int>(argv.size()), argv.data(), workload);
    if (!answered(parsed) || parsed->exit_now) {
        return 0;
    }
    const Options& options = parsed->options;
    const auto subjects = select_subjects(workload, options);
    if (answered(subjects)) {
        fuzz::expect(!subjects->empty(), "no subject, and no error");
    }
    if (options.beside) {
        answered(find_subject(workload, *options.beside));
    }
    const auto points = sweep(workload, options);
    if (answered(points)) {
        fuzz::expect(!points->empty() && points->size() <= workload.most_points, "a sweep without points, or with too many");
        for (const Parameters& point : *points) {
            fuzz::expect(point.number("pages") >= 1 && !point.text("pattern").empty(), "a point without its parameters");
        }
    }
    return 0;
}
