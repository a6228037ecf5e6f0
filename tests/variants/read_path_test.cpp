// Every read path: what a section holds back, and walks beside a writer that frees nodes.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "impl/core/check.hpp"
#include "impl/page_map/concepts.hpp"
#include "impl/page_map/machine.hpp"
#include "tests/variants/catalog_types.hpp"
#include "variants/layout/radix.hpp"
#include "variants/layout/xarray.hpp"
#include "variants/read_path/none.hpp"
#include "variants/read_path/rcu_qsbr.hpp"

namespace page_map_lab {
namespace {

static_assert(ReadPath<Unprotected::On<RealMachine>>);

/// Registers the calling thread with a read path while it lives.
template <class Reads>
struct Registered {
    Registered() { Reads::register_thread(); }
    ~Registered() { Reads::unregister_thread(); }
    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;
};

template <class Reads>
class ReadPathTest : public testing::Test {};
TYPED_TEST_SUITE(ReadPathTest, TypesOf<RealReadPaths>);

/// Readers walk while pages come and go; a page that stays is always found, one that goes is found whole or not at all.
template <class Reads, class Tree>
void walk_beside_a_writer() {
    constexpr PageIndex stays = 3;
    constexpr unsigned rounds = 60;
    NodeArena arena;
    Tree tree(arena, std::uint64_t{1} << 52);
    MapLock<RealMachine> lock;
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<unsigned> started{0};
    (*tree.claim(stays))->store(stays + 1);
    // Heights, far leaves and near leaves all come and go.
    const std::vector<PageIndex> comes_and_goes = {4, 64, 70, 5000, PageIndex{1} << 20, PageIndex{1} << 40};

    std::vector<std::thread> readers;
    for (unsigned reader = 0; reader < 2; ++reader) {
        readers.emplace_back([&] {
            const Registered<Reads> registered;
            ++started;
            while (!done.load()) {
                for (const PageIndex index : comes_and_goes) {
                    const typename Reads::Section section(lock);
                    const auto* const slot = tree.find_slot(index);
                    const std::uint64_t word = slot == nullptr ? 0 : slot->load(std::memory_order_acquire);
                    wrong += word != 0 && word != index + 1;
                    const auto* const kept = tree.find_slot(stays);
                    wrong += kept == nullptr || kept->load(std::memory_order_acquire) != stays + 1;
                }
                Reads::quiescent();
            }
        });
    }
    const Registered<Reads> registered;
    while (started.load() < 2) {
        std::this_thread::yield();
    }
    for (unsigned round = 0; round < rounds; ++round) {
        for (const PageIndex index : comes_and_goes) {
            const std::lock_guard guard(lock);
            const auto slot = tree.claim(index);
            ASSERT_TRUE(slot.has_value());
            (*slot)->store(index + 1, std::memory_order_release);
        }
        for (const PageIndex index : comes_and_goes) {
            const std::lock_guard guard(lock);
            tree.find_slot(index)->store(0, std::memory_order_relaxed);
            tree.release(index);
        }
        auto retired = [&] {
            const std::lock_guard guard(lock);
            return tree.take_retired();
        }();
        Reads::synchronize();
        retired.free_all();
    }
    done = true;
    Reads::offline();
    for (std::thread& reader : readers) {
        reader.join();
    }
    Reads::online();
    EXPECT_EQ(wrong.load(), 0U);
}

TYPED_TEST(ReadPathTest, WalksOfARadixTreeFindWhatIsThereWhileNodesAreFreed) {
    walk_beside_a_writer<TypeParam, Radix::With<TypeParam>>();
}

TYPED_TEST(ReadPathTest, WalksOfAnXArrayFindWhatIsThereWhileItGrowsAndShrinks) {
    walk_beside_a_writer<TypeParam, XArray::With<TypeParam>>();
}

TYPED_TEST(ReadPathTest, AGracePeriodWaitsForTheSectionsThatWereOpen) {
    if (!TypeParam::lock_free_readers) {
        GTEST_SKIP() << "a section under the lock has no grace period";
    }
    MapLock<RealMachine> lock;
    std::atomic<bool> ended{false};
    std::atomic<bool> waiting{false};
    const Registered<TypeParam> registered;
    std::thread writer;
    {
        const typename TypeParam::Section section(lock);
        writer = std::thread([&] {
            const Registered<TypeParam> writer_registered;
            waiting = true;
            TypeParam::synchronize();
            ended = true;
        });
        while (!waiting.load()) {
            std::this_thread::yield();
        }
        // Long enough for a grace period that does not wait; one that waits is never too early.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_FALSE(ended.load());
    }
    TypeParam::offline();
    writer.join();
    TypeParam::online();
    EXPECT_TRUE(ended.load());
}

TYPED_TEST(ReadPathTest, AThreadThatIsOfflineHoldsNobodyUp) {
    std::atomic<bool> parked{false};
    std::atomic<bool> ended{false};
    std::thread sleeper([&] {
        const Registered<TypeParam> registered;
        TypeParam::offline();
        parked = true;
        while (!ended.load()) {
            std::this_thread::yield();
        }
        TypeParam::online();
    });
    while (!parked.load()) {
        std::this_thread::yield();
    }
    const Registered<TypeParam> registered;
    TypeParam::synchronize();
    ended = true;
    sleeper.join();
}

TEST(RcuQsbrTest, ARegisteredThreadIsOnlineAndDebugBuildsRefuseASectionOffline) {
    using Reads = RcuQsbr::On<RealMachine>;
    MapLock<RealMachine> lock;
    const Registered<Reads> registered;
    { const Reads::Section section(lock); }
    if (!debug_checks) {
        GTEST_SKIP() << "the check is compiled in debug builds only";
    }
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH(
        {
            Reads::offline();
            const Reads::Section section(lock);
        },
        "registered and online");
}

}  // namespace
}  // namespace page_map_lab
