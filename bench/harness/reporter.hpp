// Google Benchmark's reporting, told about cells: one row per cell and repetition, in whatever order they ran.
//
// We register each repetition as a benchmark of its own, so that a seed decides the order; this reporter puts the rows
// back together as repetitions of one benchmark, with their aggregates, for the library's compare tool.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace page_map_lab::bench {

/// Which cell and repetition the library is running now, and what only we know of it. Set by the running benchmark.
struct RunningRow {
    std::size_t cell = 0;
    std::string cell_name;
    unsigned repetition = 0;
    unsigned repetitions = 1;
    double cpu_ns_per_operation = 0;
};

class Reporter : public benchmark::BenchmarkReporter {
public:
    /// Prints rows through `display` as they come; `row` is read when the library reports.
    Reporter(std::unique_ptr<benchmark::BenchmarkReporter> display, const RunningRow& row);

    bool ReportContext(const Context& context) override;
    void ReportRuns(const std::vector<Run>& runs) override;
    void Finalize() override;

    /// The library's JSON document with all rows and aggregates. Meaningful after Finalize.
    std::string json() const { return json_text_.str(); }

private:
    std::unique_ptr<benchmark::BenchmarkReporter> display_;
    const RunningRow& row_;
    benchmark::JSONReporter json_;
    std::ostringstream json_text_;
    std::vector<std::vector<Run>> rows_;  // by cell
};

/// Writes a Reporter's document into the file of --benchmark_out.
class FileReporter : public benchmark::BenchmarkReporter {
public:
    explicit FileReporter(const Reporter& source) : source_(source) {}
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>&) override {}
    void Finalize() override {
        GetOutputStream() << source_.json() << std::flush;
        failed_ = !GetOutputStream().good();
    }
    bool failed() const { return failed_; }

private:
    const Reporter& source_;
    bool failed_ = false;
};

}  // namespace page_map_lab::bench
