#include "impl/platform/counters_reading.hpp"

#include <array>

namespace page_map_lab {
namespace {

constexpr std::array<CounterSetName, 6> every_set = {CounterSetName::cycles, CounterSetName::tlb,
                                                     CounterSetName::cache,  CounterSetName::numa,
                                                     CounterSetName::interrupts, CounterSetName::none};

}  // namespace

std::string_view to_string(CounterSetName set) noexcept {
    switch (set) {
        case CounterSetName::none: return "none";
        case CounterSetName::cycles: return "cycles";
        case CounterSetName::tlb: return "tlb";
        case CounterSetName::cache: return "cache";
        case CounterSetName::numa: return "numa";
        case CounterSetName::interrupts: return "interrupts";
    }
    return "unknown";
}

Result<CounterSetName> parse_counter_set(std::string_view name) {
    std::string names;
    for (const CounterSetName set : every_set) {
        if (to_string(set) == name) {
            return set;
        }
        names += (names.empty() ? "" : ", ") + std::string(to_string(set));
    }
    return fail(ErrorCode::usage, "counter set '" + std::string(name) + "': unknown; choose one of " + names);
}

std::span<const CounterSetName> all_counter_sets() noexcept { return every_set; }

std::string_view to_string(CounterState state) noexcept {
    switch (state) {
        case CounterState::ok: return "ok";
        case CounterState::multiplexed: return "multiplexed";
        case CounterState::denied: return "denied";
        case CounterState::absent: return "absent";
    }
    return "unknown";
}

std::string_view to_string(CounterScope scope) noexcept {
    switch (scope) {
        case CounterScope::thread: return "thread";
        case CounterScope::cpu: return "cpu";
        case CounterScope::system: return "system";
    }
    return "unknown";
}

std::string_view to_string(CounterMode mode) noexcept {
    switch (mode) {
        case CounterMode::user: return "user";
        case CounterMode::kernel: return "kernel";
        case CounterMode::both: return "both";
    }
    return "unknown";
}

const CounterReading* find_reading(std::span<const CounterReading> readings, std::string_view name,
                                   std::optional<CounterMode> mode) noexcept {
    for (const CounterReading& reading : readings) {
        if (reading.name == name && (!mode || reading.mode == *mode)) {
            return &reading;
        }
    }
    return nullptr;
}

}  // namespace page_map_lab
