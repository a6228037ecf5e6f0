#include "tests/explorer/simulation.hpp"

#include <unistd.h>

#include <bit>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace page_map_lab::explorer {

namespace {

/// What the algorithm's own checks do to the process is a finding as any other.
void report_signal(int number) {
    Simulation::instance().violation(number == SIGABRT ? "a check of the page map failed (above)"
                                                       : "the page map crashed (SIGSEGV)");
}

}  // namespace

unsigned Decision::usual() const noexcept {
    return is_enabled(current) ? current : static_cast<unsigned>(std::countr_zero(enabled));
}

Simulation& Simulation::instance() {
    static Simulation simulation;
    return simulation;
}

/// Each core begins to live on its own stack and waits at its bottom, where every run finds it. From then on cores are switched
/// by jumps, which make no system call.
Simulation::Simulation() : table_(table_size) {
    for (unsigned number = 0; number < max_cores; ++number) {
        Core& core = cores_[number];
        core.stack = std::make_unique<std::byte[]>(stack_bytes);
        ucontext_t newborn;
        ::getcontext(&newborn);
        newborn.uc_stack.ss_sp = core.stack.get();
        newborn.uc_stack.ss_size = stack_bytes;
        newborn.uc_link = nullptr;
        void (*const live_as)(Simulation*, unsigned) = &Simulation::live;
        ::makecontext(&newborn, reinterpret_cast<void (*)()>(live_as), 2, this, number);
        ::swapcontext(&birth_, &newborn);
    }
    decisions_.reserve(4096);
    steps_.reserve(4096);
    static std::array<std::byte, 65536> signal_stack;
    const stack_t alternative{.ss_sp = signal_stack.data(), .ss_flags = 0, .ss_size = signal_stack.size()};
    ::sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_handler = report_signal;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    ::sigaction(SIGABRT, &action, nullptr);
    ::sigaction(SIGSEGV, &action, nullptr);
}

void Simulation::begin() {
    ++run_;
    located_ = 0;
    writes_ = 0;
    fingerprint_ = 0;
    preemptions_ = 0;
    decisions_.clear();
    steps_.clear();
    notes_.clear();
    dead_.clear();
    ended_early_ = false;
    for (Core& core : cores_) {
        core.finished = true;
        core.gives_way = false;
        core.ready = {};
        core.last_step = 0;
        core.touched = nullptr;
        core.writes = 0;
        core.others_writes = 0;
    }
}

void Simulation::act_as(unsigned core, const std::function<void()>& body) {
    const unsigned before = std::exchange(core_, core);
    body();
    core_ = before;
}

void Simulation::live(Simulation* simulation, unsigned number) {
    Core& core = simulation->cores_[number];
    if (::_setjmp(core.start) == 0) {
        ::setcontext(&simulation->birth_);
    }
    (*core.body)();
    core.finished = true;
    simulation->hand_over();
}

void Simulation::run(std::span<const std::function<void()>> bodies, Strategy& strategy) {
    for (unsigned number = 0; number < bodies.size(); ++number) {
        Core& core = cores_[number];
        core.body = &bodies[number];
        core.finished = false;
        std::memcpy(&core.context, &core.start, sizeof(core.start));
    }
    strategy_ = &strategy;
    running_ = true;
    // The first core to go is no preemption: nobody runs yet.
    core_ = no_core;
    if (::_setjmp(outside_) == 0) {
        hand_over();
    }
    core_ = no_core;
    running_ = false;
}

unsigned Simulation::enabled_cores() const {
    unsigned enabled = 0;
    for (unsigned number = 0; number < max_cores; ++number) {
        const Core& core = cores_[number];
        if (!core.finished && (!core.ready || core.ready())) {
            enabled |= 1U << number;
        }
    }
    return enabled;
}

void Simulation::switch_to(unsigned next) {
    if (next == core_) {
        return;
    }
    const unsigned before = std::exchange(core_, next);
    if (before == no_core || ::_setjmp(cores_[before].context) == 0) {
        ::_longjmp(cores_[next].context, 1);
    }
}

void Simulation::hand_over() {
    const unsigned enabled = enabled_cores();
    if (enabled == 0) {
        for (unsigned number = 0; number < max_cores; ++number) {
            if (!cores_[number].finished) {
                std::string what = "nobody can go on:";
                for (unsigned other = number; other < max_cores; ++other) {
                    if (!cores_[other].finished) {
                        what += " core " + std::to_string(other) + " waits for " + std::string(cores_[other].waits_for) + ";";
                    }
                }
                violation(what);
            }
        }
        ::_longjmp(outside_, 1);
    }
    if (std::has_single_bit(enabled)) {
        switch_to(static_cast<unsigned>(std::countr_zero(enabled)));
        return;
    }
    Decision decision{fingerprint_, static_cast<std::uint8_t>(core_), static_cast<std::uint8_t>(enabled), 0, preemptions_};
    if (!ended_early_) {
        decision.chosen = static_cast<std::uint8_t>(strategy_->choose(decision, decisions_.size()));
        ended_early_ = decision.chosen == Strategy::no_need;
    }
    if (ended_early_) {
        switch_to(decision.usual());
        return;
    }
    if (!decision.is_enabled(decision.chosen)) {
        violation("the schedule does not fit: core " + std::to_string(decision.chosen) + " cannot go on at decision " +
                  std::to_string(decisions_.size()) + "; it was printed by another build or for another scenario");
    }
    decisions_.push_back(decision);
    if (decision.is_enabled(core_) && decision.chosen != core_) {
        ++preemptions_;
    }
    switch_to(decision.chosen);
}

Simulation::Location& Simulation::locate(const void* address) {
    std::size_t at = mix(0, reinterpret_cast<std::uintptr_t>(address)) % table_size;
    for (;; at = (at + 1) % table_size) {
        Location& location = table_[at];
        if (location.run != run_) {
            location = Location{address, run_, 0, 0, 0};
            if (++located_ > table_size / 2) {
                violation("a run touches more locations than the table of the simulation has");
            }
            return location;
        }
        if (location.address == address) {
            return location;
        }
    }
}

void Simulation::arrive(const void* location, const std::source_location& where) {
    if (running_) {
        hand_over();
    }
    for (const auto& [memory, bytes] : dead_) {
        if (static_cast<std::size_t>(static_cast<const std::byte*>(location) - memory) < bytes) {
            const char* const name = std::strrchr(where.file_name(), '/');
            violation("core " + std::to_string(core_) + " accesses memory that was freed, at " +
                      (name != nullptr ? name + 1 : where.file_name()) + ":" + std::to_string(where.line()));
        }
    }
}

void Simulation::record(std::string_view what, std::span<const Touch> touches, const std::source_location& where) {
    if (!running_) {
        return;
    }
    Core& own = cores_[core_];
    // Where it is tells steps apart that touch what nobody has touched before.
    std::uint64_t fingerprint = mix(own.last_step, where.line() << 3 | core_);
    for (const Touch& touch : touches) {
        const Location& location = locate(touch.location);
        fingerprint = mix(fingerprint, location.last_write);
        if (touch.writes) {
            fingerprint = mix(fingerprint, location.reads);
        }
    }
    for (const Touch& touch : touches) {
        Location& location = locate(touch.location);
        if (touch.writes) {
            location.last_write = fingerprint;
            location.reads = 0;
            ++location.writes;
            ++writes_;
            ++own.writes;
        } else {
            location.reads += fingerprint;
        }
        own.touched = &location;
        own.touched_writes = location.writes;
    }
    finish_step(what, fingerprint, where);
}

/// A step that depends on every one before it: what a core waits for that gives way is told by what all others have done.
void Simulation::depend_on_all(std::string_view what, const std::source_location& where) {
    std::uint64_t fingerprint = mix(0, where.line() << 3 | core_);
    for (const Core& core : cores_) {
        fingerprint = mix(fingerprint, core.last_step);
    }
    finish_step(what, fingerprint, where);
}

void Simulation::finish_step(std::string_view what, std::uint64_t fingerprint, const std::source_location& where) {
    Core& own = cores_[core_];
    own.last_step = fingerprint;
    fingerprint_ += fingerprint;
    const auto at = own.touched == nullptr ? 0 : static_cast<std::size_t>(own.touched - table_.data());
    steps_.push_back({core_, what, where.file_name(), where.line(), at});
    if (prints_steps) {
        std::printf("%s\n", told(steps_.back()).c_str());
    }
    if (steps_.size() > most_steps) {
        violation("no end in " + std::to_string(most_steps) + " steps: somebody waits for what never comes");
    }
}

void Simulation::wait_until(std::string_view what, Condition ready, const std::source_location& where) {
    if (!running_) {
        if (!ready()) {
            violation("waits for " + std::string(what) + " while nobody else runs, at " + where.file_name() + ":" +
                      std::to_string(where.line()));
        }
        return;
    }
    Core& own = cores_[core_];
    own.ready = ready;
    own.waits_for = what;
    while (!ready()) {
        hand_over();
    }
    own.ready = {};
}

void Simulation::spin(const std::source_location& where) {
    const Core& own = cores_[core_];
    const Location* const location = own.touched;
    const std::uint64_t seen = own.touched_writes;
    const auto written_to = [=] { return location == nullptr || location->writes != seen; };
    wait_until("a lock", written_to, where);
}

void Simulation::give_way(const std::source_location& where) {
    Core& own = cores_[core_];
    const auto others = [this, &own] { return writes_ - own.writes; };
    const std::uint64_t seen = own.others_writes;
    // Fair: whoever could go on takes a step first, or two cores that give way to each other would hold up a third.
    std::array<std::uint64_t, max_cores> steps_then{};
    for (unsigned number = 0; number < max_cores; ++number) {
        steps_then[number] = cores_[number].last_step;
    }
    const auto had_their_turn = [&] {
        for (unsigned number = 0; number < max_cores; ++number) {
            const Core& core = cores_[number];
            const bool could_go_on =
                number != core_of(own) && !core.finished && !core.gives_way && (!core.ready || core.ready());
            if (could_go_on && core.last_step == steps_then[number]) {
                return false;
            }
        }
        return true;
    };
    if (running_) {
        strategy_->gives_way(core_);
        depend_on_all("gives way", where);
    }
    own.gives_way = true;
    const auto changed = [&] { return others() != seen && had_their_turn(); };
    wait_until("something to change", changed, where);
    own.gives_way = false;
    own.others_writes = others();
    if (running_) {
        depend_on_all("goes on", where);
    }
}

void Simulation::end_life(const void* memory, std::size_t bytes) {
    dead_.emplace_back(static_cast<const std::byte*>(memory), bytes);
}

void Simulation::begin_life(const void* memory, std::size_t) {
    if (dead_.empty()) {
        return;  // a directory has thousands of links
    }
    std::erase_if(dead_, [&](const auto& range) { return range.first == static_cast<const std::byte*>(memory); });
}

void Simulation::note(std::string text) {
    if (running_) {
        steps_.push_back({core_, {}, nullptr, 0, notes_.size()});
        notes_.push_back(std::move(text));
        if (prints_steps) {
            std::printf("%s\n", told(steps_.back()).c_str());
        }
    }
}

std::string Simulation::told(const Step& step) const {
    std::string line = "  core " + std::to_string(step.core) + "  ";
    if (step.file == nullptr) {
        return line + notes_[step.location];
    }
    const char* const name = std::strrchr(step.file, '/');
    return line + "    " + (name != nullptr ? name + 1 : step.file) + ":" + std::to_string(step.line) + "  " +
           std::string(step.what) + "  #" + std::to_string(step.location);
}

void Simulation::violation(const std::string& what) {
    std::signal(SIGABRT, SIG_DFL);
    std::signal(SIGSEGV, SIG_DFL);
    constexpr std::size_t told_steps = 60;
    if (!prints_steps) {
        const std::size_t from = steps_.size() > told_steps ? steps_.size() - told_steps : 0;
        for (std::size_t step = from; step < steps_.size(); ++step) {
            std::printf("%s\n", told(steps_[step]).c_str());
        }
    }
    std::printf("violation: %s\n%s\n", what.c_str(), describe_run ? describe_run().c_str() : "");
    std::fflush(nullptr);
    ::_exit(1);
}

}  // namespace page_map_lab::explorer
