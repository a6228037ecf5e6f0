// A node that is freed too early is reported: what the sanitizers are told about grace periods hides nothing.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <sys/wait.h>

#include <gtest/gtest.h>

#include "impl/page_map/machine.hpp"
#include "tests/variants/catalog_types.hpp"
#include "variants/layout/radix.hpp"
#include "variants/read_path/rcu_memb.hpp"

namespace page_map_lab {
namespace {

enum class GracePeriod { awaited, forgotten };

/// One thread reads a slot in a section; another then frees its leaf. Nothing but the grace period orders the two.
template <class Reads>
[[noreturn]] void read_and_free(GracePeriod grace_period) {
    NodeArena arena;
    Radix::With<Reads> tree(arena, 4096);
    MapLock<RealMachine> lock;
    std::atomic<bool> has_read{false};
    std::atomic<bool> freed{false};
    Reads::register_thread();
    if (!tree.claim(7).has_value()) {
        std::_Exit(3);
    }
    std::thread reader([&] {
        Reads::register_thread();
        {
            const typename Reads::Section section(lock);
            static_cast<void>(tree.find_slot(7)->load(std::memory_order_relaxed));
        }
        // relaxed, and below: the order of the test's steps must be no order to the sanitizer.
        has_read.store(true, std::memory_order_relaxed);
        Reads::offline();
        while (!freed.load(std::memory_order_relaxed)) {
            std::this_thread::yield();
        }
        Reads::online();
        Reads::unregister_thread();
    });
    while (!has_read.load(std::memory_order_relaxed)) {
        std::this_thread::yield();
    }
    lock.lock();
    tree.release(7);
    auto retired = tree.take_retired();
    lock.unlock();
    if (grace_period == GracePeriod::awaited) {
        Reads::synchronize();
    }
    retired.free_all();
    freed.store(true, std::memory_order_relaxed);
    Reads::offline();
    reader.join();
    Reads::online();
    Reads::unregister_thread();
    std::exit(0);
}

template <class Reads>
class EarlyFreeTest : public testing::Test {
protected:
    EarlyFreeTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};
using LockFreeReadPaths = filter<RealReadPaths, HasLockFreeReaders>;  // sections under the lock have no grace period
TYPED_TEST_SUITE(EarlyFreeTest, TypesOf<LockFreeReadPaths>);

TYPED_TEST(EarlyFreeTest, AFreeAfterItsGracePeriodIsNoRace) {
    EXPECT_EXIT(read_and_free<TypeParam>(GracePeriod::awaited), testing::ExitedWithCode(0), "");
}

TYPED_TEST(EarlyFreeTest, AFreeWithoutAGracePeriodIsReportedAsARace) {
    if (!thread_sanitizer) {
        GTEST_SKIP() << "needs the tsan preset";
    }
    const auto reported = [](int status) { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; };
    EXPECT_EXIT(read_and_free<TypeParam>(GracePeriod::forgotten), reported, "WARNING: ThreadSanitizer");
}

#if defined(__SANITIZE_ADDRESS__)
TEST(EarlyFreeDeathTest, ASlotOfAFreedLeafIsReportedByAddressSanitizer) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    NodeArena arena;
    Radix::With<RcuMemb::On<RealMachine>> tree(arena, 4096);
    auto* const slot = *tree.claim(7);
    tree.release(7);
    tree.take_retired().free_all();
    EXPECT_DEATH(slot->store(1), "heap-use-after-free");
}
#endif

}  // namespace
}  // namespace page_map_lab
