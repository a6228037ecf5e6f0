// Keeps a map within its frames: a page map's reclaim hook that sweeps over the object and removes a run of pages at a
// time.
//
// Thread safety: any number of threads reclaim at once. Progress: blocking; gives up after five seconds in which
// nothing could be removed.
// Invariant: a revocation or a write-back that failed is kept for the workload's check.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "impl/page_map/page_map.hpp"

namespace page_map_lab::bench {

/// What evictions did, all threads together.
struct EvictionTotals {
    std::uint64_t removals = 0;
    std::uint64_t removed = 0;
    std::uint64_t written_back = 0;
    ShootdownCost shootdown;
};

template <class Map>
class SweepingEvictor {
public:
    /// Removes `run_pages` at a time; one sweep over the object is as fair as first in, first out.
    SweepingEvictor(std::uint64_t object_pages, std::uint64_t run_pages)
        : object_pages_(object_pages), run_pages_(std::min(run_pages, object_pages)) {}

    /// To be called once, before anything is loaded.
    void serve(Map& map, typename Map::Frames& frames) {
        map_ = &map;
        frames_ = &frames;
    }

    /// The hook: whether it is worth trying again.
    bool operator()() {
        constexpr auto patience = std::chrono::seconds(5);
        constexpr unsigned runs_before_looking = 8;
        const auto deadline = std::chrono::steady_clock::now() + patience;
        do {
            for (unsigned run = 0; run < runs_before_looking; ++run) {
                if (remove_next_run()) {
                    return true;
                }
            }
            if (frames_->in_use() < frames_->frame_count()) {
                return true;  // somebody else's removal freed some
            }
            typename Map::Thread::OfflineScope offline;
            Map::Machine::yield();
        } while (std::chrono::steady_clock::now() < deadline);
        return false;
    }

    EvictionTotals totals() {
        const std::lock_guard guard(totals_lock_);
        return totals_;
    }
    /// The first thing that went wrong, or empty.
    std::string failure() {
        const std::lock_guard guard(totals_lock_);
        return failure_;
    }

private:
    bool remove_next_run() {
        // relaxed: only spreads the runs; the map orders the rest.
        const PageIndex first = hand_.fetch_add(run_pages_, std::memory_order_relaxed) % object_pages_;
        const PageRange run{first, std::min(run_pages_, object_pages_ - first)};
        const Result<RemovalOutcome> outcome = map_->remove_contig(run);
        const std::lock_guard guard(totals_lock_);
        if (!outcome || outcome->write_error || outcome->punch_error) {
            if (failure_.empty()) {
                failure_ = "an eviction failed: " + (!outcome               ? outcome.error()
                                                     : outcome->write_error ? *outcome->write_error
                                                                            : *outcome->punch_error)
                                                        .text();
            }
            return outcome.has_value() && outcome->removed != 0;
        }
        if (outcome->removed == 0) {
            return false;
        }
        ++totals_.removals;
        totals_.removed += outcome->removed;
        totals_.written_back += outcome->written_back;
        totals_.shootdown += outcome->shootdown;
        return true;
    }

    const std::uint64_t object_pages_;
    const std::uint64_t run_pages_;
    Map* map_ = nullptr;
    typename Map::Frames* frames_ = nullptr;
    std::atomic<std::uint64_t> hand_{0};
    std::mutex totals_lock_;
    EvictionTotals totals_;
    std::string failure_;
};

}  // namespace page_map_lab::bench
