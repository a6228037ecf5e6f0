// Every variant against the simplest thing that could be right: an array of versions.
#include <array>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "tests/variants/page_map_fixture.hpp"

namespace page_map_lab::testing {
namespace {

class Oracle : public PageMapTest {};
FOR_EVERY_VARIANT(Oracle);

#if defined(__SANITIZE_THREAD__)
constexpr int steps = 300;
constexpr int steps_of_one_thread = 100;  // in which it can find nothing
#elif defined(__SANITIZE_ADDRESS__)
constexpr int steps = 300;
constexpr int steps_of_one_thread = steps;
#else
constexpr int steps = 1000;
constexpr int steps_of_one_thread = steps;
#endif

TEST_P(Oracle, AgreesWithAnArrayOfVersions) {
    make_map({.frame_count = 64, .reclaim = [&] {
                  Result<RemovalOutcome> evicted = map->remove_contig({0, object_pages});
                  return evicted && evicted->removed > 0;
              }});
    std::array<std::uint64_t, object_pages> versions{};
    std::mt19937_64 random(20140214);
    const auto below = [&](std::uint64_t bound) { return random() % bound; };
    std::array<AnyRegion*, 2> regions{map_region({.pages = {0, object_pages}}), map_region({.pages = {32, 96}})};
    for (int step = 1; step <= steps_of_one_thread; ++step) {
        const PageIndex index = below(object_pages);
        AnyRegion*& second = regions[1];
        const bool in_second = PageRange{32, 96}.contains(index) && second != nullptr;
        AnyRegion* region = in_second && below(2) == 0 ? second : regions[0];
        switch (below(10)) {
            case 0:
            case 1: ASSERT_EQ(version(index), versions[index]) << "page " << index << " at step " << step; break;
            case 2:
            case 3:
                versions[index] = static_cast<std::uint64_t>(step);
                write(index, versions[index]);
                break;
            case 4:
            case 5:
                ASSERT_EQ(mapped_version(region, index), versions[index]) << "page " << index << " at step " << step;
                break;
            case 6:
                // Under a reference, so that no reclaim can run between the bytes of one version.
                versions[index] = static_cast<std::uint64_t>(step);
                write_mapped(region, index, versions[index]);
                break;
            case 7: remove({index, below(64)}); break;
            case 8:
                if (below(2) == 0) {
                    ASSERT_TRUE(map->writeback({index, below(64)}));
                } else {
                    ASSERT_TRUE(map->free_unused());
                }
                break;
            default:
                if (second != nullptr) {
                    remove_region(second);
                    second = nullptr;
                } else {
                    second = map_region({.pages = {32, 96}});
                }
                break;
        }
        if (step % 100 == 0) {
            const Status sound = map->audit();
            ASSERT_TRUE(sound) << "at step " << step << ": " << sound.error().text();
        }
    }
    for (AnyRegion* region : regions) {
        if (region != nullptr) {
            remove_region(region);
        }
    }
    ASSERT_TRUE(map->destroy());
    for (PageIndex index = 0; index < object_pages; ++index) {
        EXPECT_EQ(store.stored_version(index), versions[index]) << "page " << index;
    }
}

// Each page has a mutex for its bytes and its version; the map has to keep the pages. A thread that waits for one says
// that it is quiescent, so that no grace period waits for it.
TEST_P(Oracle, LosesNothingWhileThreadsReadWriteMapAndRemove) {
    constexpr std::uint64_t pages = 64;
    constexpr int workers = 3;
    make_map({.frame_count = 40, .reclaim = [&] {
                  Result<RemovalOutcome> evicted = map->remove_contig({0, object_pages});
                  if (evicted && evicted->removed == 0) {
                      std::this_thread::yield();
                  }
                  return evicted.has_value();
              }});
    struct Truth {
        std::mutex mutex;
        std::uint64_t version = 0;
    };
    std::array<Truth, pages> truth;
    AnyRegion* shared = map_region({.pages = {0, pages}});
    std::atomic<int> wrong{0};
    std::atomic<bool> stop{false};
    auto offline = map->offline_scope();  // this thread only waits
    std::vector<std::thread> threads;
    for (int number = 0; number < workers; ++number) {
        threads.emplace_back([&, number] {
            const auto registration = map->register_thread();
            std::mt19937_64 random(static_cast<std::uint64_t>(number));
            for (int step = 0; step < steps; ++step) {
                map->quiescent();
                const PageIndex index = random() % pages;
                while (!truth[index].mutex.try_lock()) {
                    map->quiescent();
                    std::this_thread::yield();
                }
                const std::lock_guard guard(truth[index].mutex, std::adopt_lock);
                std::uint64_t& version = truth[index].version;
                const auto through_mapping =
                    std::span<std::byte, page_size>(map->address_of(shared, index), page_size);
                switch (random() % 4) {
                    case 0: wrong += version_of(through_mapping, index) != version; break;
                    case 1: fill_contents(through_mapping, index, ++version); break;
                    default:
                        Result<AnyCounted> page = map->load(index);
                        if (!page) {
                            ++wrong;
                            break;
                        }
                        wrong += version_of(map->bytes(*page).first<page_size>(), index) != version;
                        if (random() % 2 == 0) {
                            fill_contents(map->bytes(*page), index, ++version);
                            map->mark_dirty(*page);
                        }
                        map->put(*page);
                }
            }
        });
    }
    std::thread remover([&] {
        const auto registration = map->register_thread();
        std::mt19937_64 random(99);
        // relaxed: only ends the loop
        while (!stop.load(std::memory_order_relaxed)) {
            Result<RemovalOutcome> outcome = map->remove_contig({random() % pages, random() % 24});
            wrong += !outcome;
            if (random() % 8 == 0) {
                Result<RemovalOutcome> written = map->writeback({0, pages});
                wrong += !written && written.error().code != ErrorCode::busy;
            }
            if (random() % 8 == 0) {
                Result<AnyRegion*> passing = map->add_region({.pages = {8, 16}});
                wrong += !passing || !map->fault(*passing, 9, Access::read) || !map->remove_region(*passing);
            }
            map->quiescent();
            std::this_thread::yield();
        }
    });
    for (std::thread& one : threads) {
        one.join();
    }
    stop.store(true, std::memory_order_relaxed);  // relaxed: only ends the loop
    remover.join();
    offline.reset();
    EXPECT_EQ(wrong.load(), 0);
    const Status sound = map->audit();
    EXPECT_TRUE(sound) << sound.error().text();
    remove_region(shared);
    ASSERT_TRUE(map->destroy());
    for (PageIndex index = 0; index < pages; ++index) {
        EXPECT_EQ(store.stored_version(index), truth[index].version) << "page " << index;
    }
}

}  // namespace
}  // namespace page_map_lab::testing
