#include "impl/page_map/frame_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <set>
#include <thread>
#include <vector>

#include "impl/page_map/machine.hpp"

namespace page_map_lab {
namespace {

using Frames = FrameTable<RealMachine>;

struct CountedBuffer final : PageBuffer {
    explicit CountedBuffer(int& drops) : drops_(drops) {}
    ~CountedBuffer() override { ++drops_; }
    int& drops_;
};

TEST(FrameTable, HandsOutEachFrameOnceAndNeverFrameZero) {
    NodeArena arena;
    Frames frames(5, arena);
    std::set<FrameNumber> taken;
    for (int number = 0; number < 5; ++number) {
        taken.insert(frames.allocate());
    }
    EXPECT_EQ(taken.size(), 5u);
    EXPECT_EQ(taken.count(0), 0u);
    EXPECT_EQ(frames.in_use(), 5u);
    EXPECT_EQ(frames.allocate(), 0u) << "0 says that none is left";
    EXPECT_EQ(frames.in_use(), 5u);
}

TEST(FrameTable, HandsOutAgainWhatIsReleased) {
    NodeArena arena;
    Frames frames(1, arena);
    const FrameNumber frame = frames.allocate();
    for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(frames.allocate(), 0u);
        frames.release(frame);
        EXPECT_EQ(frames.in_use(), 0u);
        EXPECT_EQ(frames.allocate(), frame);
    }
}

// Defect 3: the reference's EEXIST path frees a frame with its flags still set.
TEST(FrameTable, ClearsWhatAPageWasWhenItsFrameIsReleased) {
    NodeArena arena;
    Frames frames(1, arena);
    const FrameNumber frame = frames.allocate();
    Slot<RealMachine> slot;
    Page<RealMachine>& page = frames[frame];
    page.flags = page_flag::locked | page_flag::up_to_date | page_flag::dirty | page_flag::page_map;
    page.on_worklist = true;
    page.slot = &slot;
    page.owner = &frames;
    frames.release(frame);
    ASSERT_EQ(frames.allocate(), frame);
    EXPECT_EQ(page.flags.load(), 0u);
    EXPECT_FALSE(page.on_worklist);
    EXPECT_EQ(page.slot, nullptr);
    EXPECT_EQ(page.owner, nullptr);
}

// Defect 7: the reference clears the flags first, and what hangs off BUFFER leaks.
TEST(FrameTable, DropsWhatHangsOffAPageExactlyOnce) {
    NodeArena arena;
    Frames frames(1, arena);
    int drops = 0;
    const FrameNumber frame = frames.allocate();
    frames[frame].attached = new CountedBuffer(drops);
    frames[frame].flags = page_flag::buffer;
    frames.release(frame);
    EXPECT_EQ(drops, 1);
    ASSERT_EQ(frames.allocate(), frame);
    frames.release(frame);
    EXPECT_EQ(drops, 1);
}

TEST(FrameTable, TakesAChainBackWithItsNumbersIntact) {
    NodeArena arena;
    Frames frames(8, arena);
    std::vector<FrameNumber> chain;
    for (int number = 0; number < 6; ++number) {
        chain.push_back(frames.allocate());
    }
    const FrameNumber kept = frames.allocate();
    for (std::size_t position = 0; position < chain.size(); ++position) {
        frames[chain[position]].next = position + 1 < chain.size() ? chain[position + 1] : 0;
        frames[chain[position]].flags = page_flag::dirty;
    }
    frames.release_chain(chain.front());
    EXPECT_EQ(frames.in_use(), 1u);
    std::set<FrameNumber> again;
    while (const FrameNumber frame = frames.allocate()) {
        EXPECT_EQ(frames[frame].flags.load(), 0u);
        again.insert(frame);
    }
    EXPECT_EQ(again.size(), 7u) << "the six of the chain and the one that was never used";
    EXPECT_EQ(again.count(kept), 0u);
}

TEST(FrameTable, AnEmptyChainIsNothing) {
    NodeArena arena;
    Frames frames(2, arena);
    static_cast<void>(frames.allocate());
    frames.release_chain(0);
    EXPECT_EQ(frames.in_use(), 1u);
}

TEST(FrameTable, QuarantinesAndCountsAFrameWhoseMemoryWasNotReturned) {
    NodeArena arena;
    Frames frames(3, arena);
    const FrameNumber lost = frames.allocate();
    const FrameNumber fine = frames.allocate();
    int drops = 0;
    frames[lost].unreturned = true;
    frames[lost].attached = new CountedBuffer(drops);
    frames[lost].flags = page_flag::buffer;
    frames[lost].next = fine;
    frames[fine].next = 0;
    frames.release_chain(lost);
    EXPECT_EQ(frames.quarantined(), 1u);
    EXPECT_EQ(frames.in_use(), 0u);
    EXPECT_EQ(drops, 1) << "only the frame is kept back";
    std::set<FrameNumber> rest;
    while (const FrameNumber frame = frames.allocate()) {
        rest.insert(frame);
    }
    EXPECT_EQ(rest.size(), 2u);
    EXPECT_EQ(rest.count(lost), 0u) << "a quarantined frame is not handed out again";
}

TEST(FrameTable, RefusesSizesThatCannotBe) {
    NodeArena arena;
    EXPECT_THROW(Frames(0, arena), std::runtime_error);
    EXPECT_THROW(Frames(std::numeric_limits<std::uint64_t>::max(), arena), std::runtime_error);
    EXPECT_THROW(Frames(std::numeric_limits<std::uint64_t>::max() / sizeof(Page<RealMachine>), arena),
                 std::runtime_error);
    NodeArena tight({.budget_bytes = 4096});
    EXPECT_THROW(Frames(1000, tight), std::runtime_error);
    EXPECT_EQ(tight.charged_bytes(), 0u);
}

TEST(FrameTable, GivesNoFrameToTwoThreads) {
    NodeArena arena;
    constexpr std::uint64_t count = 64;
    Frames frames(count, arena);
    std::vector<std::atomic<int>> holders(count + 1);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&] {
            for (int round = 0; round < 20000; ++round) {
                const FrameNumber frame = frames.allocate();
                if (frame == 0) {
                    continue;
                }
                wrong += holders[frame].fetch_add(1) != 0;
                holders[frame].fetch_sub(1);
                frames.release(frame);
            }
        });
    }
    for (std::thread& one : threads) {
        one.join();
    }
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(frames.in_use(), 0u);
}

}  // namespace
}  // namespace page_map_lab
