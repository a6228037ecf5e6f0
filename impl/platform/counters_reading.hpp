// The vocabulary of counters: what was counted, for whom, in which mode, and how far the number is to be trusted.
//
// Thread safety: plain values.
// Invariants:
//   1. A reading has a value if and only if its state is ok or multiplexed. What is missing is never 0.
//   2. A reading without a value says why, and the way out where there is one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/error.hpp"

namespace page_map_lab {

/// The named sets of hardware events. Software and tracepoint counters come with every set, `none` included.
enum class CounterSetName : std::uint8_t { none, cycles, tlb, cache, numa, interrupts };

std::string_view to_string(CounterSetName set) noexcept;
/// The set of that name; a usage error that lists the names otherwise.
Result<CounterSetName> parse_counter_set(std::string_view name);
/// Every set, in the order in which they are listed to users.
std::span<const CounterSetName> all_counter_sets() noexcept;

enum class CounterState : std::uint8_t {
    ok,           ///< counted all the time
    multiplexed,  ///< counted part of the time, the value scaled up to all of it
    denied,       ///< it exists, but this process may not count it
    absent,       ///< this machine, kernel or table does not have it, or it never ran
};

/// Whose events were counted: one thread's, one processor's, or everybody's.
enum class CounterScope : std::uint8_t { thread, cpu, system };

/// The privilege level in which the events were counted.
enum class CounterMode : std::uint8_t { user, kernel, both };

std::string_view to_string(CounterState state) noexcept;
std::string_view to_string(CounterScope scope) noexcept;
std::string_view to_string(CounterMode mode) noexcept;

/// One counter's answer.
struct CounterReading {
    std::string name;   ///< the lab's name, the same on every machine that counts the same thing: "dtlb_load_walks"
    /// What was asked of the machine: "skx::TLB_FLUSH:STLB_ANY", "tlb:tlb_flush/reason==1/"; "none" where it knows no such event.
    std::string event;
    CounterScope scope = CounterScope::thread;
    CounterMode mode = CounterMode::both;
    std::optional<double> value{};               ///< events, or ns where the name ends in _ns
    std::optional<std::uint64_t> enabled_ns{};   ///< how long it was asked for; absent where it could not be opened
    std::optional<std::uint64_t> running_ns{};   ///< how long it really counted
    CounterState state = CounterState::absent;
    std::string why{};                           ///< empty where there is nothing to explain
    std::optional<unsigned> cpu{};               ///< the processor's number in the operating system, for scope cpu
};

/// How long a group was asked for, and how long it really counted.
struct GroupTimes {
    std::uint64_t enabled_ns = 0;
    std::uint64_t running_ns = 0;
};

/// The reading of that name and mode (any mode by default), or nullptr.
const CounterReading* find_reading(std::span<const CounterReading> readings, std::string_view name,
                                   std::optional<CounterMode> mode = std::nullopt) noexcept;

}  // namespace page_map_lab
