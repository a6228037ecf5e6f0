#include "impl/store/memory_store.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "impl/store/page_contents.hpp"

namespace page_map_lab {
namespace {

std::vector<std::byte> pages_of(std::uint64_t count) {
    return std::vector<std::byte>(count * page_size, std::byte{0xAA});
}

TEST(MemoryStore, a_fresh_page_is_zero_or_version_zero) {
    auto bytes = pages_of(1);
    MemoryStore zero(4);
    ASSERT_TRUE(zero.read_pages({2, 1}, bytes));
    EXPECT_EQ(bytes, std::vector<std::byte>(page_size));
    MemoryStore versioned(4, MemoryStore::Fresh::versioned);
    ASSERT_TRUE(versioned.read_pages({2, 1}, bytes));
    EXPECT_EQ(find_mismatch(bytes, 2, 0), std::nullopt);
    EXPECT_EQ(versioned.stored_version(3), 0U);
}

TEST(MemoryStore, what_was_written_is_read_again) {
    MemoryStore store(8, MemoryStore::Fresh::versioned);
    auto bytes = pages_of(3);
    for (PageIndex page = 0; page < 3; ++page) {
        fill_contents(std::span(bytes).subspan(page * page_size, page_size), page + 4, 70 + page);
    }
    ASSERT_TRUE(store.write_pages({4, 3}, bytes));
    auto back = pages_of(3);
    ASSERT_TRUE(store.read_pages({4, 3}, back));
    EXPECT_EQ(back, bytes);
    EXPECT_EQ(store.stored_version(5), 71U);
    EXPECT_EQ(store.stored_version(7), 0U);
}

TEST(MemoryStore, every_read_and_write_of_a_page_is_counted) {
    MemoryStore store(8);
    auto bytes = pages_of(3);
    ASSERT_TRUE(store.read_pages({0, 3}, bytes));
    EXPECT_EQ(store.read_twice(), std::nullopt);
    ASSERT_TRUE(store.read_pages({2, 1}, std::span(bytes).first(page_size)));
    ASSERT_TRUE(store.write_pages({1, 3}, bytes));
    EXPECT_EQ(store.reads_of(0), 1U);
    EXPECT_EQ(store.reads_of(2), 2U);
    EXPECT_EQ(store.reads_of(3), 0U);
    EXPECT_EQ(store.read_twice(), 2U);
    EXPECT_EQ(store.writes_of(3), 1U);
    EXPECT_EQ(store.total_reads(), 4U);
    EXPECT_EQ(store.total_writes(), 3U);
    store.reset_counts();
    EXPECT_EQ(store.total_reads() + store.total_writes(), 0U);
}

TEST(MemoryStore, looking_behind_the_page_map_is_not_counted) {
    MemoryStore store(2);
    store.store_version(1, 12);
    EXPECT_EQ(store.stored_version(1), 12U);
    EXPECT_EQ(store.total_reads() + store.total_writes(), 0U);
}

TEST(MemoryStore, refuses_what_is_outside_and_counts_nothing) {
    MemoryStore store(8);
    auto bytes = pages_of(2);
    for (const PageRange range : {PageRange{7, 2}, PageRange{8, 2}, PageRange{~PageIndex{0}, 2}}) {
        const auto done = store.read_pages(range, bytes);
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, ErrorCode::bad_range);
        EXPECT_FALSE(store.write_pages(range, bytes));
    }
    EXPECT_FALSE(store.read_pages({0, 1}, bytes));
    EXPECT_FALSE(store.read_pages({0, 2}, std::span(bytes).first(page_size + 1)));
    EXPECT_TRUE(store.read_pages({8, 0}, {}));
    EXPECT_EQ(store.total_reads() + store.total_writes(), 0U);
}

TEST(MemoryStore, scattered_places_are_served_page_by_page) {
    MemoryStore store(8, MemoryStore::Fresh::versioned);
    auto first = pages_of(1);
    auto second = pages_of(1);
    const std::vector<std::byte*> places{second.data(), first.data()};
    ASSERT_TRUE(store.read_scattered(3, places));
    EXPECT_EQ(find_mismatch(second, 3, 0), std::nullopt);
    EXPECT_EQ(find_mismatch(first, 4, 0), std::nullopt);
    fill_contents(second, 5, 1);
    fill_contents(first, 6, 2);
    const std::vector<const std::byte*> sources{second.data(), first.data()};
    ASSERT_TRUE(store.write_gathered(5, sources));
    EXPECT_EQ(store.stored_version(5), 1U);
    EXPECT_EQ(store.stored_version(6), 2U);
}

TEST(MemoryStore, more_pages_than_addresses_is_an_error_with_a_way_out) {
    EXPECT_THROW(MemoryStore(std::uint64_t{1} << 50), std::runtime_error);
    EXPECT_THROW(MemoryStore(~std::uint64_t{0}), std::runtime_error);
}

TEST(MemoryStore, a_page_moves_as_a_whole_while_others_write_it) {
    MemoryStore store(1, MemoryStore::Fresh::versioned);
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    for (std::uint64_t written = 1; written <= 2; ++written) {
        writers.emplace_back([&store, &stop, written] {
            auto bytes = pages_of(1);
            fill_contents(bytes, 0, written);
            // Relaxed: the flag only ends the loop; what the threads did is seen through join.
            while (!stop.load(std::memory_order_relaxed)) {
                EXPECT_TRUE(store.write_pages({0, 1}, bytes));
            }
        });
    }
    // Only a version that changed between two reads says that the threads ran at the same time.
    auto bytes = pages_of(1);
    std::optional<std::uint64_t> version = 0;
    int changes = 0;
    for (int round = 0; round < 10000 && changes < 1000 && version; ++round) {
        EXPECT_TRUE(store.read_pages({0, 1}, bytes));
        const auto before = version;
        version = version_of(std::span(bytes).first<page_size>(), 0);
        changes += version != before ? 1 : 0;
    }
    stop.store(true, std::memory_order_relaxed);
    for (std::thread& writer : writers) {
        writer.join();
    }
    EXPECT_TRUE(version) << "a torn page";
}

}  // namespace
}  // namespace page_map_lab
