// What a scenario is told in: one map on one simulated machine, made anew for each run, and the checks at its end.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/explorer/map_under_test.hpp"

namespace page_map_lab::explorer {

class World {
public:
    World(const VariantUnderTest& variant, std::uint64_t size_pages);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // --- Setting up ------------------------------------------------------------------------------------------------------
    MappedRegion map_region(unsigned space, const RegionOptions& options);
    /// Pages that are in the map and used by nobody.
    void make_resident(PageRange pages);
    /// What a core does before the run begins, so that its TLB holds what it touched.
    void before(unsigned core, const std::function<void()>& body);
    /// What the next core does in the run.
    void core(std::function<void()> body);
    void at_the_end(std::function<void()> check) { ends_.push_back(std::move(check)); }

    // --- What cores do ---------------------------------------------------------------------------------------------------
    /// Through a region, as a program does. A fault that is refused is what `refused` expects, or a violation.
    void write_mapped(const MappedRegion& region, PageIndex index, std::uint64_t value);
    std::uint64_t read_mapped(const MappedRegion& region, PageIndex index);
    /// The same where it may end in SIGSEGV. Whether it did not.
    bool try_write_mapped(const MappedRegion& region, PageIndex index, std::uint64_t value);
    bool try_read_mapped(const MappedRegion& region, PageIndex index);

    /// By reference: load, look twice or write, put. Whether the load succeeded.
    bool load_and_read(PageIndex index);
    bool load_and_write(PageIndex index, std::uint64_t value);
    /// find, look where the bytes are there, put.
    void find_and_read(PageIndex index);
    /// Inserts and fills a page, where there is none.
    void insert_and_write(PageIndex index, std::uint64_t value);
    RemovalOutcome remove(PageRange range);
    void quiescent() { map->quiescent(); }

    // --- Running ---------------------------------------------------------------------------------------------------------
    std::span<const std::function<void()>> bodies() const noexcept { return bodies_; }
    /// Everything that must hold at rest, then everything is taken down and looked at again; or it is only taken down.
    void finish(bool looks_closely = true);

    [[noreturn]] static void violation(const std::string& what) { Simulation::instance().violation(what); }
    static void expect(bool holds, std::string_view what) {
        if (!holds) {
            violation(std::string(what));
        }
    }

    SimulatedMemory memory;
    SimulatedStore store{memory};
    std::unique_ptr<MapUnderTest> map;
    /// Regions that are still mapped at the end.
    std::vector<MappedRegion> regions;

private:
    void expect_newest_in_the_store();

    std::vector<std::function<void()>> bodies_;
    std::vector<std::function<void()>> ends_;
};

/// A few operations on a few cores that race for one thing.
struct Scenario {
    std::string_view name;
    std::uint64_t size_pages;
    void (*set_up)(World& world);
};

std::span<const Scenario> all_scenarios();

}  // namespace page_map_lab::explorer
