#include "bench/harness/session.hpp"

#include <algorithm>
#include <exception>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "impl/platform/interrupts.hpp"

namespace page_map_lab::bench {
namespace {

/// Half of what the system could give without swapping.
std::uint64_t memory_budget_bytes() {
    std::ifstream file("/proc/meminfo");
    for (std::string name; file >> name;) {
        if (name == "MemAvailable:") {
            std::uint64_t kibibytes = 0;
            file >> kibibytes;
            return kibibytes * 1024 / 2;
        }
    }
    return std::numeric_limits<std::uint64_t>::max();
}

/// A failure however it is told, as one sentence.
template <class Work>
std::optional<std::string> failure_of(Work&& work) {
    try {
        if (const auto outcome = work(); !outcome) {
            return outcome.error().text();
        }
        return std::nullopt;
    } catch (const std::bad_alloc&) {
        return "out of memory: measure fewer pages or variants at a time";
    } catch (const std::exception& problem) {
        return problem.what();
    }
}

double cpu_ns_per_operation(const std::vector<ThreadReport>& threads) {
    double cpu_ns = 0;
    double operations = 0;
    for (const auto& thread : threads) {
        cpu_ns += static_cast<double>(thread.cpu_ns);
        operations += static_cast<double>(thread.operations);
    }
    return operations == 0 ? 0 : cpu_ns / operations;
}

/// The processors' interrupts over one repetition, of those processors that worked in it: everybody's, not only ours.
class InterruptSpan {
public:
    InterruptSpan() : before_(InterruptSnapshot::take()) {}
    void add_to(Sample& sample) const {
        const auto after = InterruptSnapshot::take();
        if (!before_ || !after) {
            return;
        }
        std::set<unsigned> used;
        for (const auto& thread : sample.threads) {
            used.insert(thread.pinned.asked_cpu);
        }
        for (auto& reading : after->since(*before_).readings()) {
            if (!reading.cpu || used.contains(*reading.cpu)) {
                sample.counters.push_back(std::move(reading));
            }
        }
    }

private:
    Result<InterruptSnapshot> before_;
};

}  // namespace

Session::Session(const WorkloadDescription& workload, const Options& options, Environment& environment,
                 ThreadTeam& team)
    : workload_(workload), options_(options), environment_(environment), team_(team) {}

Status Session::plan() {
    const auto subjects = select_subjects(workload_, options_);
    if (!subjects) {
        return tl::unexpected(subjects.error());
    }
    const auto points = sweep(workload_, options_);
    if (!points) {
        return tl::unexpected(points.error());
    }
    const Subject* beside = nullptr;
    if (options_.beside) {
        const auto found = find_subject(workload_, *options_.beside);
        if (!found) {
            return tl::unexpected(found.error());
        }
        beside = *found;
    }
    for (const auto& point : *points) {
        if (auto possible = team_.can_run(threads_needed(workload_, point)); !possible) {
            return possible;
        }
        for (const Subject* subject : *subjects) {
            LiveCell live{.result = CellResult({subject, point, cell_name(workload_, *subject, point)}),
                          .cell = subject->make(point),
                          .beside = beside != nullptr ? beside->make(point) : nullptr};
            cells_.push_back(std::move(live));
        }
    }
    make_groups(subjects->size());
    return {};
}

void Session::make_groups(std::size_t cells_per_point) {
    std::vector<std::vector<Cell::Footprint>> footprints;
    for (const auto& live : cells_) {
        footprints.push_back({live.cell->footprint()});
        if (live.beside) {
            footprints.back().push_back(live.beside->footprint());
        }
    }
    const auto groups = groups_within(footprints, cells_per_point, memory_budget_bytes());
    for (std::size_t position = 0; position < cells_.size(); ++position) {
        cells_[position].group = groups[position];
    }
}

void Session::register_benchmarks(bool names_only) {
    std::mt19937_64 random(options_.seed);
    const auto group_of = [&](std::size_t position) { return cells_[position].group; };
    std::size_t first = 0;
    while (first < cells_.size()) {
        std::size_t last = first;
        while (last < cells_.size() && group_of(last) == group_of(first)) {
            ++last;
        }
        std::vector<std::size_t> order(last - first);
        std::iota(order.begin(), order.end(), first);
        for (unsigned repetition = 0; repetition < (names_only ? 1 : options_.repetitions); ++repetition) {
            if (!names_only) {
                std::shuffle(order.begin(), order.end(), random);
            }
            for (const std::size_t position : order) {
                benchmark::RegisterBenchmark(
                    cells_[position].result.plan().name.c_str(),
                    [this, position, repetition](benchmark::State& state) { run(state, position, repetition); })
                    ->Iterations(1)
                    ->UseManualTime()
                    ->Unit(benchmark::kNanosecond);
            }
        }
        first = last;
    }
}

void Session::run(benchmark::State& state, std::size_t position, unsigned repetition) {
    LiveCell& live = cells_[position];
    if (live.group != current_group_) {
        finish_group(current_group_);
        current_group_ = live.group;
    }
    row_ = {position, live.result.plan().name, repetition, options_.repetitions, 0};
    for (auto iteration : state) {
        static_cast<void>(iteration);
        measure(live, repetition);
        if (live.result.failed) {
            state.SkipWithError(live.result.failed->c_str());
            return;
        }
        const RepetitionResult& result = live.result.repetitions().back();
        if (result.excluded) {
            state.SkipWithError(result.excluded->c_str());
            return;
        }
        const bool is_time = workload_.score.unit == "ns";
        const double time_ns = is_time                  ? result.score
                               : result.threads.empty() ? 0
                                                        : ns_per_operation(result.threads, result.threads.front().role);
        state.SetIterationTime(time_ns * 1e-9);
        if (!is_time) {
            state.counters[workload_.score.metric] = result.score;
        }
        row_.cpu_ns_per_operation = cpu_ns_per_operation(result.threads);
    }
}

void Session::measure(LiveCell& live, unsigned repetition) {
    if (live.result.failed) {
        return;
    }
    if (!live.started) {
        live.started = true;
        live.result.failed = failure_of([&]() -> Status {
            const MemoryScope scope(environment_.topology, environment_.memory, environment_.home_node);
            Status ready = live.cell->set_up(environment_);
            if (ready && live.beside) {
                ready = live.beside->set_up(environment_);
            }
            return ready;
        });
        if (live.result.failed) {
            return;
        }
    }
    if (environment_.timeline != nullptr) {
        environment_.timeline->cell = live.result.plan().name;
    }
    Sample sample;
    std::optional<double> beside_score;
    std::optional<std::string> beside_excluded;
    const auto measure_own = [&] {
        live.result.failed = failure_of([&]() -> Status {
            const MemoryScope scope(environment_.topology, environment_.memory, environment_.home_node);
            const InterruptSpan interrupts;
            auto measured = live.cell->measure(environment_, team_, repetition);
            if (!measured) {
                return tl::unexpected(measured.error());
            }
            sample = *std::move(measured);
            interrupts.add_to(sample);
            return {};
        });
    };
    const auto measure_beside = [&] {
        live.result.failed = failure_of([&]() -> Status {
            const MemoryScope scope(environment_.topology, environment_.memory, environment_.home_node);
            auto measured = live.beside->measure(environment_, team_, repetition);
            if (!measured) {
                return tl::unexpected(measured.error());
            }
            beside_score = measured->score;
            beside_excluded = std::move(measured->excluded);
            return {};
        });
    };
    const bool beside_first = repetition % 2 == 0;
    if (live.beside && beside_first) {
        measure_beside();
    }
    if (!live.result.failed) {
        measure_own();
    }
    if (live.beside && !beside_first && !live.result.failed) {
        measure_beside();
    }
    if (live.result.failed) {
        return;
    }
    if (beside_excluded && !sample.excluded) {
        sample.excluded = "beside: " + *beside_excluded;
    }
    live.result.add(repetition, std::move(sample), beside_score);
}

void Session::check(LiveCell& live) {
    CellResult& result = live.result;
    if (result.failed) {
        result.check = {false, "", "not checked: " + *result.failed};
        return;
    }
    const auto failed = failure_of([&]() -> Status {
        result.metrics = live.cell->metrics();
        result.check = live.cell->check(environment_);
        if (live.beside && result.check.passed) {
            if (const auto beside = live.beside->check(environment_); !beside.passed) {
                result.check.passed = false;
                result.check.message = "beside " + *options_.beside + ": " + beside.message;
            }
        }
        return {};
    });
    if (failed) {
        result.check = {false, "", *failed};
    }
}

void Session::finish_group(std::size_t group) {
    for (auto& live : cells_) {
        if (live.group == group && live.started) {
            check(live);
        }
    }
    for (auto& live : cells_) {
        if (live.group == group) {
            live.cell.reset();
            live.beside.reset();
        }
    }
}

void Session::finish() {
    finish_group(current_group_);
    for (auto& live : cells_) {
        if (live.started) {
            results_.push_back(std::move(live.result));
        }
    }
}

}  // namespace page_map_lab::bench
