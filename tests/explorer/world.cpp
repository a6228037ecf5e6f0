#include "tests/explorer/world.hpp"

#include <utility>

#include "tests/explorer/simulated_machine.hpp"

namespace page_map_lab::explorer {

namespace {

constexpr std::uint64_t frame_count = 8;

void note(const std::string& what, PageIndex index) {
    Simulation::instance().note(what + " page " + std::to_string(index));
}

const VariantUnderTest& beginning(const VariantUnderTest& variant) {
    Simulation::instance().begin();
    Hardware::instance().begin();
    Readers::instance().begin();
    return variant;
}

}  // namespace

World::World(const VariantUnderTest& variant, std::uint64_t size_pages)
    : memory((beginning(variant), size_pages)), map(variant.make({&memory, &store, frame_count})) {}

World::~World() = default;

MappedRegion World::map_region(unsigned space, const RegionOptions& options) {
    Result<MappedRegion> region = map->add_region(space, options);
    expect(region.has_value(), "a region cannot be mapped");
    regions.push_back(*region);
    return *region;
}

void World::make_resident(PageRange pages) {
    map->as_thread([&] {
        for (PageIndex index = pages.first; index != pages.end(); ++index) {
            expect(load_and_read(index), "a page cannot be loaded");
        }
    });
}

void World::before(unsigned core, const std::function<void()>& body) {
    Simulation::instance().act_as(core, [&] { map->as_thread(body); });
}

void World::core(std::function<void()> body) {
    bodies_.push_back([this, body = std::move(body)] { map->as_thread(body); });
}

void World::write_mapped(const MappedRegion& region, PageIndex index, std::uint64_t value) {
    expect(try_write_mapped(region, index, value), "a write through a region was refused");
}

std::uint64_t World::read_mapped(const MappedRegion& region, PageIndex index) {
    note("reads through a region:", index);
    const Result<std::uint64_t> value = Hardware::instance().read(region.address_of(index));
    expect(value.has_value(), "a read through a region was refused");
    return *value;
}

bool World::try_write_mapped(const MappedRegion& region, PageIndex index, std::uint64_t value) {
    note("writes " + std::to_string(value) + " through a region:", index);
    return Hardware::instance().write(region.address_of(index), value).has_value();
}

bool World::try_read_mapped(const MappedRegion& region, PageIndex index) {
    note("reads through a region:", index);
    return Hardware::instance().read(region.address_of(index)).has_value();
}

bool World::load_and_read(PageIndex index) {
    note("loads and reads", index);
    Result<Held> page = map->load(index);
    if (!page) {
        return false;
    }
    static_cast<void>(memory.read(index));
    static_cast<void>(memory.read(index));
    map->put(*page);
    return true;
}

bool World::load_and_write(PageIndex index, std::uint64_t value) {
    note("loads and writes " + std::to_string(value) + " to", index);
    Result<Held> page = map->load(index);
    if (!page) {
        return false;
    }
    memory.write(index, value);
    map->mark_dirty(*page);
    map->put(*page);
    return true;
}

void World::find_and_read(PageIndex index) {
    note("finds", index);
    if (const Held page = map->find(index)) {
        if (map->is_current(page)) {
            static_cast<void>(memory.read(index));
        }
        map->put(page);
    }
}

void World::insert_and_write(PageIndex index, std::uint64_t value) {
    note("inserts", index);
    for (;;) {
        Result<Held> page = map->insert(index);
        if (page) {
            memory.write(index, value);
            map->mark_dirty(*page);
            map->put(*page);
            return;
        }
        if (page.error().code != ErrorCode::busy) {
            expect(page.error().code == ErrorCode::already_present, "an insert fails for no reason");
            return;
        }
        map->quiescent();
        SimulatedMachine::yield();
    }
}

RemovalOutcome World::remove(PageRange range) {
    Simulation::instance().note("removes pages [" + std::to_string(range.first) + ", " + std::to_string(range.end()) + ")");
    Result<RemovalOutcome> outcome = map->remove(range);
    expect(outcome.has_value(), "a removal fails for no reason");
    expect(!outcome->write_error && !outcome->punch_error, "a removal meets an error for no reason");
    return *outcome;
}

void World::finish(bool looks_closely) {
    for (const auto& check : ends_) {
        check();
    }
    map->as_thread([&] {
        if (looks_closely) {
            if (const Status sound = map->audit(); !sound) {
                violation("at rest: " + sound.error().text());
            }
        }
        for (const MappedRegion& region : regions) {
            expect(map->remove_region(region).has_value(), "a region cannot be removed at the end");
        }
        // A page's dirty bits are the map's now: whatever was written is in the map or in the store.
        static_cast<void>(remove({0, memory.size_pages()}));
        if (const Status gone = map->destroy(); !gone) {
            expect_newest_in_the_store();  // a page that stays because it is never written is no matter of its count
            violation("a count is wrong: " + gone.error().text());
        }
    });
    if (!looks_closely) {
        return;
    }
    if (map->page_count() != 0) {
        violation("the map counts " + std::to_string(map->page_count()) + " pages and has none");
    }
    if (map->frames_in_use() != 0) {
        violation(std::to_string(map->frames_in_use()) + " frames leak");
    }
    expect(map->frames_quarantined() == 0, "a frame is quarantined for no reason");
    expect_newest_in_the_store();
    for (const auto& [index, page] : memory.pages()) {
        if (page.resident) {
            violation("the memory of page " + std::to_string(index) + " leaks");
        }
    }
}

void World::expect_newest_in_the_store() {
    for (const auto& [index, page] : memory.pages()) {
        if (page.stored != page.newest) {
            violation("a write is lost: the store holds " + std::to_string(page.stored) + " of page " + std::to_string(index) +
                      ", and " + std::to_string(page.newest) + " was written last");
        }
    }
}

}  // namespace page_map_lab::explorer
