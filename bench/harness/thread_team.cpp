#include "bench/harness/thread_team.hpp"

#include <condition_variable>
#include <ctime>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include <pthread.h>

#include "impl/core/check.hpp"
#include "impl/page_map/machine.hpp"
#include "impl/platform/counters.hpp"
#include "impl/platform/memory_placement.hpp"

namespace page_map_lab::bench {
namespace {

std::uint64_t thread_cpu_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void arrive(std::atomic<unsigned>& missing) noexcept {
    // [team-barrier] release: what this member prepared is seen by whoever acquires the zero; [team-barrier] acquire,
    // too.
    if (missing.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        missing.notify_all();  // the coordinator sleeps on it; members spin
    }
}

void await(const std::atomic<unsigned>& missing) noexcept {
    constexpr unsigned spins_before_yield = 4096;
    // [team-barrier] acquire: pairs with the release in arrive.
    for (unsigned spins = 0; missing.load(std::memory_order_acquire) != 0; ++spins) {
        if (spins < spins_before_yield) {
            RealMachine::relax();
        } else {
            RealMachine::yield();  // more threads than processors: those still missing need ours
        }
    }
}

}  // namespace

void TeamMember::start() {
    check(barriers_passed_ == 0, "a member starts once");
    arrive(control_->missing[0]);
    await(control_->missing[0]);
    barriers_passed_ = 1;
    if (index_ == 0 && control_->profiler != nullptr) {
        control_->profiler->begin();  // the others wait at the second barrier
    }
    counters_->start();
    arrive(control_->missing[1]);
    await(control_->missing[1]);
    barriers_passed_ = 2;
    cpu_started_ns_ = thread_cpu_ns();
    started_ = std::chrono::steady_clock::now();
}

void TeamMember::stop(std::uint64_t operations) {
    const auto stopped = std::chrono::steady_clock::now();
    const std::uint64_t cpu_stopped_ns = thread_cpu_ns();
    counters_->stop();
    if (index_ == 0 && control_->profiler != nullptr) {
        control_->profiler->end();
    }
    check(barriers_passed_ == 2 && !stopped_, "a member stops once, after it started");
    stopped_ = true;
    report_.operations = operations;
    report_.duration_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(stopped - started_).count());
    report_.cpu_ns = cpu_stopped_ns - cpu_started_ns_;
}

// One thread of the team. The coordinator hands it a task and waits until it is idle again.
struct ThreadTeam::Worker {
    Worker(const Topology& machine, CounterSetName set) : topology(machine), counter_set(set) {
        thread = std::thread([this] { serve(); });
    }
    ~Worker() {
        give([] {}, true);
        thread.join();
    }

    void give(std::function<void()> work, bool last = false) {
        {
            const std::lock_guard lock(mutex);
            task = std::move(work);
            quit = last;
            busy = true;
        }
        changed.notify_all();
    }

    void wait() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return !busy; });
    }

    bool wait_until(std::chrono::steady_clock::time_point deadline) {
        std::unique_lock lock(mutex);
        return changed.wait_until(lock, deadline, [this] { return !busy; });
    }

    void serve() {
        leave_memory_to_system(topology);  // it was made under a MemoryScope, and inherits the policy of who makes it
        for (bool last = false; !last;) {
            std::function<void()> work;
            {
                std::unique_lock lock(mutex);
                changed.wait(lock, [this] { return busy; });
                work = std::move(task);
                last = quit;
            }
            work();
            {
                const std::lock_guard lock(mutex);
                busy = false;
            }
            changed.notify_all();
        }
    }

    // The rest runs on the worker's own thread.

    ThreadCounters& own_counters() {
        if (!counters) {
            counters.emplace(ThreadCounters::open(counter_set));
        }
        return *counters;
    }

    void pin(unsigned os_cpu) {
        if (!pinned || pinned->asked_cpu != os_cpu) {
            pinned = pin_this_thread(topology, os_cpu);
        }
    }

    /// Profilers and traces tell threads apart by their names.
    void take_name_of(const std::string& role) {
        constexpr std::size_t longest_name = 15;
        if (named != role) {
            named = role;
            pthread_setname_np(pthread_self(), role.substr(0, longest_name).c_str());
        }
    }

    void run(TeamMember& member, const Body& body) {
        try {
            pin(member.report_.pinned.asked_cpu);
            take_name_of(member.role());
            member.report_.pinned = *pinned;
            member.counters_ = &own_counters();
            status = body(member);
            if (member.stopped_) {
                member.report_.counters = counters->read();
            } else if (status) {
                status = fail(ErrorCode::system, "a member of role " + member.role() + " did not start and stop");
            }
        } catch (const std::exception& problem) {
            status = fail(ErrorCode::system, problem.what());
        }
        if (!status) {
            member.request_stop();
        }
        for (unsigned barrier = member.barriers_passed_; barrier < 2; ++barrier) {
            arrive(member.control_->missing[barrier]);  // so that the others are not left waiting
        }
    }

    const Topology& topology;
    CounterSetName counter_set;
    std::optional<ThreadCounters> counters;
    std::optional<PinOutcome> pinned;
    std::string named;
    Status status;
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> task;
    bool busy = false;
    bool quit = false;
    std::thread thread;
};

/// Where there is a reason why no shootdown arrives as an interrupt, its counts are absent.
static void disown_interrupts(std::vector<CounterReading>& readings, const std::string& why) {
    for (CounterReading& reading : readings) {
        if (!why.empty() && (reading.name == "tlb_flush_remote_received" || reading.name == "call_function_interrupts")) {
            reading.value.reset();
            reading.state = CounterState::absent;
            reading.why = why;
        }
    }
}

ThreadTeam::ThreadTeam(const Topology& topology, PinningPlan plan, CounterSetName counters)
    : topology_(topology), plan_(std::move(plan)), counter_set_(counters) {}

ThreadTeam::~ThreadTeam() = default;

Status ThreadTeam::can_run(unsigned threads) const {
    if (auto cpus = plan_.cpus_for(topology_, threads); !cpus) {
        return tl::unexpected(cpus.error());
    }
    return {};
}

Status ThreadTeam::make_workers(std::size_t count) {
    try {
        while (workers_.size() < count) {
            workers_.push_back(std::make_unique<Worker>(topology_, counter_set_));
        }
        return {};
    } catch (const std::system_error& problem) {
        return fail(ErrorCode::system,
                    "only " + std::to_string(workers_.size()) + " of " + std::to_string(count) +
                        " threads could be made: use fewer, or raise the limit (ulimit -u, cgroup pids.max)",
                    problem.code().value());
    }
}

std::string ThreadTeam::why_counters_unusable() {
    if (const Status made = make_workers(1); !made) {
        return made.error().text();
    }
    Worker& worker = *workers_.front();
    std::string why;
    worker.give([&] { why = worker.own_counters().why_unusable(); });
    worker.wait();
    return why.empty() && counter_set_ == CounterSetName::interrupts ? why_no_interrupts_ : why;
}

Result<std::vector<ThreadReport>> ThreadTeam::run(const std::vector<Role>& roles, std::chrono::nanoseconds duration,
                                                  const Body& body) {
    RunControl control;
    control.profiler = profiler_;
    std::vector<TeamMember> members;
    for (const Role& role : roles) {
        for (unsigned index = 0; index < role.threads; ++index) {
            TeamMember& member = members.emplace_back();
            member.report_.role = role.name;
            member.index_ = static_cast<unsigned>(members.size() - 1);
            member.index_in_role_ = index;
            member.control_ = &control;
        }
    }
    const auto count = static_cast<unsigned>(members.size());
    const auto cpus = plan_.cpus_for(topology_, count);
    if (!cpus) {
        return tl::unexpected(cpus.error());
    }
    if (Status made = make_workers(count); !made) {
        return tl::unexpected(std::move(made.error()));
    }
    // All that could fail comes before the first worker has its task: it would be left waiting for the others.
    std::vector<ThreadReport> reports;
    reports.reserve(count);
    std::vector<std::function<void()>> tasks;
    for (unsigned index = 0; index < count; ++index) {
        tasks.emplace_back([this, index, &members, &body] { workers_[index]->run(members[index], body); });
    }
    // relaxed: handing the task over orders it.
    control.missing[0].store(count, std::memory_order_relaxed);
    control.missing[1].store(count, std::memory_order_relaxed);
    for (unsigned index = 0; index < count; ++index) {
        members[index].report_.pinned.asked_cpu = (*cpus)[index];
        workers_[index]->give(std::move(tasks[index]));
    }
    if (duration > std::chrono::nanoseconds::zero()) {
        for (unsigned missing;
             (missing = control.missing[1].load(std::memory_order_acquire)) != 0;) {  // [team-barrier] acquire
            control.missing[1].wait(missing, std::memory_order_acquire);              // [team-barrier] acquire
        }
        const auto deadline = std::chrono::steady_clock::now() + duration;
        for (unsigned index = 0; index < count && workers_[index]->wait_until(deadline); ++index) {
        }
        // relaxed: see TeamMember::stopping.
        control.stop.store(true, std::memory_order_relaxed);
    }
    Status first;
    for (unsigned index = 0; index < count; ++index) {
        workers_[index]->wait();
        if (first && !workers_[index]->status) {
            first = std::move(workers_[index]->status);
        }
        disown_interrupts(members[index].report_.counters, why_no_interrupts_);
        reports.push_back(std::move(members[index].report_));
    }
    if (!first) {
        return tl::unexpected(first.error());
    }
    return reports;
}

}  // namespace page_map_lab::bench
