// The phases of a removal, and who may watch them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace page_map_lab {

/// What remove_contig is doing: its six passes in order, and what it waits for, which interrupts any of them.
enum class Phase : std::uint8_t {
    mark,
    revoke,
    flush,
    collect,
    write_back,
    free,
    lock,          ///< somebody else has the map's lock, or a page table's
    grace_period,  ///< readers may still see nodes that the layout retired
    count,
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Phase::count)> phase_names{
    "mark", "revoke", "flush", "collect", "write_back", "free", "lock", "grace_period"};

/// Told at each border of a removal's phases. Runs inside the removal, some of it under the map's lock: reads clocks or
/// counters and calls nothing of the page map. Absent, it costs one predicted branch a border.
class PhaseObserver {
public:
    virtual ~PhaseObserver() = default;
    virtual void enter(Phase phase) noexcept = 0;
    virtual void finish() noexcept = 0;
};

/// Tells an observer, where there is one, which phase begins, and at last that the removal is over. One that began nothing,
/// because it did not get its turn, tells nothing.
///
/// Thread safety: belongs to the thread that removes.
class PhaseMarks {
public:
    explicit PhaseMarks(PhaseObserver* observer) noexcept : observer_(observer) {}
    ~PhaseMarks() {
        if (entered_ != Phase::count) {
            observer_->finish();
        }
    }
    PhaseMarks(const PhaseMarks&) = delete;
    PhaseMarks& operator=(const PhaseMarks&) = delete;

    void enter(Phase phase) noexcept {
        if (observer_ != nullptr) {
            entered_ = phase;
            observer_->enter(phase);
        }
    }

    /// Waits, where `marks` are those of a removal: in `phase` for a scope, and then again in the phase that waited.
    class Waiting {
    public:
        Waiting(PhaseMarks* marks, Phase phase) noexcept
            : marks_(marks), interrupted_(marks == nullptr ? Phase::count : marks->entered_) {
            if (marks_ != nullptr) {
                marks_->enter(phase);
            }
        }
        ~Waiting() {
            if (interrupted_ != Phase::count) {
                marks_->enter(interrupted_);
            }
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;

    private:
        PhaseMarks* const marks_;
        const Phase interrupted_;  ///< count before the first one
    };

private:
    PhaseObserver* const observer_;
    Phase entered_ = Phase::count;
};

}  // namespace page_map_lab
