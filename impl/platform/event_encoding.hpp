// From an event's name to what perf_event_open takes, through libpfm4.
//
// Thread safety: all functions, one at a time behind a lock. The first call sets LIBPFM_ENCODE_INACTIVE in the
// environment, so that the events of processors other than this one encode, too: make it before other threads start.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "impl/core/error.hpp"

namespace page_map_lab {

/// The fields of perf_event_attr that say what is counted.
struct EncodedEvent {
    std::uint32_t type = 0;
    std::uint64_t config = 0;
    std::uint64_t config1 = 0;
    std::uint64_t config2 = 0;
};

/// Encodes "skx::DTLB_LOAD_MISSES:STLB_HIT", "perf::CYCLES" or "raw:0xf045". Errors: unavailable where libpfm4 does not
/// know the PMU or the event, usage where a raw code is no number.
Result<EncodedEvent> encode_event(std::string_view name);

/// libpfm4's prefix for the core PMU of this processor ("skx"), or empty where it does not recognise it. The processor
/// is recognised by its model: whether the kernel drives a PMU is another question.
std::string recognised_pmu();

/// "4.13"
std::string libpfm_version();

}  // namespace page_map_lab
