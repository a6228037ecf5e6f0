// The kernel's own count of interrupts per processor: the rows TLB, CAL, RES and LOC of /proc/interrupts.
//
// Thread safety: plain values. These are everybody's interrupts, not one process's: a plausibility check beside the
// tracepoints, and all there is where those are denied. One shootdown raises the TLB and the CAL row.
// Cost: reading the file takes about 50 us on two processors and grows with their number: between measurements only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "impl/platform/counters_reading.hpp"

namespace page_map_lab {

/// The rows at one moment; a difference of two moments is one of these, too.
class InterruptSnapshot {
public:
    /// The rows that are kept: TLB shootdowns, function calls, rescheduling, local timer.
    static constexpr std::array<std::string_view, 4> rows = {"TLB", "CAL", "RES", "LOC"};

    /// Reads `path`. Errors: unavailable where there is no such file, io where it cannot be read to its end,
    /// malformed where it has no processor columns.
    static Result<InterruptSnapshot> take(const std::string& path = "/proc/interrupts");
    /// As take, from the file's text.
    static Result<InterruptSnapshot> parse(std::string_view text);

    /// What came since `earlier`. The kernel's counters are 32 bits wide; one wrap is seen through.
    InterruptSnapshot since(const InterruptSnapshot& earlier) const;

    /// One row's count on one processor (operating system's number); nothing where the row or the processor is absent.
    std::optional<std::uint64_t> count(std::string_view row, unsigned cpu) const;
    /// One row's sum over all processors; nothing where the row is absent.
    std::optional<std::uint64_t> total(std::string_view row) const;

    /// As records want it: one reading per row and processor ("interrupts_tlb", scope cpu), or one absent reading of
    /// scope system for a row that this machine does not have.
    std::vector<CounterReading> readings() const;

private:
    std::map<std::string, std::map<unsigned, std::uint64_t>, std::less<>> rows_;
};

}  // namespace page_map_lab
