// The phases of a removal, and who may watch them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace page_map_lab {

/// What remove_contig is doing; the six passes in order, then the bookkeeping after them.
enum class Phase : std::uint8_t { mark, revoke, flush, collect, write_back, free, count };

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Phase::count)> phase_names{
    "mark", "revoke", "flush", "collect", "write_back", "free"};

/// Told at each border of a removal's phases. Runs inside the removal, some of it under the map's lock: reads clocks or
/// counters and calls nothing of the page map. Absent, it costs one predicted branch a phase.
class PhaseObserver {
public:
    virtual ~PhaseObserver() = default;
    virtual void enter(Phase phase) noexcept = 0;
    virtual void finish() noexcept = 0;
};

}  // namespace page_map_lab
