// The failure sweep: which calls the scenarios make, and then each of them made to fail, in a process of its own.
//
// `test_failures [--minutes N] [--sites FILE] [--scenarios PATTERN]`: runs the scenarios in whose name the pattern is found,
// writes the sites it met to FILE, for call_sites.py, and what it found to standard output. Without minutes each site fails at
// its first call in each of its ways; what is no allocation fails once more, with no memory left afterwards; with minutes, also
// at later calls, as long as there is time. Exit 0 where every site failed at its first call and nothing broke.
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/failures/injector.hpp"
#include "tests/failures/instances.hpp"
#include "tests/failures/scenario.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/allocator_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

extern "C" const char __executable_start;  // the linker's

namespace page_map_lab::failures {
namespace {

constexpr unsigned seconds_to_hang = 120;  // a run takes a tenth of a second on a machine of its own
constexpr int exit_broken = 10;
constexpr int exit_leaked = 11;
constexpr int exit_not_met = 12;  // the call that was to fail was not made: threads came in another order
constexpr unsigned most_runs = 50;  // of a scenario, until it makes the call again

/// What a child tells its parent, in memory that they share.
struct Report {
    std::array<char, 512> text;
    std::size_t bytes_left;
};
Report* report_of_this_process = nullptr;

template <class T>
T* shared() {
    void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        std::exit(2);
    }
    return static_cast<T*>(memory);
}

struct Scenario {
    std::string name;
    std::function<void()> run;
    std::size_t bytes_left = 0;  // on the heap, by a run without a failure: what libraries keep, and no leak
};

std::vector<Scenario> scenarios() {
    std::vector<Scenario> all;
    for (const VariantEntry& variant : swept_variants()) {
        all.push_back({variant.name + " over a file", [variant] { page_map_over_a_file(variant); }});
        all.push_back({variant.name + " over memory", [variant] { page_map_over_memory(variant); }});
    }
    const VariantEntry variant = swept_variants().front();
    all.push_back({variant.name + " with a worker", [variant] { page_map_with_a_worker(variant); }});
    // Apart, so that what fails in one does not wait for the others.
    all.push_back({"the machine described", describe_the_machine});
    all.push_back({"events counted", count_events});
    all.push_back({"memory and threads placed", place_memory_and_threads});
    all.push_back({"a team run", run_a_team});
    all.push_back({"a log read", read_a_log});
    return all;
}

std::size_t bytes_allocated() {
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    return 0;
#endif
}

bool anything_leaked() {
#if defined(__SANITIZE_ADDRESS__)
    return __lsan_do_recoverable_leak_check() != 0;
#else
    return false;
#endif
}

/// Runs the scenario in this process, a child's, and ends it.
[[noreturn]] void run_child(const Scenario& scenario, bool injects) {
    ::alarm(seconds_to_hang);
    const std::size_t before = bytes_allocated();
    scenario.run();
    if (injects && !injected()) {
        std::_Exit(exit_not_met);
    }
    report_of_this_process->bytes_left = bytes_allocated() - before;
    // To look for leaks takes longer than most runs: where as much is left as without a failure, nothing leaked.
    if ((!injects || report_of_this_process->bytes_left != scenario.bytes_left) && anything_leaked()) {
        std::_Exit(exit_leaked);
    }
    std::_Exit(0);
}

std::string how_it_ended(int status, const Report& report) {
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGALRM ? std::string("hangs") : std::string("is killed by ") + strsignal(WTERMSIG(status));
    }
    if (WEXITSTATUS(status) == exit_leaked) {
        return "leaks";
    }
    return report.text[0] != '\0' ? std::string(report.text.data()) : "exits with " + std::to_string(WEXITSTATUS(status));
}

class Sweep {
public:
    explicit Sweep(std::chrono::steady_clock::time_point end) : end_(end) {}

    bool time_is_up() const { return std::chrono::steady_clock::now() >= end_; }
    /// The sites that the scenario meets; none where it does not end well. Notes what the run leaves on the heap.
    std::vector<Site> record(Scenario& scenario);
    /// Runs the scenario with the site failing, in the way and at the time that `injection` says.
    void add(const Scenario& scenario, const Site& site, Injection injection);
    void finish() {
        while (!running_.empty()) {
            reap();
        }
    }

    std::uint64_t excluded = 0;
    std::uint64_t injected = 0;
    std::uint64_t not_met = 0;
    std::uint64_t broken_runs = 0;
    std::uint64_t leaked = 0;

private:
    struct Child {
        const Scenario* scenario;
        Site site;
        Injection injection;
        Report* report;
        unsigned runs = 0;
    };
    void start(Child child);
    void reap();
    /// The line of a site that needs a look: what failed, what came of it, and the places it was called from.
    static void print(const Child& child, const std::string& outcome);

    std::chrono::steady_clock::time_point end_;
    std::map<pid_t, Child> running_;
    std::vector<Report*> free_reports_;
};

std::vector<Site> Sweep::record(Scenario& scenario) {
    Report* report = shared<Report>();
    auto* recording = shared<Recording>();
    const pid_t child = ::fork();
    if (child == 0) {
        report_of_this_process = report;
        record_into(*recording);
        run_child(scenario, false);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const std::uint32_t wanted = recording->wanted.load(std::memory_order_relaxed);  // relaxed: the run has ended
    std::vector<Site> sites;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || wanted > most_sites) {
        std::fprintf(stderr, "failures: %s %s where nothing was made to fail; %u sites, %zu places\n", scenario.name.c_str(),
                     how_it_ended(status, *report).c_str(), wanted, most_sites);
        ++broken_runs;
    } else {
        scenario.bytes_left = report->bytes_left;
        excluded += recording->excluded.load(std::memory_order_relaxed);  // relaxed: as above
        for (std::uint32_t place = 0; place < wanted; ++place) {
            // [site] acquire: pairs with the release in write_down; a process may have been killed in between.
            if (recording->whole[place].load(std::memory_order_acquire)) {
                sites.push_back(recording->sites[place]);
            }
        }
    }
    ::munmap(recording, sizeof(Recording));
    ::munmap(report, sizeof(Report));
    return sites;
}

void Sweep::add(const Scenario& scenario, const Site& site, Injection injection) {
    injection.hash = site.hash;
    injection.call = site.call;
    injection.returns_to = site.frames.front();
    // Each waits, for grace periods and for other threads, about as long as it works.
    while (running_.size() >= 2 * std::max(1U, std::thread::hardware_concurrency())) {
        reap();
    }
    if (free_reports_.empty()) {
        free_reports_.push_back(shared<Report>());
    }
    Report* report = free_reports_.back();
    free_reports_.pop_back();
    start({&scenario, site, injection, report});
}

void Sweep::start(Child child) {
    child.report->text[0] = '\0';
    ++child.runs;
    const pid_t process = ::fork();
    if (process == 0) {
        report_of_this_process = child.report;
        inject(child.injection);
        run_child(*child.scenario, true);
    }
    running_.emplace(process, child);
}

void Sweep::reap() {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    const auto found = running_.find(ended);
    if (found == running_.end()) {
        std::perror("waitpid");
        std::exit(2);
    }
    const Child child = found->second;
    running_.erase(found);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == exit_not_met && child.runs < most_runs) {
        start(child);
        return;
    }
    free_reports_.push_back(child.report);
    if (code == exit_not_met) {
        // Whether there is a later call is up to the threads, which may have waited more often while the sites were recorded.
        not_met += child.injection.hit == 1 ? 1 : 0;
        print(child, "was not called again in " + std::to_string(most_runs) + " runs");
        return;
    }
    ++injected;
    if (code == exit_leaked) {
        ++leaked;
    } else if (code != 0) {
        ++broken_runs;
    }
    if (code != 0) {
        print(child, how_it_ended(status, *child.report));
    }
}

void Sweep::print(const Child& child, const std::string& outcome) {
    std::fprintf(stderr, "failures: %s: %s fails (way %u, call %u%s) in '%s': %s\n", child.scenario->name.c_str(), child.site.call,
                 child.injection.way, child.injection.hit, child.injection.then_no_memory ? ", then no memory" : "",
                 child.site.operation, outcome.c_str());
    for (std::uint32_t frame = 0; frame < std::min<std::uint32_t>(child.site.depth, 12); ++frame) {
        std::fprintf(stderr, " %#tx", static_cast<const char*>(child.site.frames[frame]) - &__executable_start - 1);
    }
    std::fprintf(stderr, "\n");
}

/// One line a site: the call, and the places in the program it is made from, innermost first.
void write_sites(std::FILE* file, const std::vector<Site>& sites) {
    for (const Site& site : sites) {
        std::fprintf(file, "%s", site.call);
        for (std::uint32_t frame = 0; frame < site.depth; ++frame) {
            const auto place = static_cast<const char*>(site.frames[frame]) - &__executable_start - 1;
            std::fprintf(file, " %#tx", place);
        }
        std::fprintf(file, "\n");
    }
}

int sweep(unsigned minutes, const std::string& chosen, std::FILE* sites_file) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(minutes);
    Sweep sweep(end);
    std::vector<Scenario> all = scenarios();
    std::erase_if(all, [&](const Scenario& scenario) { return !std::regex_search(scenario.name, std::regex(chosen)); });
    std::vector<std::vector<Site>> recorded;
    std::set<std::uint64_t> met;  // a site that several scenarios meet fails in the first of them
    for (Scenario& scenario : all) {
        recorded.push_back(sweep.record(scenario));
        if (sites_file != nullptr) {
            write_sites(sites_file, recorded.back());
        }
        for (const Site& site : recorded.back()) {
            if (!met.insert(site.hash).second) {
                continue;
            }
            for (unsigned way = 0; way < site.ways; ++way) {
                sweep.add(scenario, site, {.way = way});
            }
            if (!site.allocates) {
                sweep.add(scenario, site, {.then_no_memory = true});
            }
        }
        sweep.finish();
    }
    for (std::uint32_t hit = 2; minutes != 0 && !sweep.time_is_up(); ++hit) {
        bool any = false;
        for (std::size_t number = 0; number < all.size() && !sweep.time_is_up(); ++number) {
            for (const Site& site : recorded[number]) {
                if (sweep.time_is_up()) {
                    break;
                }
                for (unsigned way = 0; hit <= site.hits && way < site.ways; ++way) {
                    sweep.add(all[number], site, {.way = way, .hit = hit});
                    any = true;
                }
            }
        }
        sweep.finish();
        if (!any) {
            break;
        }
    }
    std::printf("sites %ju injected %ju not_met %ju excluded %ju broken %ju leaked %ju\n", static_cast<std::uintmax_t>(met.size()),
                static_cast<std::uintmax_t>(sweep.injected), static_cast<std::uintmax_t>(sweep.not_met), static_cast<std::uintmax_t>(sweep.excluded),
                static_cast<std::uintmax_t>(sweep.broken_runs), static_cast<std::uintmax_t>(sweep.leaked));
    return !met.empty() && sweep.injected != 0 && sweep.not_met == 0 && sweep.broken_runs == 0 && sweep.leaked == 0 ? 0 : 1;
}

}  // namespace

void broken(const std::string& what) {
    std::snprintf(report_of_this_process->text.data(), report_of_this_process->text.size(), "%s", what.c_str());
    std::_Exit(exit_broken);
}

}  // namespace page_map_lab::failures

int main(int argc, char** argv) {
    unsigned minutes = 0;
    std::string chosen;
    std::FILE* sites = nullptr;
    for (int argument = 1; argument + 1 < argc; argument += 2) {
        if (std::strcmp(argv[argument], "--minutes") == 0) {
            minutes = static_cast<unsigned>(std::strtoul(argv[argument + 1], nullptr, 10));
        } else if (std::strcmp(argv[argument], "--sites") == 0) {
            sites = std::fopen(argv[argument + 1], "w");
        } else if (std::strcmp(argv[argument], "--scenarios") == 0) {
            chosen = argv[argument + 1];
        }
    }
    const int code = page_map_lab::failures::sweep(minutes, chosen, sites);
    if (sites != nullptr) {
        std::fclose(sites);
    }
    return code;
}
