// From a failed system call to what a user can do about it: no permission told apart from no hardware.
//
// Thread safety: as the CounterSystem's.
#pragma once

#include <cstdint>
#include <string>

#include "impl/platform/counters_group.hpp"
#include "impl/platform/counters_reading.hpp"

namespace page_map_lab {

enum class EventKind : std::uint8_t { hardware, software, tracepoint };

/// Why a counter has no value: a state, denied or absent, and a reason with the way out.
struct CounterFailure {
    CounterState state = CounterState::absent;
    std::string why;
};

/// What perf_event_open's error (a positive errno) says about an event of that kind.
CounterFailure explain_open_failure(int error, EventKind kind, CounterTarget target, CounterSystem& system);

/// A tracepoint's number in the running kernel, from tracefs wherever it is mounted.
tl::expected<std::uint64_t, CounterFailure> tracepoint_number(std::string_view subsystem, std::string_view event,
                                                              CounterSystem& system);

}  // namespace page_map_lab
