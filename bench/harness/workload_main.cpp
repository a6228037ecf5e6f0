#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include <benchmark/benchmark.h>
#include <unistd.h>

#include "bench/harness/heap_padding.hpp"
#include "bench/harness/options.hpp"
#include "bench/harness/planted.hpp"
#include "bench/harness/record.hpp"
#include "bench/harness/record_file.hpp"
#include "bench/harness/reporter.hpp"
#include "bench/harness/session.hpp"
#include "bench/harness/workload.hpp"
#include "impl/platform/nursery.hpp"
#include "impl/platform/shootdown_probe.hpp"

namespace page_map_lab::bench {
namespace {

enum Exit : int { exit_ok = 0, exit_usage = 2, exit_no_counters = 4, exit_wrong = 5 };

int complain(const WorkloadDescription& workload, int code, const std::string& what) {
    std::string line = what;
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::fflush(stdout);
    std::fprintf(stderr, "bench_%s: %s\n", workload.name.c_str(), line.c_str());
    return code;
}

/// The value of a flag of the library, which keeps them to itself.
std::optional<std::string> library_flag(const Options& options, const std::string& name) {
    std::optional<std::string> value;
    for (const auto& argument : options.google_benchmark) {
        if (argument == "--" + name) {
            value = "true";
        } else if (argument.starts_with("--" + name + "=")) {
            value = argument.substr(name.size() + 3);
        }
    }
    return value;
}

bool is_set(const std::optional<std::string>& flag) {
    return flag && *flag != "false" && *flag != "0";
}

/// Hands the library its flags. Errors: usage, for one that it does not know.
Status initialize_library(const Options& options) {
    std::vector<std::string> words = options.google_benchmark;
    std::vector<char*> arguments;
    for (auto& word : words) {
        arguments.push_back(word.data());
    }
    int count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    benchmark::Initialize(&count, arguments.data());
    if (count > 1) {
        return fail(ErrorCode::usage, std::string(arguments[1]) +
                                          " is no flag of Google Benchmark, or its value is wrong: "
                                          "--help names the common ones");
    }
    // The constructor of the context reads it; it is the library's only record of argv[0].
    static const std::string executable = options.command.front();
    benchmark::BenchmarkReporter::Context::executable_name = executable.c_str();
    return {};
}

std::unique_ptr<benchmark::BenchmarkReporter> make_display(const Options& options) {
    const std::string format = library_flag(options, "benchmark_format").value_or("console");
    if (format == "json") {
        return std::make_unique<benchmark::JSONReporter>();
    }
    const bool color = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nullptr;
    return std::make_unique<benchmark::ConsoleReporter>(color ? benchmark::ConsoleReporter::OO_ColorTabular
                                                              : benchmark::ConsoleReporter::OO_Tabular);
}

/// Prints the names the library lists, without what it appends to them.
int list_cells(const WorkloadDescription& workload, Session& session, const Options& options) {
    session.register_benchmarks(true);
    Reporter reporter(make_display(options), session.running_row());
    std::ostringstream listed;
    reporter.SetOutputStream(&listed);
    const std::size_t matched = benchmark::RunSpecifiedBenchmarks(&reporter);
    std::istringstream lines(listed.str());
    for (std::string line; std::getline(lines, line);) {
        std::cout << line.substr(0, line.rfind("/iterations:")) << "\n";
    }
    std::cout << std::flush;
    return matched != 0 ? exit_ok : complain(workload, exit_usage, "no cell matches --benchmark_filter: widen it");
}

/// The first thing that went wrong decides the exit code's sentence; a wrong result outranks a cell that never ran.
int judge(const WorkloadDescription& workload, const std::deque<CellResult>& cells) {
    const auto failed = [](const CellResult& cell) { return cell.failed.has_value(); };
    const auto wrong = [](const CellResult& cell) { return !cell.failed && !cell.check.passed; };
    const auto and_more = [&](auto&& which) {
        const auto count = std::count_if(cells.begin(), cells.end(), which);
        return count > 1 ? " (and " + std::to_string(count - 1) + " more cells)" : std::string();
    };
    if (const auto cell = std::find_if(cells.begin(), cells.end(), wrong); cell != cells.end()) {
        return complain(workload, exit_wrong,
                        cell->plan().name + and_more(wrong) + ": the check failed: " + cell->check.message +
                            ": do not use its numbers");
    }
    if (const auto cell = std::find_if(cells.begin(), cells.end(), failed); cell != cells.end()) {
        return complain(workload, exit_usage, cell->plan().name + and_more(failed) + ": " + *cell->failed);
    }
    return exit_ok;
}

int run(const WorkloadDescription& workload, const Options& options) {
    const HeapPadding padding(options.heap_padding_bytes);
    if (auto probed = options.record.empty() ? Status{} : probe_record_file(options.record); !probed) {
        return complain(workload, exit_usage, probed.error().text());
    }
    const auto topology = Topology::discover();
    if (!topology) {
        return complain(workload, exit_usage, topology.error().text());
    }
    Environment environment(*topology, options.memory);
    environment.seed = options.seed;
    environment.minimum_time = std::chrono::milliseconds(options.minimum_time_ms);
    environment.data_directory = options.data_directory;
    environment.trace = options.trace;
    environment.real_size = options.real_size;
    TimelineMarks timeline;
    environment.timeline = options.timeline.empty() ? nullptr : &timeline;
    if (const auto first = options.plan.cpus_for(*topology, 1)) {
        environment.home_node = topology->find_cpu(first->front()).value_or(LogicalCpu{}).numa_node;
    }
    std::unique_ptr<ProfilerControl> profiler;
    ThreadTeam team(*topology, options.plan, options.counters);
    if (!options.profiler_control.empty()) {
        auto opened = ProfilerControl::open(options.profiler_control);
        if (!opened) {
            return complain(workload, exit_usage, opened.error().text());
        }
        profiler = *std::move(opened);
        team.profile_with(*profiler);
    }
    Session session(workload, options, environment, team);
    if (auto planned = session.plan(); !planned) {
        return complain(workload, exit_usage, planned.error().text());
    }
    if (auto initialized = initialize_library(options); !initialized) {
        return complain(workload, exit_usage, initialized.error().text());
    }
    if (is_set(library_flag(options, "benchmark_list_tests"))) {
        return list_cells(workload, session, options);
    }
    HostFacts host = read_host_facts(*topology);
    host.tlb_mechanism = in_the_light_of(probe_shootdowns(*topology), std::move(host.tlb_mechanism));
    if (host.tlb_mechanism.value == without_interrupts) {
        team.count_no_interrupts("shootdowns interrupt nobody here: " + host.tlb_mechanism.why);
    }
    if (options.require_counters) {
        if (const std::string why = team.why_counters_unusable(); !why.empty()) {
            return complain(workload, exit_no_counters,
                            "--counters " + std::string(to_string(options.counters)) + ": " + why);
        }
    }

    if (const std::string file = library_flag(options, "benchmark_out").value_or(""); !file.empty()) {
        if (std::FILE* probe = std::fopen(file.c_str(), "a")) {
            std::fclose(probe);
        } else {
            return complain(workload, exit_usage,
                            "--benchmark_out=" + file +
                                " cannot be written: name a file in a folder "
                                "that is there");
        }
    }
    RecordParts parts;
    parts.workload = &workload;
    parts.options = &options;
    parts.host = std::move(host);
    parts.environment = read_environment_facts();
    parts.started = utc_now();
    session.register_benchmarks(false);
    Reporter reporter(make_display(options), session.running_row());
    FileReporter file_reporter(reporter);
    const bool json_file = library_flag(options, "benchmark_out").value_or("") != "" &&
                           library_flag(options, "benchmark_out_format").value_or("json") == "json";
    const std::size_t matched = benchmark::RunSpecifiedBenchmarks(&reporter, json_file ? &file_reporter : nullptr);
    session.finish();
    parts.finished = utc_now();
    if (matched == 0) {
        return complain(workload, exit_usage, "no cell matches --benchmark_filter: --benchmark_list_tests lists them");
    }
    if (!options.record.empty()) {
        parts.google_benchmark = nlohmann::ordered_json::parse(reporter.json());
        // The library calls itself a debug build wherever NDEBUG was not defined for it, as in Debian's optimised
        // package.
        parts.google_benchmark["context"]["library_build_type_why"] =
            "Debian's libbenchmark is optimised and only lacks NDEBUG; it runs outside every measured loop";
        parts.memory = judge_placement(options.memory, options.memory.asked_nodes(*topology),
                                       environment.observed_pages_by_node());
        parts.cells = &session.results();
        // A file's name may be any bytes, and is no reason to lose what was measured.
        const std::string text =
            make_record(parts).dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
        if (auto written = write_record_file(options.record, text); !written) {
            return complain(workload, exit_usage, written.error().text());
        }
    }
    if (!options.timeline.empty()) {
        if (auto written = timeline.write(options.timeline); !written) {
            return complain(workload, exit_usage, written.error().text());
        }
    }
    if (file_reporter.failed()) {
        return complain(workload, exit_usage, "--benchmark_out cannot be written: name a file with room left");
    }
    return judge(workload, session.results());
}

}  // namespace

int workload_main(int argc, char** argv, const WorkloadDescription& workload) {
    const auto parsed = parse_options(argc, argv, workload);
    if (!parsed) {
        return complain(workload, exit_usage, parsed.error().text());
    }
    if (parsed->exit_now) {
        return *parsed->exit_now;
    }
    if (parsed->options.describe) {
        std::cout << describe(workload).dump(1) << std::endl;
        return exit_ok;
    }
    // Workers are forked from a process without threads, so before anything makes one; nobody else pays for it.
    if (parsed->options.lists.contains("processes")) {
        if (Status started = Nursery::start(); !started) {
            return complain(workload, exit_usage, started.error().text());
        }
    }
    try {
        const auto measured = with_planted_twins(workload, parsed->options);
        return measured ? run(*measured, parsed->options) : complain(workload, exit_usage, measured.error().text());
    } catch (const std::exception& problem) {
        return complain(workload, exit_usage, problem.what());
    }
}

}  // namespace page_map_lab::bench
