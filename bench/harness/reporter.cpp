#include "bench/harness/reporter.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include <unistd.h>

namespace page_map_lab::bench {
namespace {

using Run = benchmark::BenchmarkReporter::Run;

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double deviation(const std::vector<double>& values) {
    const double centre = mean(values);
    double squares = 0;
    for (const double value : values) {
        squares += (value - centre) * (value - centre);
    }
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

/// The library's own aggregates, over rows that it believes to be of different benchmarks.
std::vector<Run> aggregates_of(const std::vector<Run>& all) {
    std::vector<double> real;
    std::vector<double> processor;
    for (const Run& row : all) {
        if (!row.error_occurred) {
            real.push_back(row.real_accumulated_time);
            processor.push_back(row.cpu_accumulated_time);
        }
    }
    if (real.size() < 2) {
        return {};
    }
    const auto aggregate = [&](const char* name, auto&& statistic, benchmark::StatisticUnit unit) {
        Run row = all.front();
        row.run_type = Run::RT_Aggregate;
        row.aggregate_name = name;
        row.aggregate_unit = unit;
        row.error_occurred = false;
        row.error_message.clear();
        row.repetition_index = Run::no_repetition_index;
        row.iterations = static_cast<benchmark::IterationCount>(real.size());
        row.real_accumulated_time = statistic(real) * static_cast<double>(real.size());
        row.cpu_accumulated_time = statistic(processor) * static_cast<double>(real.size());
        row.counters.clear();
        return row;
    };
    const auto variation = [](const std::vector<double>& values) {
        const double centre = mean(values);
        return centre == 0 ? 0 : deviation(values) / centre;
    };
    std::vector<Run> rows = {aggregate("mean", mean, benchmark::kTime), aggregate("median", median, benchmark::kTime),
                             aggregate("stddev", deviation, benchmark::kTime),
                             aggregate("cv", variation, benchmark::kPercentage)};
    // A percentage is reported as it is accumulated, not divided by the iterations.
    rows.back().real_accumulated_time /= static_cast<double>(real.size());
    rows.back().cpu_accumulated_time /= static_cast<double>(real.size());
    return rows;
}

}  // namespace

Reporter::Reporter(std::unique_ptr<benchmark::BenchmarkReporter> display, const RunningRow& row)
    : display_(std::move(display)), row_(row) {
    json_.SetOutputStream(&json_text_);
    json_.SetErrorStream(&json_text_);
}

bool Reporter::ReportContext(const Context& context) {
    display_->SetOutputStream(&GetOutputStream());
    // The library would say on stderr what the machine is (the record does), and that it is a debug build: Debian's
    // is an optimised one that merely lacks NDEBUG. Failures alone belong there.
    std::ostringstream unwanted;
    display_->SetErrorStream(&unwanted);
    const bool go_on = display_->ReportContext(context) && json_.ReportContext(context);
    display_->SetErrorStream(&GetErrorStream());
    return go_on;
}

void Reporter::ReportRuns(const std::vector<Run>& runs) {
    std::vector<Run> ours;
    for (const Run& run : runs) {
        if (run.run_type != Run::RT_Iteration) {
            continue;
        }
        Run& row = ours.emplace_back(run);
        row.run_name = {};
        row.run_name.function_name = row_.cell_name;
        row.family_index = static_cast<std::int64_t>(row_.cell);
        row.per_family_instance_index = 0;
        row.repetition_index = row_.repetition;
        row.repetitions = row_.repetitions;
        row.cpu_accumulated_time = row_.cpu_ns_per_operation * 1e-9 * static_cast<double>(row.iterations);
    }
    display_->ReportRuns(ours);
    if (rows_.size() <= row_.cell) {
        rows_.resize(row_.cell + 1);
    }
    rows_[row_.cell].insert(rows_[row_.cell].end(), ours.begin(), ours.end());
}

void Reporter::Finalize() {
    display_->Finalize();
    for (const auto& rows : rows_) {
        if (rows.empty()) {
            continue;
        }
        json_.ReportRuns(rows);
        if (const auto aggregates = aggregates_of(rows); !aggregates.empty()) {
            json_.ReportRuns(aggregates);
        }
    }
    json_.Finalize();
}

}  // namespace page_map_lab::bench
