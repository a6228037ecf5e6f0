#include "tests/stress/stress.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <deque>
#include <iterator>
#include <thread>

#include "tests/stress/roles.hpp"

namespace page_map_lab::stress {
namespace {

using Role = StressThread::Role;

// Operations that a thread takes from a run's bound at a time.
constexpr std::uint64_t share = 16;

// Who rests for others to do more, does so for so long at a time: a wake-up is a disturbance, too.
constexpr auto rest = std::chrono::milliseconds(20);

bool disturbs(Role role) { return role == Role::mapper || role == Role::evictor || role == Role::keeper; }

std::vector<Role> roles_of(unsigned workers, unsigned processes) {
    constexpr std::array worker_roles{Role::reader, Role::writer, Role::faulter};
    std::vector<Role> roles;
    for (unsigned worker = 0; worker < std::max<unsigned>(workers, worker_roles.size()); ++worker) {
        roles.push_back(worker_roles[worker % worker_roles.size()]);
    }
    roles.insert(roles.end(), {Role::mapper, Role::evictor, Role::keeper});
    roles.insert(roles.end(), processes, Role::parent);
    return roles;
}

}  // namespace

void StressOutcome::add(StressOutcome other) {
    operations += other.operations;
    disturbances += other.disturbances;
    evictions += other.evictions;
    kills += other.kills;
    kills_in_faults += other.kills_in_faults;
    kills_in_writes += other.kills_in_writes;
    kills_in_shootdowns += other.kills_in_shootdowns;
    stale += other.stale;
    lost += other.lost;
    leaked += other.leaked;
    std::ranges::move(other.findings, std::back_inserter(findings));
}

StressOutcome run_stress(const MakeMap& make, const StressOptions& options) {
    const std::vector<Role> roles = roles_of(options.workers, options.processes);
    // Every thread may hold a page and want another, a passing region pins a dozen, and truncation keeps pages dirty.
    const std::uint64_t least_frames = 2 * roles.size() + 24;
    const auto shape = [&](std::uint64_t pages) {
        return ObjectShape{.pages = pages, .frames = std::max(pages * options.frames_percent / 100, least_frames)};
    };
    std::deque<StressedObject> objects;
    objects.emplace_back(0, shape(192), make);
    objects.emplace_back(1, ObjectShape{.pages = 96, .frames = 96 + 2 * roles.size(), .keep_memory = true}, make);
    objects.emplace_back(2, shape(120), make);

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
        threads.emplace_back(roles[number], number, options.seed * 1'000'003 + number, objects,
                             std::chrono::milliseconds(options.hang) / 2,  // a silent worker is named, not who waits for it
                             traces.back());
    }
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> taken{0};
    std::barrier start(static_cast<std::ptrdiff_t>(roles.size()));
    std::vector<std::jthread> running;
    Watchdog watchdog(traces, options.hang);
    for (unsigned number = 0; number < roles.size(); ++number) {
        running.emplace_back([&, number] {
            start.arrive_and_wait();
            const auto registration = objects.front().map().register_thread();
            const bool rests = disturbs(roles[number]) || roles[number] == Role::parent;
            const std::uint64_t one_in = rests ? options.disturb_one_in : 0;
            StressThread& thread = threads[number];
            // relaxed, all: they only count, and end the loop
            while (!stop.load(std::memory_order_relaxed)) {
                taken.fetch_add(thread.workers_done_since(), std::memory_order_relaxed);
                const std::uint64_t taken_by_all = taken.load(std::memory_order_relaxed);
                if (options.operations != 0 && taken_by_all >= options.operations) {
                    break;
                }
                if (thread.steps() * one_in > taken_by_all) {
                    const auto offline = objects.front().map().offline_scope();
                    traces[number].rest();
                    std::this_thread::sleep_for(rest);
                    continue;
                }
                taken.fetch_add(share, std::memory_order_relaxed);
                for (const std::uint64_t end = thread.steps() + share; thread.steps() < end;) {
                    thread.step();
                }
            }
            thread.finish();
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
    for (unsigned number = 0; number < roles.size(); ++number) {
        outcome.add(threads[number].outcome());
        outcome.operations += threads[number].steps();
        outcome.disturbances += disturbs(roles[number]) ? threads[number].steps() : 0;
    }
    for (StressedObject& object : objects) {
        outcome.evictions += object.evicted();
        outcome.add(object.finish());
    }
    return outcome;
}

}  // namespace page_map_lab::stress
