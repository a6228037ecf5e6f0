#include "impl/platform/pinning.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>

#include <hwloc.h>

#include "impl/platform/bitmap.hpp"

namespace page_map_lab {

namespace {

constexpr std::string_view list_prefix = "list:";
constexpr unsigned largest_os_index = 65535;  // far above any kernel's limit; keeps a mistyped range from eating memory

tl::unexpected<Error> bad_plan(std::string_view text, const std::string& what) {
    return fail(ErrorCode::usage,
                "pinning plan \"" + std::string(text) + "\" " + what +
                    ": use compact, scatter, per_node, or list: with OS indices such as list:0,2,4-7");
}

std::optional<unsigned> parse_index(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc{} && end == text.data() + text.size() && value <= largest_os_index;
    return whole ? std::optional(value) : std::nullopt;
}

Result<std::vector<unsigned>> parse_list(std::string_view text) {
    std::vector<unsigned> list;
    std::vector<bool> named(largest_os_index + 1);
    for (std::string_view rest = text.substr(list_prefix.size()); ; ) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        const std::size_t dash = item.find('-');
        const auto first = parse_index(item.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_index(item.substr(dash + 1));
        if (!first || !last || *first > *last) {
            return bad_plan(text, "has an item \"" + std::string(item) + "\" that is no index or range");
        }
        for (unsigned cpu = *first; cpu <= *last; ++cpu) {
            if (named[cpu]) {
                return bad_plan(text, "names processor " + std::to_string(cpu) + " twice");
            }
            named[cpu] = true;
            list.push_back(cpu);
        }
        if (comma == std::string_view::npos) {
            return list;
        }
        rest.remove_prefix(comma + 1);
    }
}

/// One processor of each group in turn; in a group, cores of their own before siblings. The groups take turns whatever
/// is left in each: one with fewer cores starts on its siblings earlier.
std::vector<unsigned> in_turn(std::span<const LogicalCpu> cpus, unsigned LogicalCpu::*group) {
    std::map<unsigned, std::vector<LogicalCpu>> groups;
    for (const LogicalCpu& cpu : cpus) {
        groups[cpu.*group].push_back(cpu);
    }
    for (auto& [number, members] : groups) {
        std::stable_sort(members.begin(), members.end(), [](const LogicalCpu& left, const LogicalCpu& right) {
            return left.smt_rank < right.smt_rank;
        });
    }
    std::vector<unsigned> order;
    for (std::size_t turn = 0; order.size() < cpus.size(); ++turn) {
        for (const auto& [number, members] : groups) {
            if (turn < members.size()) {
                order.push_back(members[turn].os_index);
            }
        }
    }
    return order;
}

/// Packages in turn, and no sibling before every core of the machine has a thread.
std::vector<unsigned> scattered(std::span<const LogicalCpu> cpus) {
    std::map<unsigned, std::vector<LogicalCpu>> by_rank;
    for (const LogicalCpu& cpu : cpus) {
        by_rank[cpu.smt_rank].push_back(cpu);
    }
    std::vector<unsigned> order;
    for (const auto& [rank, of_this_rank] : by_rank) {
        const std::vector<unsigned> next = in_turn(of_this_rank, &LogicalCpu::package);
        order.insert(order.end(), next.begin(), next.end());
    }
    return order;
}

std::vector<unsigned> in_logical_order(std::span<const LogicalCpu> cpus) {
    std::vector<unsigned> order;
    for (const LogicalCpu& cpu : cpus) {
        order.push_back(cpu.os_index);
    }
    return order;
}

/// The processor the system lets this thread run on, where it is exactly one.
std::optional<unsigned> only_cpu_of_this_thread(int& error) {
    for (unsigned room = 1024; room <= 2 * largest_os_index; room *= 2) {  // EINVAL: the kernel's mask is wider
        const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(room), [](cpu_set_t* s) { CPU_FREE(s); });
        const std::size_t bytes = CPU_ALLOC_SIZE(room);
        if (set && sched_getaffinity(0, bytes, set.get()) == 0) {
            error = 0;
            if (CPU_COUNT_S(bytes, set.get()) != 1) {
                return std::nullopt;
            }
            unsigned cpu = 0;
            while (!CPU_ISSET_S(cpu, bytes, set.get())) {
                ++cpu;
            }
            return cpu;
        }
        error = set ? errno : ENOMEM;
        if (error != EINVAL) {
            break;
        }
    }
    return std::nullopt;
}

}  // namespace

Result<PinningPlan> PinningPlan::parse(std::string_view text) {
    PinningPlan plan;
    if (text == "compact") {
        plan.kind_ = Kind::compact;
    } else if (text == "scatter") {
        plan.kind_ = Kind::scatter;
    } else if (text == "per_node") {
        plan.kind_ = Kind::per_node;
    } else if (text.starts_with(list_prefix)) {
        auto list = parse_list(text);
        if (!list) {
            return tl::unexpected<Error>(list.error());
        }
        plan.kind_ = Kind::list;
        plan.list_ = std::move(*list);
    } else {
        return bad_plan(text, "is unknown");
    }
    return plan;
}

std::string PinningPlan::text() const {
    switch (kind_) {
        case Kind::compact: return "compact";
        case Kind::scatter: return "scatter";
        case Kind::per_node: return "per_node";
        case Kind::list: break;
    }
    std::string line(list_prefix);
    for (std::size_t first = 0; first < list_.size();) {
        std::size_t last = first;
        while (last + 1 < list_.size() && list_[last + 1] == list_[last] + 1) {
            ++last;
        }
        // A pair is two items; a longer run is a range, or a plan for a large machine would fill a screen.
        last = last - first < 2 ? first : last;
        line += (first == 0 ? "" : ",") + std::to_string(list_[first]);
        line += last == first ? "" : "-" + std::to_string(list_[last]);
        first = last + 1;
    }
    return line;
}

Result<std::vector<unsigned>> PinningPlan::cpus_for(const Topology& topology, unsigned threads) const {
    if (threads == 0) {
        return fail(ErrorCode::usage, "0 threads cannot be placed: ask for at least 1");
    }
    std::vector<unsigned> order;
    switch (kind_) {
        case Kind::compact: order = in_logical_order(topology.cpus()); break;
        case Kind::scatter: order = scattered(topology.cpus()); break;
        case Kind::per_node: order = in_turn(topology.cpus(), &LogicalCpu::numa_node); break;
        case Kind::list: order = list_; break;
    }
    if (threads > order.size()) {
        const std::string way_out = kind_ == Kind::list
                                        ? "list more processors"
                                        : "widen the process's cpuset (taskset, cgroup cpuset)";
        return fail(ErrorCode::usage, "pinning plan " + text() + " has " + std::to_string(order.size()) +
                                          " processors on this topology (" + topology.source() + ") and " +
                                          std::to_string(threads) + " threads were asked for: ask for at most " +
                                          std::to_string(order.size()) + " threads, or " + way_out);
    }
    order.resize(threads);
    for (const unsigned cpu : order) {
        if (!topology.find_cpu(cpu)) {
            return fail(ErrorCode::usage, "pinning plan " + text() + " names processor " + std::to_string(cpu) +
                                              ", which this process may not run on: usable ones are listed by "
                                              "`lstopo --only pu` and `taskset -cp $$`");
        }
    }
    return order;
}

PinOutcome pin_this_thread(const Topology& topology, unsigned os_cpu) {
    PinOutcome outcome{.asked_cpu = os_cpu, .observed_cpu = {}, .state = PlacementState::unverified, .why = {}};
    if (const Status bindable = topology.bindable(); !bindable) {
        outcome.why = bindable.error().text();
        return outcome;
    }
    if (hwloc_topology_get_support(topology.native())->cpubind->set_thisthread_cpubind == 0) {
        outcome.why = "this system lets no thread be bound";
        return outcome;
    }
    const Bitmap set = make_bitmap({os_cpu});
    if (!set) {
        outcome.why = "no memory to bind a thread with: free some";
        return outcome;
    }
    const int bound = hwloc_set_cpubind(topology.native(), set.get(), HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT);
    const int bind_error = bound == 0 ? 0 : errno;

    int read_error = 0;
    outcome.observed_cpu = only_cpu_of_this_thread(read_error);
    if (read_error != 0) {
        outcome.why = Error{ErrorCode::system, read_error, "sched_getaffinity failed"}.text();
    } else if (bind_error == 0 && outcome.observed_cpu == os_cpu) {
        outcome.state = PlacementState::ok;
    } else {
        outcome.state = PlacementState::mismatch;
        const std::string asked = "processor " + std::to_string(os_cpu);
        outcome.why = bind_error != 0
                          ? Error{ErrorCode::system, bind_error,
                                  asked + " could not be bound to: it may be offline or outside the process's cpuset"}
                                .text()
                          : asked + " was asked for, and the system lets the thread run " +
                                (outcome.observed_cpu ? "on " + std::to_string(*outcome.observed_cpu) : "on several");
    }
    return outcome;
}

}  // namespace page_map_lab
