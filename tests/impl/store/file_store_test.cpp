#include "impl/store/file_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "impl/store/page_contents.hpp"
#include "tests/impl/store/temporary_folder.hpp"

namespace page_map_lab {
namespace {

using testing::HasSubstr;

std::vector<std::byte> versions(PageRange range, std::uint64_t version) {
    std::vector<std::byte> bytes(range.count * page_size);
    for (std::uint64_t place = 0; place < range.count; ++place) {
        fill_contents(std::span(bytes).subspan(place * page_size, page_size), range.first + place, version);
    }
    return bytes;
}

std::vector<std::byte> garbage(std::uint64_t count) {
    return std::vector<std::byte>(count * page_size, std::byte{0xAA});
}

TEST(FileStore, what_was_written_is_in_the_file_and_read_again) {
    const TemporaryFolder folder;
    const std::string path = folder.file("data");
    const auto bytes = versions({2, 3}, 6);
    {
        auto store = FileStore::create(path, 10);
        ASSERT_TRUE(store) << store.error().text();
        EXPECT_EQ(store->size_pages(), 10U);
        ASSERT_TRUE(store->write_pages({2, 3}, bytes));
        ASSERT_TRUE(store->sync());
    }
    auto store = FileStore::open(path, FileStore::Access::read_only);
    ASSERT_TRUE(store) << store.error().text();
    EXPECT_EQ(store->size_pages(), 10U);
    auto back = garbage(3);
    ASSERT_TRUE(store->read_pages({2, 3}, back));
    EXPECT_EQ(back, bytes);
}

TEST(FileStore, a_new_file_reads_as_zero_and_an_old_one_is_emptied) {
    const TemporaryFolder folder;
    const std::string path = folder.make_file("data", std::string(page_size, 'x'));
    auto store = FileStore::create(path, 2);
    ASSERT_TRUE(store);
    auto bytes = garbage(2);
    ASSERT_TRUE(store->read_pages({0, 2}, bytes));
    EXPECT_EQ(bytes, std::vector<std::byte>(2 * page_size));
}

TEST(FileStore, a_short_last_page_is_filled_with_zeroes) {
    const TemporaryFolder folder;
    auto store = FileStore::open(folder.make_file("data", std::string(page_size + 10, 'x')));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->size_pages(), 2U);
    auto bytes = garbage(2);
    ASSERT_TRUE(store->read_pages({0, 2}, bytes));
    EXPECT_EQ(bytes[page_size + 9], std::byte{'x'});
    EXPECT_EQ(std::vector<std::byte>(bytes.begin() + page_size + 10, bytes.end()),
              std::vector<std::byte>(page_size - 10));
}

TEST(FileStore, a_file_that_shrank_reads_as_zero_also_into_scattered_places) {
    const TemporaryFolder folder;
    const std::string path = folder.make_file("data", std::string(4 * page_size, 'x'));
    auto store = FileStore::open(path);
    ASSERT_TRUE(store);
    std::filesystem::resize_file(path, page_size / 2);
    auto bytes = garbage(3);
    const std::vector<std::byte*> places{bytes.data() + 2 * page_size, bytes.data() + page_size, bytes.data()};
    ASSERT_TRUE(store->read_scattered(0, places));
    EXPECT_EQ(bytes[2 * page_size + page_size / 2 - 1], std::byte{'x'});
    bytes.erase(bytes.begin() + 2 * page_size, bytes.begin() + 2 * page_size + page_size / 2);
    EXPECT_EQ(bytes, std::vector<std::byte>(2 * page_size + page_size / 2));
}

TEST(FileStore, scattered_places_beyond_one_system_call_arrive_in_order) {
    const TemporaryFolder folder;
    constexpr std::uint64_t count = 2500;  // more than two calls' worth
    auto store = FileStore::create(folder.file("data"), count + 1);
    ASSERT_TRUE(store);
    const auto bytes = versions({1, count}, 3);
    std::vector<const std::byte*> sources;
    for (std::uint64_t page = 0; page < count; ++page) {
        sources.push_back(bytes.data() + page * page_size);
    }
    ASSERT_TRUE(store->write_gathered(1, sources));
    auto back = garbage(count);
    std::vector<std::byte*> places;
    for (std::uint64_t page = 0; page < count; ++page) {
        places.push_back(back.data() + (count - 1 - page) * page_size);
    }
    ASSERT_TRUE(store->read_scattered(1, places));
    for (std::uint64_t page = 0; page < count; ++page) {
        ASSERT_EQ(find_mismatch({places[page], page_size}, page + 1, 3), std::nullopt) << page;
    }
}

TEST(FileStore, refuses_what_is_outside) {
    const TemporaryFolder folder;
    auto store = FileStore::create(folder.file("data"), 4);
    ASSERT_TRUE(store);
    auto bytes = garbage(2);
    for (const PageRange range : {PageRange{3, 2}, PageRange{~PageIndex{0}, 2}}) {
        EXPECT_EQ(store->read_pages(range, bytes).error().code, ErrorCode::bad_range);
        EXPECT_EQ(store->write_pages(range, bytes).error().code, ErrorCode::bad_range);
    }
    const std::vector<std::byte*> places{bytes.data(), bytes.data()};
    EXPECT_EQ(store->read_scattered(3, places).error().code, ErrorCode::bad_range);
    EXPECT_TRUE(store->read_pages({4, 0}, {}));
}

TEST(FileStore, what_cannot_be_a_store_is_refused_by_name) {
    const TemporaryFolder folder;
    const std::string pipe = folder.file("pipe");
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    for (const std::string& path : {folder.file("absent"), folder.file(""), pipe}) {
        const auto store = FileStore::open(path);
        ASSERT_FALSE(store) << path;
        EXPECT_EQ(store.error().code, ErrorCode::usage);
        EXPECT_THAT(store.error().text(), HasSubstr("'" + path + "'"));
    }
    EXPECT_EQ(FileStore::create(pipe, 1).error().code, ErrorCode::usage);
    EXPECT_EQ(FileStore::create(folder.file("no/such/folder"), 1).error().code, ErrorCode::usage);
    EXPECT_EQ(FileStore::create(folder.file("huge"), ~std::uint64_t{0}).error().code, ErrorCode::usage);
    EXPECT_EQ(FileStore::create(folder.file("huge"), std::uint64_t{1} << 50).error().code, ErrorCode::usage);
}

// Whom the process acts as; root may read everything, so that a test of permissions has to be somebody else.
class ActingAsNobody {
public:
    ActingAsNobody() : user_(geteuid()) { changed_ = user_ != 0 || seteuid(65534) == 0; }
    ActingAsNobody(const ActingAsNobody&) = delete;
    ActingAsNobody& operator=(const ActingAsNobody&) = delete;
    ~ActingAsNobody() { changed_ = changed_ && seteuid(user_) == 0; }

private:
    uid_t user_;
    bool changed_;
};

TEST(FileStore, an_unreadable_file_is_denied_by_name) {
    const TemporaryFolder folder;
    const std::string path = folder.make_file("data", "x");
    ASSERT_EQ(chmod(path.c_str(), 0), 0);
    const auto store = [&] {
        const ActingAsNobody nobody;
        return FileStore::open(path);
    }();
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, ErrorCode::denied);
    EXPECT_THAT(store.error().text(), HasSubstr(path));
}

TEST(FileStore, writing_what_was_opened_for_reading_is_denied) {
    const TemporaryFolder folder;
    auto store = FileStore::open(folder.make_file("data", "x"), FileStore::Access::read_only);
    ASSERT_TRUE(store);
    const auto done = store->write_pages({0, 1}, garbage(1));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::denied);
}

TEST(FileStore, a_write_cut_short_is_continued_and_then_reported_with_its_page) {
    const TemporaryFolder folder;
    const std::string path = folder.file("data");
    auto store = FileStore::create(path, 4);
    ASSERT_TRUE(store);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto old_handler = signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{page_size * 2 + page_size / 2, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto bytes = versions({0, 4}, 8);
    const auto done = store->write_pages({0, 4}, bytes);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, old_handler);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::io);
    EXPECT_EQ(done.error().system_errno, EFBIG);
    EXPECT_THAT(done.error().text(), HasSubstr("page 2 of '" + path + "'"));
    auto back = garbage(2);
    ASSERT_TRUE(store->read_pages({0, 2}, back));
    EXPECT_EQ(back, versions({0, 2}, 8));
}

// The descriptor under which this process has `path` open.
int descriptor_of(const std::string& path) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        if (std::filesystem::read_symlink(entry.path(), ignored) == path) {
            return std::stoi(entry.path().filename());
        }
    }
    return -1;
}

TEST(FileStore, a_full_disk_is_an_error_that_names_the_file) {
    const TemporaryFolder folder;
    const std::string path = folder.file("data");
    auto store = FileStore::create(path, 1);
    ASSERT_TRUE(store);
    // The kernel's always full device takes the file's place beneath the store, which would refuse to open it.
    const int full = ::open("/dev/full", O_RDWR | O_CLOEXEC);
    ASSERT_GE(full, 0);
    ASSERT_GE(dup2(full, descriptor_of(path)), 0);
    ::close(full);
    const auto done = store->write_pages({0, 1}, garbage(1));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::io);
    EXPECT_EQ(done.error().system_errno, ENOSPC);
    EXPECT_THAT(done.error().text(), HasSubstr("page 0 of '" + path + "'"));
}

}  // namespace
}  // namespace page_map_lab
