#include "impl/page_map/reader_thread.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "impl/page_map/machine.hpp"
#include "impl/page_map/map_lock.hpp"

namespace page_map_lab {
namespace {

/// A read path that writes down what it is told, one letter a call: Register, Unregister, oFfline, oNline.
struct FakeReads {
    using Machine = RealMachine;
    static inline thread_local std::string told;
    static void register_thread() { told += 'R'; }
    static void unregister_thread() { told += 'U'; }
    static void offline() { told += 'F'; }
    static void online() { told += 'N'; }
};

using Thread = ReaderThread<FakeReads>;

class ReaderThreads : public ::testing::Test {
protected:
    void SetUp() override { FakeReads::told.clear(); }
    static std::string told() { return std::exchange(FakeReads::told, {}); }
};

TEST_F(ReaderThreads, RegistersAndUnregistersOnce) {
    EXPECT_FALSE(Thread::is_online());
    {
        const Thread thread;
        EXPECT_TRUE(Thread::is_online());
        EXPECT_EQ(told(), "R");
    }
    EXPECT_FALSE(Thread::is_online());
    EXPECT_EQ(told(), "U");
}

TEST_F(ReaderThreads, IsOfflineForAScopeThatBlocks) {
    const Thread thread;
    told();
    {
        const Thread::OfflineScope offline;
        EXPECT_FALSE(Thread::is_online());
        EXPECT_EQ(told(), "F");
    }
    EXPECT_TRUE(Thread::is_online());
    EXPECT_EQ(told(), "N");
}

TEST_F(ReaderThreads, AnOfflineScopeInsideAnotherTellsNothing) {
    const Thread thread;
    const Thread::OfflineScope outer;
    told();
    { const Thread::OfflineScope inner; }
    EXPECT_EQ(told(), "") << "only the outer one brings the thread online again";
    EXPECT_FALSE(Thread::is_online());
}

TEST_F(ReaderThreads, AnOfflineScopeOfAThreadThatIsNotRegisteredTellsNothing) {
    { const Thread::OfflineScope offline; }
    EXPECT_EQ(told(), "");
    EXPECT_FALSE(Thread::is_online());
}

// A fault may interrupt a thread in any state; it puts back what was.
TEST_F(ReaderThreads, AnOnlineScopeRegistersAThreadThatIsNot) {
    {
        const Thread::OnlineScope online;
        EXPECT_TRUE(Thread::is_online());
        EXPECT_EQ(told(), "R");
    }
    EXPECT_FALSE(Thread::is_online());
    EXPECT_EQ(told(), "U");
}

TEST_F(ReaderThreads, AnOnlineScopeBringsAnOfflineThreadBackForItsTime) {
    const Thread thread;
    const Thread::OfflineScope offline;
    told();
    {
        const Thread::OnlineScope online;
        EXPECT_TRUE(Thread::is_online());
        EXPECT_EQ(told(), "N");
        { const Thread::OfflineScope blocks; }
        EXPECT_EQ(told(), "FN");
    }
    EXPECT_FALSE(Thread::is_online());
    EXPECT_EQ(told(), "F");
}

TEST_F(ReaderThreads, AnOnlineScopeOfAThreadThatIsOnlineTellsNothing) {
    const Thread thread;
    told();
    { const Thread::OnlineScope online; }
    EXPECT_EQ(told(), "");
    EXPECT_TRUE(Thread::is_online());
}

TEST_F(ReaderThreads, AreEachTheirOwn) {
    const Thread thread;
    std::thread([] {
        EXPECT_FALSE(Thread::is_online());
        const Thread other;
        EXPECT_TRUE(Thread::is_online());
        const Thread::OfflineScope offline;
    }).join();
    EXPECT_TRUE(Thread::is_online());
}

TEST_F(ReaderThreads, RegisteringTwiceEndsTheProgram) {
    EXPECT_DEATH(
        {
            const Thread one;
            const Thread other;
        },
        "a thread registers once");
}

TEST_F(ReaderThreads, StayOnlineForALockThatIsFree) {
    const Thread thread;
    told();
    MapLock<RealMachine> lock;
    lock_offline<FakeReads>(lock);
    EXPECT_FALSE(lock.try_lock());
    EXPECT_EQ(told(), "");
    lock.unlock();
}

// Invariant 8: whoever holds the lock may be waiting for a grace period to end.
TEST_F(ReaderThreads, AreOfflineWhileTheyWaitForALock) {
    /// A lock that is taken the first time it is tried, and says what its waiter was meanwhile.
    struct Contended {
        std::optional<bool> waiter_was_online;
        bool try_lock() noexcept { return false; }
        void lock() noexcept { waiter_was_online = Thread::is_online(); }
    };
    const Thread thread;
    Contended lock;
    lock_offline<FakeReads>(lock);
    EXPECT_EQ(lock.waiter_was_online, false);
    EXPECT_TRUE(Thread::is_online());
}

}  // namespace
}  // namespace page_map_lab
