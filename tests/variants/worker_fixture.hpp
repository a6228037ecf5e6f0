// What tests of worker processes share: workers with regions, and the jobs they run there.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <list>
#include <thread>

#include "impl/page_map/worker.hpp"
#include "tests/variants/page_map_fixture.hpp"
#include "tests/worker_nursery.hpp"

namespace page_map_lab::testing {

/// The variants that differ in what workers see of them: every shootdown, with a read path that holds a lock and one that does
/// not.
inline std::vector<VariantEntry> every_shootdown() {
    std::vector<VariantEntry> chosen;
    for (const VariantEntry& entry : all_variants()) {
        if (entry.layout == "xarray" && (entry.read == "rcu_qsbr" || entry.read == "spinlock")) {
            chosen.push_back(entry);
        }
    }
    return chosen;
}

/// What a job is to do, and what came of it: the blackboard of these tests.
struct Errand {
    std::uint64_t address = 0;  ///< of page `first` in the worker
    PageIndex first = 0;
    std::uint64_t count = 1;
    std::uint64_t version = 0;                ///< to be written
    std::atomic<std::uint64_t> found{0};      ///< pages that held `version`
    std::atomic<std::uint64_t> rounds{0};     ///< of jobs that go on until they are stopped
};

inline std::span<std::byte, page_size> page_of(const Errand& errand, PageIndex index) {
    return std::span<std::byte, page_size>(
        reinterpret_cast<std::byte*>(errand.address) + (index - errand.first) * page_size, page_size);
}

inline void write_pages(WorkerSide& worker) {
    const auto& errand = worker.blackboard<Errand>();
    for (PageIndex index = errand.first; index < errand.first + errand.count; ++index) {
        fill_contents(page_of(errand, index), index, errand.version);
    }
}

inline void read_pages(WorkerSide& worker) {
    auto& errand = worker.blackboard<Errand>();
    std::uint64_t found = 0;
    for (PageIndex index = errand.first; index < errand.first + errand.count; ++index) {
        found += version_of(page_of(errand, index), index) == errand.version;
    }
    // relaxed: read after the job was waited for.
    errand.found.store(found, std::memory_order_relaxed);
}

/// Stops every thread of the worker, and waits until all have stopped.
inline void stop(Worker& worker) {
    worker.signal(SIGSTOP);
    const std::filesystem::path tasks = "/proc/" + std::to_string(worker.process()) + "/task";
    const auto has_stopped = [](const std::filesystem::directory_entry& task) {
        std::ifstream file(task.path() / "stat");
        std::string facts;
        std::getline(file, facts);
        return facts.find(") T ") != std::string::npos;
    };
    while (!std::all_of(std::filesystem::directory_iterator(tasks), {}, has_stopped)) {
        std::this_thread::yield();
    }
}

/// A worker that is slow, because its machine is, is none that does not answer.
inline constexpr WorkerBounds patient{
    .start_within = std::chrono::minutes(1), .answer_within = std::chrono::minutes(1), .end_within = std::chrono::minutes(1)};

/// A worker with an address space in the test's map.
struct Member {
    std::unique_ptr<Worker> worker;
    std::shared_ptr<AnySpace> space;
};

class WorkerTest : public PageMapTest {
protected:
    Member& spawn(const WorkerBounds& bounds = patient) {
        Result<std::unique_ptr<Worker>> worker = Worker::spawn(bounds);
        if (!worker) {
            throw std::runtime_error(worker.error().text());
        }
        Member& member = members.emplace_back();
        member.worker = *std::move(worker);
        member.space = map->space_of(*member.worker);
        return member;
    }

    AnyRegion* map_in(Member& member, const RegionOptions& options) {
        Result<AnyRegion*> region = map->add_region_in(*member.space, options);
        EXPECT_TRUE(region) << region.error().text();
        return region ? *region : nullptr;
    }

    void prepare(Member& member, AnyRegion* region, PageRange pages, std::uint64_t version) {
        Errand& errand = member.worker->blackboard<Errand>();
        errand.address = reinterpret_cast<std::uint64_t>(map->address_of(region, pages.first));
        errand.first = pages.first;
        errand.count = pages.count;
        errand.version = version;
    }

    void write_in(Member& member, AnyRegion* region, PageRange pages, std::uint64_t version) {
        prepare(member, region, pages, version);
        const Status written = member.worker->run(write_pages);
        EXPECT_TRUE(written) << written.error().text();
    }

    /// How many of the pages hold `version` as the worker sees them.
    std::uint64_t found_in(Member& member, AnyRegion* region, PageRange pages, std::uint64_t version) {
        prepare(member, region, pages, version);
        const Status read = member.worker->run(read_pages);
        EXPECT_TRUE(read) << read.error().text();
        return member.worker->blackboard<Errand>().found.load(std::memory_order_relaxed);  // relaxed: after the job
    }

    /// Removes its regions, its space and the worker itself.
    void let_go(Member& member) {
        const Status removed = map->remove_regions(*member.space);
        EXPECT_TRUE(removed) << removed.error().text();
        member.space.reset();
        member.worker.reset();
    }

    void expect_sound() {
        const Status sound = map->audit();
        EXPECT_TRUE(sound) << sound.error().text();
    }

    void TearDown() override {
        for (Member& member : members) {
            if (member.space != nullptr) {
                let_go(member);
            }
        }
        PageMapTest::TearDown();
        members.clear();
    }

    std::list<Member> members;
};

}  // namespace page_map_lab::testing

#define FOR_EVERY_SHOOTDOWN(suite) \
    INSTANTIATE_TEST_SUITE_P(Variants, suite, ::testing::ValuesIn(every_shootdown()), test_name)
