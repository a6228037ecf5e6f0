#include "impl/platform/object_memory.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace page_map_lab {
namespace {

TEST(ObjectMemory, FillsAllOfOnePageAndNothingBesideIt) {
    ObjectMemory memory(3);
    memory.fill(1, std::byte{0xdb});
    const auto all_are = [&](PageIndex page, std::byte value) {
        return std::ranges::all_of(memory.bytes({page, 1}), [value](std::byte each) { return each == value; });
    };
    EXPECT_TRUE(all_are(1, std::byte{0xdb}));
    EXPECT_TRUE(all_are(0, std::byte{0}));
    EXPECT_TRUE(all_are(2, std::byte{0}));
}

TEST(ObjectMemory, WhoReadsWhileAPageIsFilledSeesWholeWords) {
    ObjectMemory memory(1);
    auto& last = *reinterpret_cast<std::uint64_t*>(memory.bytes({0, 1}).last(sizeof(std::uint64_t)).data());
    std::atomic<bool> stop{false};
    std::uint64_t torn = 0;
    std::jthread reader([&] {
        while (!stop.load(std::memory_order_relaxed)) {  // relaxed: only ends the loop
            const std::uint64_t seen = std::atomic_ref(last).load(std::memory_order_relaxed);  // relaxed: one word alone
            torn += seen != 0 && seen != ~std::uint64_t{0};
        }
    });
    for (unsigned round = 0; round < 20'000; ++round) {
        memory.fill(0, round % 2 == 0 ? std::byte{0xff} : std::byte{0});
    }
    stop.store(true, std::memory_order_relaxed);  // relaxed: as above
    reader.join();
    EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace page_map_lab
