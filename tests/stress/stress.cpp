#include "tests/stress/stress.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <thread>

#include "tests/stress/roles.hpp"

namespace page_map_lab::stress {
namespace {

// Operations that a thread takes from a run's bound at a time.
constexpr std::uint64_t share = 16;

std::vector<StressThread::Role> roles_of(unsigned workers) {
    using enum StressThread::Role;
    constexpr std::array worker_roles{reader, writer, faulter};
    std::vector<StressThread::Role> roles;
    for (unsigned worker = 0; worker < std::max<unsigned>(workers, worker_roles.size()); ++worker) {
        roles.push_back(worker_roles[worker % worker_roles.size()]);
    }
    roles.insert(roles.end(), {mapper, evictor, keeper});
    return roles;
}

}  // namespace

void StressOutcome::add(StressOutcome other) {
    operations += other.operations;
    evictions += other.evictions;
    stale += other.stale;
    lost += other.lost;
    leaked += other.leaked;
    std::ranges::move(other.findings, std::back_inserter(findings));
}

StressOutcome run_stress(const MakeMap& make, const StressOptions& options) {
    const std::vector<StressThread::Role> roles = roles_of(options.workers);
    // Every thread may hold a page and want another, a passing region pins a dozen, and truncation keeps pages dirty.
    const std::uint64_t least_frames = 2 * roles.size() + 24;
    std::deque<StressedObject> objects;
    objects.emplace_back(0, ObjectShape{.pages = 192, .frames = std::max<std::uint64_t>(96, least_frames)}, make);
    objects.emplace_back(1, ObjectShape{.pages = 96, .frames = 96 + 2 * roles.size(), .keep_memory = true}, make);
    objects.emplace_back(2, ObjectShape{.pages = 150, .frames = least_frames}, make);

    StressOutcome outcome;
    {
        const auto registration = objects.front().map().register_thread();
        for (StressedObject& object : objects) {
            if (Status begun = object.begin(); !begun) {
                outcome.findings.push_back(begun.error().text());
                return outcome;
            }
        }
    }

    std::deque<ThreadTrace> traces;
    std::deque<StressThread> threads;
    for (unsigned number = 0; number < roles.size(); ++number) {
        traces.emplace_back(std::string(StressThread::name_of(roles[number])) + " " + std::to_string(number));
        threads.emplace_back(roles[number], number, options.seed * 1'000'003 + number, objects, traces.back());
    }
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> taken{0};
    std::vector<std::jthread> running;
    Watchdog watchdog(traces, options.hang);
    for (unsigned number = 0; number < roles.size(); ++number) {
        running.emplace_back([&, number] {
            const auto registration = objects.front().map().register_thread();
            // relaxed, both: they only end the loop
            while (!stop.load(std::memory_order_relaxed) &&
                   (options.operations == 0 || taken.fetch_add(share, std::memory_order_relaxed) < options.operations)) {
                for (const std::uint64_t end = threads[number].steps() + share; threads[number].steps() < end;) {
                    threads[number].step();
                }
            }
            traces[number].end();
        });
    }
    const auto end = std::chrono::steady_clock::now() + options.time;
    while (!watchdog.all_ended()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (options.operations == 0 && std::chrono::steady_clock::now() >= end) {
            stop.store(true, std::memory_order_relaxed);  // relaxed: only ends the loops
        }
    }
    running.clear();

    const auto registration = objects.front().map().register_thread();
    for (StressThread& thread : threads) {
        outcome.add(thread.outcome());
        outcome.operations += thread.steps();
    }
    for (StressedObject& object : objects) {
        outcome.evictions += object.evicted();
        outcome.add(object.finish());
    }
    return outcome;
}

}  // namespace page_map_lab::stress
