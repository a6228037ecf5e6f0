// The pieces that worker processes are made of: the nursery, messages with files, words and memory that processes share.
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "impl/platform/message_socket.hpp"
#include "impl/platform/nursery.hpp"
#include "impl/platform/shared_memory.hpp"
#include "impl/platform/shared_word.hpp"
#include "tests/worker_nursery.hpp"

namespace page_map_lab {
namespace {

struct Greeting {
    SharedWord word{0};
    char text[16]{};
};

TEST(MessageSockets, KeepMessagesWholeAndCarryFiles) {
    auto ends = MessageSocket::make_pair();
    ASSERT_TRUE(ends);
    auto memory = SharedMemory::make(sizeof(Greeting), "greeting");
    ASSERT_TRUE(memory);
    std::strcpy(reinterpret_cast<Greeting*>(memory->bytes().data())->text, "hello");
    const int file = memory->file();
    ASSERT_TRUE(ends->first.send_object(7, std::span(&file, 1)));
    ASSERT_TRUE(ends->first.send_object('x'));
    int number = 0;
    MessageSocket::Files files;
    ASSERT_TRUE(ends->second.receive_object(number, &files));
    EXPECT_EQ(number, 7);
    ASSERT_TRUE(files[0]);
    EXPECT_FALSE(files[1]) << "one was sent";
    auto same = SharedMemory::open(std::move(files.front()), sizeof(Greeting));
    ASSERT_TRUE(same);
    EXPECT_STREQ(reinterpret_cast<Greeting*>(same->bytes().data())->text, "hello");
    const Status other_size = ends->second.receive_object(number);
    ASSERT_FALSE(other_size);
    EXPECT_EQ(other_size.error().code, ErrorCode::malformed);
}

TEST(MessageSockets, SayThatTheOtherEndIsGone) {
    auto ends = MessageSocket::make_pair();
    ASSERT_TRUE(ends);
    ends->second.close();
    char byte = 0;
    EXPECT_EQ(ends->first.receive_object(byte).error().code, ErrorCode::unavailable);
    EXPECT_EQ(ends->first.send_object(byte).error().code, ErrorCode::unavailable);
}

TEST(SharedWords, WaitNoLongerThanTheyAreTold) {
    SharedWord word{3};
    const auto before = std::chrono::steady_clock::now();
    wait_on(word, 3, std::chrono::milliseconds(20));
    EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(19));
    wait_on(word, 4);  // it does not hold 4
    wait_on(word, 3, std::chrono::milliseconds(-1));
}

TEST(Nurseries, ForkChildrenThatShareMemoryWithUs) {
    auto nursery = Nursery::running();
    ASSERT_TRUE(nursery) << nursery.error().text();
    auto memory = SharedMemory::make(sizeof(Greeting), "greeting");
    ASSERT_TRUE(memory);
    auto& greeting = *reinterpret_cast<Greeting*>(memory->bytes().data());
    const int file = memory->file();
    const auto child = (*nursery)->fork_child(
        [](MessageSocket::Files files) {
            auto shared = SharedMemory::open(std::move(files.front()), sizeof(Greeting));
            auto& answer = *reinterpret_cast<Greeting*>(shared->bytes().data());
            std::strcpy(answer.text, "hello");
            answer.word.store(1, std::memory_order_release);
            wake_all_on(answer.word);
        },
        std::span(&file, 1));
    ASSERT_TRUE(child) << child.error().text();
    while (greeting.word.load(std::memory_order_acquire) == 0) {
        wait_on(greeting.word, 0);
    }
    EXPECT_STREQ(greeting.text, "hello");
    ASSERT_TRUE(child->wait_for_end(std::chrono::seconds(30)));
    const auto end = (*nursery)->reap(*child);
    ASSERT_TRUE(end);
    EXPECT_FALSE(end->killed);
    EXPECT_EQ(end->code, 0);
    EXPECT_FALSE((*nursery)->reap(*child)) << "it was forgotten";
}

TEST(Nurseries, TellHowAChildWasKilled) {
    auto nursery = Nursery::running();
    ASSERT_TRUE(nursery) << nursery.error().text();
    const auto child = (*nursery)->fork_child([](auto) { ::pause(); }, {});
    ASSERT_TRUE(child) << child.error().text();
    EXPECT_FALSE(child->has_ended());
    EXPECT_FALSE((*nursery)->reap(*child)) << "it runs";
    child->signal(SIGKILL);
    ASSERT_TRUE(child->wait_for_end(std::chrono::seconds(30)));
    child->signal(SIGKILL);  // of nobody
    const auto end = (*nursery)->reap(*child);
    ASSERT_TRUE(end);
    EXPECT_TRUE(end->killed);
    EXPECT_EQ(end->code, SIGKILL);
}

TEST(Nurseries, EndAChildThatThrows) {
    auto nursery = Nursery::running();
    ASSERT_TRUE(nursery) << nursery.error().text();
    const auto child = (*nursery)->fork_child([](auto) { throw std::runtime_error("nobody is to hear of this"); }, {});
    ASSERT_TRUE(child) << child.error().text();
    ASSERT_TRUE(child->wait_for_end(std::chrono::seconds(30)));
    const auto end = (*nursery)->reap(*child);
    ASSERT_TRUE(end);
    EXPECT_FALSE(end->killed);
    EXPECT_EQ(end->code, 1);
}

TEST(Nurseries, AreForkedBeforeThereIsAThread) {
    EXPECT_TRUE(Nursery::start()) << "there is one";
}

}  // namespace
}  // namespace page_map_lab
