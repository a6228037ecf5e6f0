// Simulated cores: fibers on one thread, and a scheduler that takes over before every shared access.
//
// A core runs until its next shared access, where a Strategy says who goes on. What the order of the accesses meant is kept
// as a fingerprint: two schedules that differ only in the order of steps that do not touch the same location, or only read
// it, have the same one, and lead to the same state (Mazurkiewicz traces; happens-before caching as in Musuvathi and Qadeer,
// "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007).
//
// Thread safety: none; everything happens on one thread. Accesses are sequentially consistent.
#pragma once

#include <ucontext.h>

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace page_map_lab::explorer {

inline constexpr unsigned max_cores = 4;

/// Who acts while no core runs: what sets a scenario up and checks its end.
inline constexpr unsigned no_core = max_cores;

/// Scrambles two words into one.
constexpr std::uint64_t mix(std::uint64_t first, std::uint64_t second) noexcept {
    std::uint64_t word = first * 0x9e3779b97f4a7c15U + second + 0x632be59bd9b4e019U;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9U;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebU;
    return word ^ (word >> 31);
}

/// A point where more than one core could go on.
struct Decision {
    std::uint64_t fingerprint;  ///< of all that happened before
    std::uint8_t current;       ///< whose access it is
    std::uint8_t enabled;       ///< a bit a core
    std::uint8_t chosen;
    std::uint8_t preemptions;  ///< before this decision

    bool is_enabled(unsigned core) const noexcept { return (enabled >> core & 1) != 0; }
    /// Whom a scheduler without preemption lets go on.
    unsigned usual() const noexcept;
    /// What the rest of the run depends on, but for the preemptions that are left. Whoever cannot go on is not preempted, so
    /// that it does not matter who that is.
    std::uint64_t state() const noexcept {
        return mix(fingerprint, (is_enabled(current) ? current : no_core) | enabled << 8);
    }
};

/// Who goes on where more than one core could. `position` counts the decisions of this run.
class Strategy {
public:
    virtual ~Strategy() = default;
    /// A core that can go on, or `no_need` where nobody needs to see how this run ends.
    virtual unsigned choose(const Decision& decision, std::size_t position) = 0;
    static constexpr unsigned no_need = max_cores + 1;
    /// A core gives way: a fair strategy lets others go first from now on.
    virtual void gives_way(unsigned) {}
};

/// An access to a location as part of a step.
struct Touch {
    const void* location;
    bool writes;
};

/// A condition that somebody waits for: refers to what says whether it holds, and does not keep it.
class Condition {
public:
    Condition() = default;
    template <class Holds>
    Condition(const Holds& holds)  // NOLINT: as std::function
        : holds_(&holds), call_([](const void* called) { return (*static_cast<const Holds*>(called))(); }) {}

    explicit operator bool() const noexcept { return call_ != nullptr; }
    bool operator()() const { return call_(holds_); }

private:
    const void* holds_ = nullptr;
    bool (*call_)(const void*) = nullptr;
};

class Simulation {
public:
    /// The one simulation of this process.
    static Simulation& instance();

    /// Forgets everything that was touched. Before each run's setting up.
    void begin();

    /// Runs the cores' bodies to their ends, interleaved as `strategy` says. Every location that was touched before is as
    /// it was; ends the process with a report where a rule is broken or nobody can go on. Where the strategy sees no need,
    /// the rest is run in one go, and told nobody.
    void run(std::span<const std::function<void()>> bodies, Strategy& strategy);

    /// The core that acts, or no_core.
    unsigned core() const noexcept { return core_; }
    /// Acts on behalf of a core for the length of a call, outside a run.
    void act_as(unsigned core, const std::function<void()>& body);

    /// Before a shared access at `location`: another core may go first. Reports an access to what is dead.
    void arrive(const void* location, const std::source_location& where);
    /// After it: what it touched.
    void record(std::string_view what, std::span<const Touch> touches, const std::source_location& where);
    void record(std::string_view what, std::initializer_list<Touch> touches, const std::source_location& where) {
        record(what, std::span(touches.begin(), touches.size()), where);
    }

    /// Blocks the core until `ready()` holds, which is asked whenever somebody must be chosen.
    void wait_until(std::string_view what, Condition ready, const std::source_location& where);
    /// A turn of a spin loop: blocks until somebody writes to what this core touched last.
    void spin(const std::source_location& where);
    /// A turn of a loop that gives way: blocks until somebody else has written anything since the core's last turn.
    void give_way(const std::source_location& where);

    /// Memory whose accesses are errors from now on, until it begins a life again.
    void end_life(const void* memory, std::size_t bytes);
    void begin_life(const void* memory, std::size_t bytes);

    /// Adds a line to the story that a report tells.
    void note(std::string text);

    /// Reports a broken rule and ends the process.
    [[noreturn]] void violation(const std::string& what);
    /// Called by a report, to say how the run came about.
    std::function<std::string()> describe_run;
    /// Prints every step of a run as it happens.
    bool prints_steps = false;

    const std::vector<Decision>& decisions() const noexcept { return decisions_; }
    /// Of the whole run, once it has ended.
    std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    /// Whether the strategy saw no need for the run's end.
    bool ended_early() const noexcept { return ended_early_; }
    std::size_t steps() const noexcept { return steps_.size(); }

private:
    struct Location {
        const void* address = nullptr;
        std::uint64_t run = 0;         ///< the run that this entry belongs to
        std::uint64_t last_write = 0;  ///< fingerprint of the step
        std::uint64_t reads = 0;       ///< sum of the fingerprints of the reads since
        std::uint64_t writes = 0;
    };
    struct Core {
        std::jmp_buf context;
        std::jmp_buf start;  ///< where its stack is empty
        std::unique_ptr<std::byte[]> stack;
        const std::function<void()>* body = nullptr;
        bool finished = true;
        bool gives_way = false;
        Condition ready;  ///< blocked until it holds, if there is one
        std::string_view waits_for;
        std::uint64_t last_step = 0;
        const Location* touched = nullptr;  ///< last, and how often it had been written then
        std::uint64_t touched_writes = 0;
        std::uint64_t writes = 0;
        std::uint64_t others_writes = 0;  ///< at the last time it gave way
    };
    struct Step {
        unsigned core;
        std::string_view what;
        const char* file;
        unsigned line;
        std::size_t location;  ///< of a note, which has no file: its place among the notes
    };

    Simulation();
    static void live(Simulation* simulation, unsigned core);
    Location& locate(const void* address);
    unsigned enabled_cores() const;
    unsigned core_of(const Core& core) const noexcept { return static_cast<unsigned>(&core - cores_.data()); }
    void hand_over();
    void switch_to(unsigned core);
    void finish_step(std::string_view what, std::uint64_t fingerprint, const std::source_location& where);
    void depend_on_all(std::string_view what, const std::source_location& where);
    std::string told(const Step& step) const;

    static constexpr std::size_t stack_bytes = 256 * 1024;
    static constexpr std::size_t table_size = 1 << 14;
    static constexpr std::size_t most_steps = 20'000;

    std::array<Core, max_cores + 1> cores_;
    std::jmp_buf outside_{};
    ucontext_t birth_{};
    bool ended_early_ = false;
    unsigned core_ = no_core;
    bool running_ = false;
    Strategy* strategy_ = nullptr;
    std::vector<Location> table_;
    std::size_t located_ = 0;
    std::uint64_t run_ = 0;
    std::uint64_t writes_ = 0;
    std::uint64_t fingerprint_ = 0;
    std::uint8_t preemptions_ = 0;
    std::vector<Decision> decisions_;
    std::vector<Step> steps_;
    std::vector<std::string> notes_;
    std::vector<std::pair<const std::byte*, std::size_t>> dead_;
};

}  // namespace page_map_lab::explorer
