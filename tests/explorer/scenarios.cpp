// The scenarios: two or three cores, a few pages, the operations whose races the page map must win.
#include <array>
#include <memory>

#include "tests/explorer/simulated_machine.hpp"
#include "tests/explorer/world.hpp"

namespace page_map_lab::explorer {

namespace {

constexpr PageRange first_pages{0, 3};

/// Two regions whose ranges overlap; the second begins inside the first, in another address space where there can be two.
struct TwoRegions {
    explicit TwoRegions(World& world)
        : whole(world.map_region(0, {.pages = first_pages})), tail(world.map_region(1, {.pages = {1, 2}})) {}
    MappedRegion whole;
    MappedRegion tail;
};

void remove_against_write_fault(World& world) {
    const TwoRegions regions(world);
    world.make_resident({2, 1});
    world.before(1, [&] { world.write_mapped(regions.whole, 0, 1); });
    world.before(1, [&] { world.write_mapped(regions.tail, 1, 2); });
    world.core([&world] { world.remove(first_pages); });
    world.core([&world, regions] {
        world.write_mapped(regions.whole, 0, 3);
        world.write_mapped(regions.tail, 1, 4);
        world.write_mapped(regions.whole, 2, 5);
        world.write_mapped(regions.whole, 0, 6);
    });
}

void remove_against_find(World& world) {
    world.make_resident({0, 2});
    world.before(1, [&] { world.load_and_write(1, 1); });
    world.core([&world] { world.remove({0, 2}); });
    world.core([&world] {
        world.find_and_read(0);
        world.quiescent();
        world.load_and_write(1, 2);
        world.quiescent();
        world.find_and_read(1);
    });
}

void load_against_load(World& world) {
    world.core([&world] { world.load_and_write(1, 1); });
    world.core([&world] { world.load_and_read(1); });
    world.core([&world] { world.load_and_write(1, 2); });
    world.at_the_end([&world] { World::expect(world.memory.page(1).reads == 1, "a page is read more than once"); });
}

void failing_load_against_waiter(World& world) {
    world.store.fail_a_read_of(1);
    world.core([&world] { world.load_and_read(1); });
    world.core([&world] { world.load_and_write(1, 1); });
    world.core([&world] { world.find_and_read(1); });
}

void remove_against_unmap(World& world) {
    const TwoRegions regions(world);
    world.before(1, [&] { world.write_mapped(regions.tail, 1, 1); });
    world.before(2, [&] { world.write_mapped(regions.whole, 2, 2); });
    world.core([&world] { world.remove(first_pages); });
    world.core([&world, regions] {
        World::expect(world.map->remove_region(regions.tail).has_value(), "a region cannot be removed");
        std::erase_if(world.regions, [&](const MappedRegion& region) { return region.region == regions.tail.region; });
    });
    world.core([&world, regions] {
        world.write_mapped(regions.whole, 1, 3);
        world.try_write_mapped(regions.tail, 2, 4);
    });
}

void writeback_against_write_fault(World& world) {
    const TwoRegions regions(world);
    world.before(1, [&] { world.write_mapped(regions.whole, 0, 1); });
    world.before(1, [&] { world.write_mapped(regions.tail, 1, 2); });
    world.core([&world] {
        static_cast<void>(world.map->writeback(first_pages));
        world.quiescent();
        world.remove(first_pages);
    });
    world.core([&world, regions] {
        world.write_mapped(regions.whole, 0, 3);
        world.load_and_write(1, 4);
        world.quiescent();
        world.write_mapped(regions.tail, 1, 5);
    });
}

void remove_against_insert(World& world) {
    world.make_resident({1, 1});
    world.core([&world] { world.remove({0, 2}); });
    world.core([&world] { world.insert_and_write(1, 1); });
    world.core([&world] { world.find_and_read(1); });
}

/// The tree grows from one leaf to two levels, then to a directory.
void growth_against_find(World& world) {
    world.make_resident({0, 1});
    world.core([&world] {
        world.load_and_write(70, 1);
        world.quiescent();
        world.load_and_write(4200, 2);
    });
    world.core([&world] {
        world.find_and_read(0);
        world.quiescent();
        world.find_and_read(70);
        world.quiescent();
        world.find_and_read(4200);
    });
}

/// Leaves, tops and directories are unlinked and freed after a grace period, while a reader is on them.
void shrink_against_find(World& world) {
    world.make_resident({0, 1});
    world.make_resident({70, 1});
    world.make_resident({4200, 1});
    world.core([&world] {
        world.remove({64, 5000});
        world.quiescent();
        static_cast<void>(world.map->free_unused());
    });
    world.core([&world] {
        world.find_and_read(4200);
        world.quiescent();
        world.find_and_read(70);
        world.quiescent();
        world.load_and_write(0, 1);
    });
}

void truncate_against_load(World& world) {
    world.memory.page(1).stored = 7;
    world.memory.page(1).newest = 7;
    const MappedRegion region = world.map_region(0, {.pages = {0, 2}});
    world.before(2, [&] { world.write_mapped(region, 0, 8); });
    world.core([&world] {
        world.store.shorten({0, 2});
        if (!world.map->remove_or_zero({0, 2})) {
            World::violation("a truncation fails for no reason");
        }
        for (const PageIndex index : {PageIndex{0}, PageIndex{1}}) {
            const PageState page = world.memory.look_at(index);
            World::expect(!page.resident || page.value == page.newest, "a page holds what was cut off");
        }
    });
    world.core([&world] { world.load_and_read(1); });
    world.core([&world, region] { static_cast<void>(world.read_mapped(region, 0)); });
}

void private_copy_against_remove(World& world) {
    const MappedRegion shared = world.map_region(0, {.pages = first_pages});
    const MappedRegion copying = world.map_region(1, {.pages = first_pages, .sharing = Sharing::copy_on_write});
    world.before(2, [&] { world.write_mapped(shared, 1, 1); });
    world.before(1, [&] { static_cast<void>(world.read_mapped(copying, 1)); });
    world.core([&world] { world.remove(first_pages); });
    world.core([&world, copying] {
        world.write_mapped(copying, 1, 2);
        World::expect(world.read_mapped(copying, 1) == 2, "a private write is lost");
    });
    world.core([&world, shared] { world.write_mapped(shared, 1, 3); });
}

void two_removers(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = first_pages});
    world.before(2, [&] { world.write_mapped(region, 1, 1); });
    world.core([&world] { world.remove({0, 2}); });
    world.core([&world] { world.remove({1, 2}); });
    world.core([&world, region] { world.write_mapped(region, 1, 2); });
}

void protect_against_remove(World& world) {
    const TwoRegions regions(world);
    world.before(2, [&] { world.write_mapped(regions.whole, 1, 1); });
    world.core([&world] { world.remove(first_pages); });
    world.core([&world, regions] {
        World::expect(world.map->protect(regions.whole, Access::read).has_value(), "a protection fails for no reason");
        world.quiescent();
        World::expect(!world.try_write_mapped(regions.whole, 1, 9), "a write passes a protection");
    });
    world.core([&world, regions] {
        world.try_write_mapped(regions.whole, 1, 2);
        static_cast<void>(world.read_mapped(regions.tail, 1));
    });
}

/// Every revocation fails for a while: nothing is dropped, and what was closed faults back.
void failed_revocation_against_write(World& world) {
    const TwoRegions regions(world);
    world.before(1, [&] { world.write_mapped(regions.whole, 0, 1); });
    world.core([&world] {
        Hardware::instance().refuse_revocations(2);
        static_cast<void>(world.map->remove(first_pages));
        Hardware::instance().refuse_revocations(0);
        world.quiescent();
        world.remove(first_pages);
    });
    world.core([&world, regions] {
        world.write_mapped(regions.whole, 0, 2);
        world.load_and_write(1, 3);
    });
}

/// Writing back and removing exclude each other; who loses leaves things as they are.
void remove_against_writeback(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = first_pages});
    world.before(2, [&] { world.write_mapped(region, 1, 1); });
    world.core([&world] { world.remove({0, 2}); });
    world.core([&world] { static_cast<void>(world.map->writeback({1, 2})); });
    world.core([&world, region] { world.write_mapped(region, 1, 2); });
}

/// What lies between pages that are written back has no entry, and stays closed.
void writeback_around_a_hole(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = first_pages});
    world.before(1, [&] { world.write_mapped(region, 0, 1); });
    world.before(1, [&] { world.write_mapped(region, 2, 2); });
    world.core([&world] { static_cast<void>(world.map->writeback(first_pages)); });
    world.core([&world, region] {
        static_cast<void>(world.read_mapped(region, 1));
        world.write_mapped(region, 0, 3);
    });
}

/// A removal spares what is pinned, a write-back does not: the next write has to show.
void writeback_of_a_pinned_region(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = {0, 2}, .locked = true});
    world.before(1, [&] { world.write_mapped(region, 1, 1); });
    world.core([&world] { static_cast<void>(world.map->writeback({0, 2})); });
    world.core([&world, region] {
        world.write_mapped(region, 1, 2);
        world.write_mapped(region, 0, 3);
    });
    world.at_the_end([&world, region] { world.map->as_thread([&] { world.map->set_locked(region, false); }); });
}

/// A write-out fails: the page stays dirty, and in the map.
void failed_write_against_write(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = {0, 2}});
    world.before(1, [&] { world.write_mapped(region, 1, 1); });
    world.store.fail_a_write_of(1);
    world.core([&world] {
        const Result<RemovalOutcome> outcome = world.map->remove({0, 2});
        World::expect(outcome.has_value(), "a failed write fails the removal");
    });
    world.core([&world, region] {
        static_cast<void>(world.read_mapped(region, 1));
        world.quiescent();
        world.load_and_write(1, 2);
    });
    // Where the page was in use the write is still to come, and to fail.
    world.at_the_end([&world] { world.map->as_thread([&] { static_cast<void>(world.map->remove({0, 2})); }); });
}

/// From the moment that a region is pinned no page of its range leaves the map.
void pin_against_remove(World& world) {
    const MappedRegion region = world.map_region(0, {.pages = {0, 2}});
    world.before(2, [&] { world.write_mapped(region, 1, 1); });
    const auto pinned = std::make_shared<PageState>();
    world.core([&world] { world.remove({0, 2}); });
    world.core([&world, region, pinned] {
        world.map->set_locked(region, true);
        *pinned = world.memory.look_at(1);
    });
    world.core([&world, region] { static_cast<void>(world.read_mapped(region, 0)); });
    world.at_the_end([&world, region, pinned] {
        World::expect(!pinned->resident || world.memory.page(1).life == pinned->life,
                      "a page is removed from under a pinned region");
        world.map->as_thread([&] { world.map->set_locked(region, false); });
    });
}

/// A count that is one short of its end: one of two finds gets it, the other is refused.
void saturating_finds(World& world) {
    world.make_resident({0, 1});
    std::vector<Held> held;
    world.map->as_thread([&] {
        for (std::uint64_t count = 0; count + 1 < SlotWord::max_refcount; ++count) {
            held.push_back(world.map->find(0));
        }
    });
    for (int reader = 0; reader < 2; ++reader) {
        world.core([&world] {
            if (const Held page = world.map->find(0)) {
                static_cast<void>(world.memory.read(0));
                world.map->put(page);
            }
        });
    }
    world.core([&world] { world.remove({0, 1}); });
    world.at_the_end([&world, held] {
        for (const Held page : held) {
            world.map->put(page);
        }
    });
}

constexpr std::array scenarios{
    Scenario{"remove_against_write_fault", 3, remove_against_write_fault},
    Scenario{"remove_against_find", 3, remove_against_find},
    Scenario{"load_against_load", 3, load_against_load},
    Scenario{"failing_load_against_waiter", 3, failing_load_against_waiter},
    Scenario{"remove_against_unmap", 3, remove_against_unmap},
    Scenario{"writeback_against_write_fault", 3, writeback_against_write_fault},
    Scenario{"remove_against_insert", 3, remove_against_insert},
    Scenario{"growth_against_find", 5064, growth_against_find},
    Scenario{"shrink_against_find", 5064, shrink_against_find},
    Scenario{"truncate_against_load", 3, truncate_against_load},
    Scenario{"private_copy_against_remove", 3, private_copy_against_remove},
    Scenario{"two_removers", 3, two_removers},
    Scenario{"protect_against_remove", 3, protect_against_remove},
    Scenario{"failed_revocation_against_write", 3, failed_revocation_against_write},
    Scenario{"remove_against_writeback", 3, remove_against_writeback},
    Scenario{"writeback_around_a_hole", 3, writeback_around_a_hole},
    Scenario{"writeback_of_a_pinned_region", 3, writeback_of_a_pinned_region},
    Scenario{"failed_write_against_write", 3, failed_write_against_write},
    Scenario{"pin_against_remove", 3, pin_against_remove},
    Scenario{"saturating_finds", 3, saturating_finds},
};

}  // namespace

std::span<const Scenario> all_scenarios() { return scenarios; }

}  // namespace page_map_lab::explorer
