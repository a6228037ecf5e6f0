#include "bench/harness/options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace page_map_lab::bench {
namespace {

/// Takes the library's own flags out of the command line. Two of them mean something of ours and become that.
std::vector<std::string> split_off_library_flags(std::vector<std::string>& arguments, Options& options) {
    std::vector<std::string> ours;
    for (auto& argument : arguments) {
        const bool of_library = argument.starts_with("--benchmark_") || argument.starts_with("--v=");
        if (argument.starts_with("--benchmark_repetitions=")) {
            ours.push_back("--repetitions=" + argument.substr(argument.find('=') + 1));
        } else {
            (of_library ? options.google_benchmark : ours).push_back(std::move(argument));
        }
    }
    return ours;
}

Status take_parameter_lists(const std::vector<std::string>& settings, const WorkloadDescription& workload,
                            std::map<std::string, std::string>& lists) {
    for (const auto& setting : settings) {
        const std::size_t equals = setting.find('=');
        if (equals == std::string::npos) {
            return fail(ErrorCode::usage, "--set " + setting + ": write it as --set key=value,value");
        }
        lists[setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    for (const auto& [name, list] : lists) {
        const auto known = std::any_of(workload.parameters.begin(), workload.parameters.end(),
                                       [&, &wanted = name](const auto& axis) { return axis.name == wanted; });
        if (!known) {
            return fail(ErrorCode::usage, "the " + workload.name + " workload has no parameter '" + name +
                                              "': --describe lists those it has");
        }
    }
    return {};
}

Status check_launch(const std::string& text) {
    if (!text.empty() && !nlohmann::json::parse(text, nullptr, false).is_object()) {
        return fail(ErrorCode::malformed, "--launch is not a JSON object: leave it out when running by hand");
    }
    return {};
}

Status check_files(const Options& options, const WorkloadDescription& workload) {
    if (!options.trace.empty()) {
        if (!workload.takes_trace) {
            return fail(ErrorCode::usage,
                        "--trace: the " + workload.name + " workload replays no trace; bench_replay does");
        }
        // Looked at, not opened: opening a named pipe would wait for its other end.
        if (::access(options.trace.c_str(), R_OK) != 0) {
            return fail(ErrorCode::usage, "--trace " + options.trace + " cannot be read: name a trace file", errno);
        }
    }
    if (!std::filesystem::is_directory(options.data_directory)) {
        return fail(ErrorCode::usage, "--data-dir " + options.data_directory + " is not a folder: make it first");
    }
    return {};
}

}  // namespace

Result<ParsedOptions> parse_options(int argc, char** argv, const WorkloadDescription& workload) {
    ParsedOptions parsed;
    Options& options = parsed.options;
    options.command.assign(argv, argv + argc);
    options.google_benchmark.emplace_back(argv[0]);
    std::vector<std::string> arguments(argv + 1, argv + argc);
    std::vector<std::string> ours = split_off_library_flags(arguments, options);
    std::reverse(ours.begin(), ours.end());  // as CLI11 wants a vector

    CLI::App app(workload.question, "bench_" + workload.name);
    app.footer(
        "Google Benchmark's flags (--benchmark_filter=REGEX, --benchmark_list_tests, --benchmark_out=FILE, ...) "
        "are taken, too.");
    std::string size = "smoke";
    std::string plan = "compact";
    std::string memory = "local";
    std::string counters = "none";
    std::vector<std::string> settings;
    std::map<std::string, std::string> shorthands;
    std::error_code ignored;
    options.data_directory = std::filesystem::temp_directory_path(ignored).string();

    const auto each_once = [](CLI::Option* option) {
        option->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    };
    app.add_flag("--describe", options.describe, "Print what this workload asks, of whom and at which sizes, as JSON");
    each_once(app.add_option("--variant", options.variants, "Variant or floor to measure: a name or a shell glob"));
    app.add_flag("--floors", options.floors, "Measure the floors, too");
    app.add_option("--beside", options.beside, "Measure this one right before or after each repetition of each cell");
    app.add_option("--size", size, "Sizes to sweep")->check(CLI::IsMember({"smoke", "real"}));
    for (const char* name : {"pages", "threads", "pattern", "processes"}) {
        app.add_option("--" + std::string(name), shorthands[name], "Short for --set " + std::string(name) + "=LIST");
    }
    each_once(app.add_option("--set", settings, "A parameter's values: key=value,value (numbers: 4096, 4Ki, 1..4)"));
    app.add_option("--plan", plan, "Where threads go: compact, scatter, per_node, list:0,2");
    app.add_option("--memory", memory, "Where memory comes from: local, interleave, node:N");
    app.add_option("--counters", counters, "Hardware counters: cycles, tlb, cache, numa, interrupts, none");
    app.add_flag("--require-counters", options.require_counters, "Exit 4 unless the counters can be counted");
    app.add_option("--repetitions", options.repetitions, "How often each cell is measured")
        ->check(CLI::Range(1, 100000));
    app.add_option("--min-time-ms", options.minimum_time_ms, "How long a repetition runs")
        ->check(CLI::Range(1, 3600000));
    app.add_option("--seed", options.seed, "Decides keys, order and where in their pages nodes lie");
    app.add_option("--heap-padding", options.heap_padding_bytes, "Bytes to take before set-up, so that the heap lies elsewhere")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 30));
    // Not in --help: a planted twin is no variant to compare others with.
    app.add_option("--plant", options.planted_percents)->delimiter(',')->check(CLI::Range(0, 100))->group("");
    app.add_option("--trace", options.trace, "The trace to replay");
    app.add_option("--data-dir", options.data_directory, "Where files may be made");
    app.add_option("--record", options.record, "Write the record of this launch here");
    app.add_option("--profiler-control", options.profiler_control,
                   "Sample only what is measured: the FIFOs COMMANDS,ANSWERS of perf record --control");
    app.add_option("--timeline", options.timeline, "Write marks for a timeline here: phases and stalls, as JSON");
    app.add_option("--launch", options.launch, "A JSON object that is copied into the record");
    try {
        app.parse(ours);
    } catch (const CLI::CallForHelp&) {
        std::fputs(app.help().c_str(), stdout);
        parsed.exit_now = 0;
        return parsed;
    } catch (const CLI::ParseError& problem) {
        return fail(ErrorCode::usage, std::string(problem.what()) + ": --help lists the options");
    }
    options.real_size = size == "real";
    for (auto& [name, list] : shorthands) {
        if (!list.empty()) {
            options.lists[name] = std::move(list);
        }
    }
    auto parsed_plan = PinningPlan::parse(plan);
    auto parsed_memory = MemoryPolicy::parse(memory);
    auto parsed_counters = parse_counter_set(counters);
    for (const Status& status :
         {take_parameter_lists(settings, workload, options.lists), check_launch(options.launch),
          check_files(options, workload), parsed_plan ? Status{} : Status{tl::unexpected(parsed_plan.error())},
          parsed_memory ? Status{} : Status{tl::unexpected(parsed_memory.error())},
          parsed_counters ? Status{} : Status{tl::unexpected(parsed_counters.error())}}) {
        if (!status) {
            return tl::unexpected(status.error());
        }
    }
    options.plan = *parsed_plan;
    options.memory = *parsed_memory;
    options.counters = *parsed_counters;
    return parsed;
}

}  // namespace page_map_lab::bench
