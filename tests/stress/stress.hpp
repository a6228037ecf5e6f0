// A page map under everything at once: readers, writers and faulters, an evictor, regions that come and go, write-back and
// truncation, over several objects, for as long as it is told.
//
// Every value that is read says who wrote it and when (stamped_pages.hpp), removed pages are poisoned after their flush
// where debug checks are on, and at the end the store holds what was written last, memory equals it, and no frame is in use.
//
// Thread safety: run_stress starts and joins its own threads; one run at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "variants/any_page_map.hpp"

namespace page_map_lab::stress {

using MakeMap = std::function<std::unique_ptr<AnyPageMap>(const AnyPageMap::Options&)>;

struct StressOptions {
    std::chrono::duration<double> time{1};  ///< ends after so long
    std::uint64_t operations = 0;           ///< or after so many, the workers' too, where this is not 0, however long it takes
    unsigned workers = 3;                   ///< readers, writers and faulters, in turns; at least one of each
    unsigned processes = 0;                 ///< worker processes that are killed now and then; the nursery has to run
    /// The mapper, the evictor, the keeper and the parents each do one in so many of the operations: where a shootdown takes
    /// milliseconds they are all that a run would do. 0: they do as many as they can.
    std::uint64_t disturb_one_in = 0;
    unsigned frames_percent = 50;           ///< frames for so many of an object's pages, but for the one that fits
    std::uint64_t seed = 1;
    std::chrono::seconds hang{60};          ///< a thread that ends no operation for so long hangs: the process ends
};

struct StressOutcome {
    std::uint64_t operations = 0;
    std::uint64_t disturbances = 0;  ///< those of the mapper, the evictor and the keeper
    std::uint64_t evictions = 0;  ///< pages that were removed while threads used the objects
    std::uint64_t kills = 0;      ///< of worker processes; of those, how many in each of three places
    std::uint64_t kills_in_faults = 0;
    std::uint64_t kills_in_writes = 0;
    std::uint64_t kills_in_shootdowns = 0;
    std::uint64_t stale = 0;      ///< values that were read and may not be seen any more
    std::uint64_t lost = 0;       ///< values that the store or a page does not hold at the end
    std::uint64_t leaked = 0;     ///< frames, and pages of memory, that are in use at the end
    std::vector<std::string> findings{};  ///< what was wrong, the first few of each thread; errors that nobody expects too

    bool clean() const { return stale == 0 && lost == 0 && leaked == 0 && findings.empty(); }
    void add(StressOutcome other);
};

/// Runs every role on maps that `make` makes. A thread that hangs is reported on standard error with what each thread does,
/// and the process exits with 1.
StressOutcome run_stress(const MakeMap& make, const StressOptions& options);

}  // namespace page_map_lab::stress
