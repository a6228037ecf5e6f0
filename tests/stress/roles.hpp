// What the threads of a stress run do, one operation at a time.
//
// Thread safety: a StressThread belongs to its thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "tests/stress/stressed_object.hpp"
#include "tests/stress/watchdog.hpp"
#include "tests/stress/worker_parent.hpp"

namespace page_map_lab::stress {

class StressThread {
public:
    enum class Role : std::uint8_t {
        reader,   ///< find, load_nowait, load and insert; looks at every lane
        writer,   ///< load, its lane, mark_dirty
        faulter,  ///< looks at lanes and writes its own through mappings
        mapper,   ///< regions that come and go: shared, read-only, pinned, private
        evictor,  ///< remove_contig
        keeper,   ///< writeback, free_unused, truncation
        parent,   ///< makes a worker process, and kills it
    };
    static std::string_view name_of(Role role);

    /// The parent's worker is waited for within `patience`.
    StressThread(Role role, unsigned writer, std::uint64_t seed, std::deque<StressedObject>& objects,
                 std::chrono::milliseconds patience, ThreadTrace& trace)
        : role_(role),
          writer_(writer),
          random_(seed),
          objects_(objects),
          trace_(trace),
          worker_(writer, objects, patience, trace) {}

    /// One operation.
    void step();
    /// After the last one.
    void finish();

    /// How many operations the parent's workers have done since it was asked last.
    std::uint64_t workers_done_since() noexcept { return worker_.done_since(); }
    std::uint64_t steps() const noexcept { return trace_.begun(); }
    const StressOutcome& outcome() const noexcept { return outcome_; }

private:
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    void read();
    void write();
    void fault();
    void map_and_unmap();
    void use_shared(AnyRegion* region, const RegionOptions& options);
    void use_private(AnyRegion* region, const RegionOptions& options);
    void evict();
    void keep();

    void look(PageIndex page, const std::byte* bytes);
    void expect(const Status& status, const char* what);
    void found_wrong(std::string finding);

    const Role role_;
    const unsigned writer_;
    std::mt19937_64 random_;
    std::deque<StressedObject>& objects_;
    StressedObject* object_ = nullptr;
    ThreadTrace& trace_;
    WorkerParent worker_;
    StressOutcome outcome_;
};

}  // namespace page_map_lab::stress
