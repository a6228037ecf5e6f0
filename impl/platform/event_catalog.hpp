// Which hardware events answer which question, on which processor: the tables behind the named counter sets.
//
// The same question has the same name on every machine that can answer it ("dtlb_load_walks"), so that records
// compare; where machines count something different, the names differ ("dtlb_walks" are loads and stores together).
// Thread safety: immutable after the first call. Source: vendors' event lists as libpfm4 4.13 names them; raw codes
// from the vendors' manuals for processors newer than that.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "impl/platform/counters_reading.hpp"

namespace page_map_lab {

/// One question to the PMU.
struct HardwareEvent {
    std::string_view name;     ///< the lab's name for what is counted
    std::string_view meaning;  ///< one sentence for users
    /// Ways to ask, tried in this order: "EVENT:UNIT_MASK" of the machine's own PMU, "perf::EVENT" of the kernel's
    /// generic ones, "raw:0xCODE". Empty where this processor cannot answer; `meaning` then says why.
    std::vector<std::string_view> encodings;
};

/// Who the processor is, as far as a table depends on it.
struct ProcessorIdentity {
    std::string vendor{};  ///< "GenuineIntel", "AuthenticAMD", "HygonGenuine", "ARM", or empty
    unsigned family = 0;
    unsigned model = 0;
    std::string pmu{};  ///< libpfm4's prefix of the core PMU that it recognised ("skx"), or empty
};

/// Reads vendor, family and model from the text of /proc/cpuinfo; unknown fields stay empty. The PMU is left empty.
ProcessorIdentity parse_processor_identity(std::string_view cpuinfo);

/// The events of every set on one kind of processor.
struct EventTable {
    std::string_view title;              ///< for users: "AMD Zen 4"
    std::vector<std::string_view> pmus;  ///< libpfm4's prefixes that it is for; empty for a fallback
    std::map<CounterSetName, std::vector<HardwareEvent>> sets;

    std::span<const HardwareEvent> events(CounterSetName set) const noexcept;
};

/// Every table, fallbacks included.
std::span<const EventTable> event_tables();

/// The table for a processor: by libpfm4's PMU, else by vendor and model (raw codes of parts that libpfm4 does not know
/// yet), else the kernel's generic events.
const EventTable& event_table_for(const ProcessorIdentity& processor);

/// An encoding with its PMU's prefix: "skx::DTLB_LOAD_MISSES:STLB_HIT"; "perf::" and "raw:" ones stay as they are.
std::string qualified_encoding(std::string_view encoding, std::string_view pmu);

}  // namespace page_map_lab
