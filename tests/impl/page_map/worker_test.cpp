// Workers and their address spaces without a page map: jobs, faults, rights, pools, and their ends.
#include "impl/page_map/worker.hpp"

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "impl/page_map/machine.hpp"
#include "impl/page_map/shootdown.hpp"
#include "impl/page_map/worker_pool.hpp"
#include "tests/worker_nursery.hpp"

namespace page_map_lab {
namespace {

struct TestMechanism {
    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        return protect(base, bytes, access);
    }
};
using Machine = MachineWith<TestMechanism>;
using Pool = WorkerPool<Machine>;

/// Opens what faults, in whatever space it is.
struct Opener final : FaultServer<Machine> {
    Status serve_fault(Region<Machine>& region, PageIndex index, Access wanted) noexcept override {
        // relaxed: a worker's answer orders it before the job that ends, through another process.
        served_.fetch_add(1, std::memory_order_relaxed);
        return region.space().grant(region.address_of(index), page_size, wanted);
    }
    Status unmap_region(Region<Machine>& region) override {
        region.space().detach(region);
        while (region.pinned()) {
            Machine::yield();  // a fault in flight
        }
        return region.space().unmap(region.base(), region.pages().count);
    }
    int faults() const noexcept {
        // relaxed: asked when the jobs that faulted have ended.
        return served_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<int> served_{0};
};

struct Board {
    std::uint64_t address = 0;
    std::uint64_t pages = 0;
    std::uint64_t sum = 0;
};

void add_up(WorkerSide& side) {
    auto& board = side.blackboard<Board>();
    board.sum = 0;
    for (std::uint64_t page = 0; page < board.pages; ++page) {
        board.sum += *reinterpret_cast<const volatile unsigned char*>(board.address + page * page_size);
    }
}

class Workers : public ::testing::Test {
protected:
    Workers() {
        for (PageIndex page = 0; page < pages; ++page) {
            memory.bytes({page, 1})[0] = std::byte{1};
        }
    }

    Pool::Member& spawn(const WorkerBounds& bounds = {}) {
        Result<Pool::Member*> member = pool.spawn(bounds);
        if (!member) {
            throw std::runtime_error(member.error().text());
        }
        return **member;
    }

    std::unique_ptr<Region<Machine>> map_in(Pool::Member& member) {
        Result<std::byte*> base = member.space().map(memory, {0, pages}, Sharing::shared);
        EXPECT_TRUE(base) << base.error().text();
        FaultServer<Machine>& opener = server;
        auto region = std::make_unique<Region<Machine>>(member.space(), opener, RegionOptions{.pages = {0, pages}}, *base);
        member.space().attach(*region);
        member.worker().blackboard<Board>() = {reinterpret_cast<std::uint64_t>(*base), pages, 0};
        return region;
    }

    static constexpr std::uint64_t pages = 6;
    ObjectMemory memory{pages};
    Opener server;
    Pool pool;
};

TEST_F(Workers, HaveTheirFaultsServedAndTheirRightsTaken) {
    Pool::Member& member = spawn();
    const auto region = map_in(member);
    for (int round = 1; round <= 3; ++round) {
        ASSERT_TRUE(member.worker().run(add_up));
        EXPECT_EQ(member.worker().blackboard<Board>().sum, pages);
        EXPECT_EQ(server.faults(), round * static_cast<int>(pages)) << "each page is closed again";
        ASSERT_TRUE(region->close_hardware());
    }
    EXPECT_EQ(member.worker().faults_answered(), 3 * pages);
    ASSERT_TRUE(member.space().remove_regions());
}

TEST_F(Workers, AreAskedForMoreAtOnceThanTheirRingHolds) {
    Pool::Member& member = spawn();
    const auto region = map_in(member);
    ASSERT_TRUE(member.worker().run(add_up));
    ShootdownCost cost;
    AgentRequests requests;
    const AgentRange range = agent_range(*region, region->pages(), Access::none);
    for (std::uint32_t number = 0; number < 3 * AgentChannel::ring_length; ++number) {
        requests.post(member.worker().agent(), std::span(&range, 1), cost);
    }
    EXPECT_TRUE(requests.await(cost));
    EXPECT_EQ(cost.messages, 3 * AgentChannel::ring_length);
    ASSERT_TRUE(member.worker().run(add_up));
    EXPECT_EQ(server.faults(), 2 * static_cast<int>(pages)) << "closed";
    ASSERT_TRUE(member.space().remove_regions());
}

TEST_F(Workers, AreInOnlyOneAddressSpace) {
    Pool::Member& closed = spawn();
    Pool::Member& open = spawn();
    const auto first = map_in(closed);
    const auto second = map_in(open);
    ASSERT_TRUE(pool.run_everywhere(add_up));
    ASSERT_TRUE(first->close_hardware());
    const int before = server.faults();
    ASSERT_TRUE(open.worker().run(add_up));
    EXPECT_EQ(server.faults(), before);
    ASSERT_TRUE(closed.worker().run(add_up));
    EXPECT_EQ(server.faults(), before + static_cast<int>(pages));
    ASSERT_TRUE(closed.space().remove_regions());
    ASSERT_TRUE(open.space().remove_regions());
}

TEST_F(Workers, InheritNoRegion) {
    Result<std::byte*> here = memory.map({0, 1}, Sharing::shared);
    ASSERT_TRUE(here);
    const auto mappings_of_objects = [](pid_t process) {
        std::ifstream mappings("/proc/" + std::to_string(process) + "/maps");
        int found = 0;
        for (std::string line; std::getline(mappings, line);) {
            found += line.find("page-map-object") != std::string::npos;
        }
        return found;
    };
    Pool::Member& member = spawn();
    EXPECT_GE(mappings_of_objects(::getpid()), 2) << "the kernel-side mapping and the region";
    EXPECT_EQ(mappings_of_objects(member.worker().process()), 0);
    const auto region = map_in(member);
    EXPECT_EQ(mappings_of_objects(member.worker().process()), 1);
    ASSERT_TRUE(member.space().remove_regions());
    ASSERT_TRUE(ObjectMemory::unmap(*here, 1));
}

TEST_F(Workers, SayYesToEverythingOnceTheyHaveEnded) {
    Pool::Member& member = spawn();
    const auto region = map_in(member);
    member.worker().signal(SIGKILL);
    ASSERT_TRUE(member.worker().wait_for_end(std::chrono::seconds(30)));
    EXPECT_TRUE(region->close_hardware());
    EXPECT_TRUE(member.space().grant(region->base(), page_size, Access::write));
    EXPECT_FALSE(member.space().map(memory, {0, pages}, Sharing::shared)) << "but map nothing";
    EXPECT_EQ(member.worker().run(add_up).error().code, ErrorCode::unavailable);
    const auto departed = pool.reap();
    ASSERT_TRUE(departed) << departed.error().text();
    ASSERT_EQ(departed->size(), 1u);
    EXPECT_TRUE(departed->front().end->killed);
    EXPECT_EQ(departed->front().end->code, SIGKILL);
    EXPECT_EQ(departed->front().report, "");
    EXPECT_EQ(pool.size(), 0u);
}

/// While it is there, the children of a process inherit that they can map no more memory.
class MemoryBound {
public:
    explicit MemoryBound(pid_t process) : process_(process) {
        const rlimit none{.rlim_cur = 0, .rlim_max = RLIM_INFINITY};
        check(::prlimit(process_, RLIMIT_AS, &none, &before_) == 0, "the memory of a process of ours can be bounded");
    }
    ~MemoryBound() { ::prlimit(process_, RLIMIT_AS, &before_, nullptr); }
    MemoryBound(const MemoryBound&) = delete;
    MemoryBound& operator=(const MemoryBound&) = delete;

private:
    const pid_t process_;
    rlimit before_{};
};

/// The parent of a process, by /proc.
pid_t parent_of(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string word; status >> word;) {
        if (pid_t parent = 0; word == "PPid:" && status >> parent) {
            return parent;
        }
    }
    throw std::runtime_error("process " + std::to_string(process) + " has no parent in /proc");
}

TEST_F(Workers, ThatEndWhileTheySetThemselvesUpAreSaidToHaveEnded) {
    const pid_t nursery = parent_of(spawn().worker().process());
    const MemoryBound bound(nursery);
    const Result<Pool::Member*> member = pool.spawn({.start_within = std::chrono::minutes(1)});
    ASSERT_FALSE(member);
    EXPECT_EQ(member.error().code, ErrorCode::unavailable);
    EXPECT_THAT(member.error().text(), ::testing::MatchesRegex("worker [0-9]+ ended with exit code [0-9]+ before it had set itself up"));
}

TEST_F(Workers, AreListedAndClearedAwayOnceTheyHaveEnded) {
    Pool::Member& first = spawn();
    Pool::Member& second = spawn();
    EXPECT_EQ(pool.members(), (std::vector<Pool::Member*>{&first, &second}));
    EXPECT_TRUE(pool.reap()->empty());
    first.worker().signal(SIGKILL);
    ASSERT_TRUE(first.worker().wait_for_end(std::chrono::seconds(30)));
    EXPECT_EQ(pool.reap()->size(), 1u);
    EXPECT_EQ(pool.members(), (std::vector<Pool::Member*>{&second}));
}

TEST_F(Workers, EndTheirJobsWhenTheyAreAsked) {
    Pool::Member& member = spawn();
    member.worker().start([](WorkerSide& side) {
        while (!side.stopping()) {
        }
    });
    EXPECT_EQ(member.worker().wait(std::chrono::milliseconds(10)).error().code, ErrorCode::try_again);
    member.worker().request_stop();
    EXPECT_TRUE(member.worker().wait());
}

}  // namespace
}  // namespace page_map_lab
