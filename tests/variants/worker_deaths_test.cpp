// Workers that are killed in a fault, in a write and in a shootdown, and workers that do not answer: the owner goes on,
// keeps what they wrote, and frees what they held.
//
// A worker stops itself at a named point, so that each death happens where its test says.
#include "tests/variants/failing_allocator.hpp"
#include "tests/variants/worker_fixture.hpp"

namespace page_map_lab::testing {
namespace {

constexpr PageRange pages{0, 8};

class WorkerDeaths : public WorkerTest {
protected:
    void SetUp() override {
        make_map();
        victim = &spawn();
        region = map_in(*victim, {.pages = pages});
    }

    /// Has the victim write `version` into the pages, and kills it where it comes to `point`.
    void kill_at(WorkerPoint point, std::uint64_t version) {
        victim->worker->stop_at(point);
        prepare(*victim, region, pages, version);
        victim->worker->start(write_pages);
        ASSERT_TRUE(victim->worker->wait_until_stopped_at(point));
        kill();
    }
    /// Returns when its owner is through with whatever fault of its was being served: until then a page is held.
    void kill() {
        victim->worker->signal(SIGKILL);
        ASSERT_TRUE(victim->worker->wait_for_end(std::chrono::minutes(1)));
        victim->worker->end_service();
    }

    /// How many words of the stored page are of neither version.
    std::uint64_t words_of_neither(PageIndex index, std::uint64_t older, std::uint64_t newer) {
        constexpr std::size_t word = sizeof(std::uint64_t);
        alignas(page_size) std::byte bytes[page_size];
        EXPECT_TRUE(store.read_pages({index, 1}, bytes));
        std::uint64_t count = 0;
        for (std::size_t at = 0; at < page_size; at += word) {
            const auto is_of = [&](std::uint64_t version) {
                return !find_mismatch(std::span(bytes).subspan(at, word), index, version, at);
            };
            count += !is_of(older) && !is_of(newer);
        }
        return count;
    }

    /// The owner's map works, its other users work, and nothing of the dead is left.
    void expect_the_owner_goes_on(std::uint64_t version_of_first_page) {
        expect_sound();
        EXPECT_EQ(victim->worker->state(), WorkerState::ended);
        Result<RemovalOutcome> removed = map->remove_contig({0, object_pages});
        ASSERT_TRUE(removed) << removed.error().text();
        EXPECT_EQ(removed->shootdown.messages, 0u) << "nobody asks the dead";
        EXPECT_EQ(map->page_count(), 0u);
        EXPECT_EQ(map->memory_pages(), 0u);
        EXPECT_EQ(map->frames_in_use(), 0u);
        EXPECT_EQ(map->frames_quarantined(), 0u);
        EXPECT_EQ(store.stored_version(0), version_of_first_page);
        Member& next = spawn();
        AnyRegion* other = map_in(next, {.pages = pages});
        write_in(next, other, pages, 99);
        let_go(*victim);
        EXPECT_EQ(found_in(next, other, pages, 99), pages.count);
        EXPECT_EQ(map->info().regions.size(), 1u);
    }

    Member* victim = nullptr;
    AnyRegion* region = nullptr;
};
FOR_EVERY_SHOOTDOWN(WorkerDeaths);

TEST_P(WorkerDeaths, BeforeTheOwnerHearsOfAFault) {
    kill_at(WorkerPoint::fault_raised, 5);
    expect_the_owner_goes_on(0);
}

TEST_P(WorkerDeaths, WhileAFaultIsServed) {
    kill_at(WorkerPoint::fault_sent, 5);
    expect_the_owner_goes_on(0);
}

TEST_P(WorkerDeaths, WhileAFaultIsGranted) {
    kill_at(WorkerPoint::grant, 5);
    expect_the_owner_goes_on(0);
}

TEST_P(WorkerDeaths, WhenAFaultIsAnswered) {
    kill_at(WorkerPoint::fault_answered, 5);
    expect_the_owner_goes_on(0);
}

TEST_P(WorkerDeaths, WhileAFaultWaitsForTheStore) {
    WatchedStore slow(store);
    std::atomic<bool> reading{false};
    slow.before_read = [&](PageRange) {
        // relaxed, both: only said and heard.
        if (!reading.exchange(true, std::memory_order_relaxed)) {
            EXPECT_TRUE(victim->worker->wait_for_end(std::chrono::minutes(1)));
        }
        return Status{};
    };
    let_go(*victim);
    TearDown();
    make_map({.store = &slow});
    victim = &spawn();
    region = map_in(*victim, {.pages = pages});
    prepare(*victim, region, pages, 5);
    victim->worker->start(write_pages);
    while (!reading.load(std::memory_order_relaxed)) {  // relaxed: see above
        std::this_thread::yield();
    }
    kill();
    expect_the_owner_goes_on(0);
    TearDown();
    map.reset();
}

// The first page is written whole, half of the second one is.
TEST_P(WorkerDeaths, InAWriteKeepWhatWasWritten) {
    prepare(*victim, region, pages, 6);
    victim->worker->stop_at(WorkerPoint::job);
    victim->worker->start([](WorkerSide& side) {
        const auto& errand = side.blackboard<Errand>();
        fill_contents(page_of(errand, 0), 0, errand.version);
        fill_contents(page_of(errand, 1).first(page_size / 2), 1, errand.version);
        side.pass();
    });
    ASSERT_TRUE(victim->worker->wait_until_stopped_at(WorkerPoint::job));
    kill();
    const AnyCounted half = load(1);
    EXPECT_FALSE(find_mismatch(map->bytes(half).first(page_size / 2), 1, 6));
    EXPECT_FALSE(find_mismatch(map->bytes(half).subspan(page_size / 2), 1, 0, page_size / 2));
    map->put(half);
    expect_the_owner_goes_on(6);
}

TEST_P(WorkerDeaths, InAWriteAtAnyMoment) {
    for (int round = 0; round < 2; ++round) {
        Member& writer = spawn();
        AnyRegion* written = map_in(writer, {.pages = pages});
        prepare(writer, written, pages, 100);
        writer.worker->start([](WorkerSide& side) {
            auto& errand = side.blackboard<Errand>();
            for (;; ++errand.version) {
                write_pages(side);
                // relaxed: a count to look at.
                errand.rounds.fetch_add(1, std::memory_order_relaxed);
            }
        });
        const auto& rounds = writer.worker->blackboard<Errand>().rounds;
        // relaxed: a count to look at.
        while (rounds.load(std::memory_order_relaxed) < 3u + static_cast<unsigned>(round)) {
            EXPECT_TRUE(map->remove_contig({0, object_pages}));
            std::this_thread::yield();  // or the writer gets nothing done between two removals
        }
        writer.worker->signal(SIGKILL);
        ASSERT_TRUE(writer.worker->wait_for_end(std::chrono::minutes(1)));
        // What it saw written for the last time is in a page of the map or in the store, but for the words that it has
        // overwritten since.
        const std::uint64_t finished = 100 + rounds.load(std::memory_order_relaxed) - 1;  // relaxed: it has ended
        EXPECT_TRUE(map->writeback({0, object_pages}));
        for (PageIndex index = pages.first; index < pages.end(); ++index) {
            EXPECT_EQ(words_of_neither(index, finished, finished + 1), 0u) << "a finished write to page " << index << " is lost";
        }
        let_go(writer);
        expect_sound();
    }
    kill();
    let_go(*victim);
}

/// The points of a shootdown, with what the agent has done by then.
class WorkerDeathsInAShootdown : public WorkerDeaths {
protected:
    template <class ShootDown>
    void die_at(WorkerPoint point, ShootDown&& shoot_down) {
        Member& bystander = spawn();
        AnyRegion* kept = map_in(bystander, {.pages = pages});
        write_in(*victim, region, pages, 7);
        EXPECT_EQ(found_in(bystander, kept, pages, 7), pages.count);
        victim->worker->stop_at(point);
        std::thread killer([&] {
            EXPECT_TRUE(victim->worker->wait_until_stopped_at(point));
            victim->worker->signal(SIGKILL);
        });
        shoot_down();
        killer.join();
        EXPECT_EQ(victim->worker->report(), "") << "it ended by itself, as far as its owner knows";
        expect_sound();
        EXPECT_EQ(found_in(bystander, kept, pages, 7), pages.count);
        let_go(bystander);
        expect_the_owner_goes_on(7);
    }

    void remove_pages() {
        Result<RemovalOutcome> removed = map->remove_contig(pages);
        ASSERT_TRUE(removed) << removed.error().text();
        EXPECT_EQ(removed->removed, pages.count);
        expect_stored();
    }
    void write_back() {
        Result<RemovalOutcome> written = map->writeback(pages);
        ASSERT_TRUE(written) << written.error().text();
        EXPECT_EQ(written->written_back, pages.count);
        expect_stored();
    }
    void protect() {
        const Status done = map->protect_region(region, Access::read);
        EXPECT_TRUE(done) << done.error().text();
    }

private:
    void expect_stored() {
        for (PageIndex index = pages.first; index < pages.end(); ++index) {
            EXPECT_EQ(store.stored_version(index), 7u);
        }
    }
};
FOR_EVERY_SHOOTDOWN(WorkerDeathsInAShootdown);

TEST_P(WorkerDeathsInAShootdown, OfARemovalBeforeRightsAreTaken) {
    die_at(WorkerPoint::revocation, [this] { remove_pages(); });
}
TEST_P(WorkerDeathsInAShootdown, OfARemovalBeforeItIsAcknowledged) {
    die_at(WorkerPoint::revoked, [this] { remove_pages(); });
}
// Its run of pages is left readable: neither a grant nor everything taken.
TEST_P(WorkerDeathsInAShootdown, OfAWriteBackBeforeRightsAreTaken) {
    die_at(WorkerPoint::revocation, [this] { write_back(); });
}
TEST_P(WorkerDeathsInAShootdown, OfAWriteBackBeforeItIsAcknowledged) {
    die_at(WorkerPoint::revoked, [this] { write_back(); });
}
TEST_P(WorkerDeathsInAShootdown, OfAProtectionBeforeRightsAreTaken) {
    die_at(WorkerPoint::revocation, [this] { protect(); });
}
TEST_P(WorkerDeathsInAShootdown, OfAProtectionBeforeItIsAcknowledged) {
    die_at(WorkerPoint::revoked, [this] { protect(); });
}

class UnresponsiveWorkers : public WorkerTest {
protected:
    using Milliseconds = std::chrono::milliseconds;
};
FOR_EVERY_SHOOTDOWN(UnresponsiveWorkers);

TEST_P(UnresponsiveWorkers, AreReportedAndRemoved) {
    make_map();
    Member& stopped = spawn();
    AnyRegion* region = map_in(stopped, {.pages = pages});
    write_in(stopped, region, pages, 4);
    stop(*stopped.worker);
    stopped.worker->agent().set_answer_within(Milliseconds(100));
    Result<RemovalOutcome> removed = map->remove_contig(pages);
    ASSERT_TRUE(removed) << removed.error().text();
    EXPECT_EQ(removed->removed, pages.count);
    EXPECT_EQ(store.stored_version(3), 4u);
    EXPECT_EQ(stopped.worker->state(), WorkerState::ended);
    EXPECT_NE(stopped.worker->report().find("did not answer within 100 ms"), std::string::npos)
        << stopped.worker->report();
    ASSERT_TRUE(stopped.worker->end());
    EXPECT_EQ(stopped.worker->end()->code, SIGKILL);
    expect_sound();
    let_go(stopped);
    EXPECT_TRUE(map->info().regions.empty());
}

TEST_P(UnresponsiveWorkers, AreRemovedWithoutMemoryToSaySo) {
    make_map();
    Member& stopped = spawn();
    AnyRegion* region = map_in(stopped, {.pages = pages});
    stop(*stopped.worker);
    AgentLink& agent = stopped.worker->agent();
    agent.set_answer_within(Milliseconds(100));
    auto* const base = map->address_of(region, pages.first);
    Status revoked;
    Result<std::byte*> mapped = nullptr;
    {
        const testing::Allocations none(0);
        revoked = agent.revoke(base, page_size, Access::none);
        mapped = agent.map(/*file=*/0, 0, page_size, Sharing::shared, /*open=*/false);
    }
    EXPECT_TRUE(revoked) << "it has no page tables any more";
    ASSERT_FALSE(mapped);
    EXPECT_EQ(mapped.error().code, ErrorCode::unavailable);
    EXPECT_NE(stopped.worker->report().find("did not answer within 100 ms"), std::string::npos)
        << stopped.worker->report();
    let_go(stopped);
}

// One whose end is not reported may still reach its pages: they stay as they are until it is.
TEST_P(UnresponsiveWorkers, ThatDoNotEndKeepTheirPagesOutOfCirculation) {
    make_map();
    constexpr int harmless = SIGCONT;
    Member& lost = spawn({.answer_within = patient.answer_within, .end_within = Milliseconds(50), .kill_signal = harmless});
    AnyRegion* region = map_in(lost, {.pages = pages});
    AnyRegion* here = map_region({.pages = {0, 16}});
    write_in(lost, region, {0, 2}, 4);
    EXPECT_EQ(mapped_version(here, 0), 4u);
    write_mapped(here, 10, 4);
    lost.worker->stop_at(WorkerPoint::revocation);
    lost.worker->agent().set_answer_within(Milliseconds(50));
    Result<RemovalOutcome> removed = map->remove_contig({0, 16});
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().code, ErrorCode::unavailable) << removed.error().text();
    EXPECT_EQ(lost.worker->state(), WorkerState::lost);
    EXPECT_EQ(map->page_count(), 3u) << "a revocation failed, and so nothing was dropped";
    removed = map->remove_contig({0, 16});
    ASSERT_TRUE(removed) << removed.error().text();
    EXPECT_EQ(removed->removed, 1u) << "others go on";
    EXPECT_EQ(removed->quarantined, 2u);
    EXPECT_EQ(mapped_version(here, 0), 4u);
    expect_sound();
    ASSERT_TRUE(map->writeback({0, object_pages}));
    EXPECT_EQ(store.stored_version(1), 4u);
    EXPECT_FALSE(map->remove_region(region)) << "what it could reach stays";
    EXPECT_EQ(map->frames_in_use(), 2u);
    lost.worker->signal(SIGKILL);
    ASSERT_TRUE(lost.worker->wait_for_end(std::chrono::minutes(1)));
    EXPECT_EQ(remove({0, 16}), 2u) << "its end was reported";
    EXPECT_EQ(store.stored_version(0), 4u);
    remove_region(here);
}

TEST_P(UnresponsiveWorkers, AreNotHeldAgainstThoseThatAreSlow) {
    make_map();
    Member& slow = spawn();
    AnyRegion* region = map_in(slow, {.pages = pages});
    write_in(slow, region, pages, 4);
    slow.worker->stop_at(WorkerPoint::revocation);
    std::thread waker([&] {
        EXPECT_TRUE(slow.worker->wait_until_stopped_at(WorkerPoint::revocation));
        slow.worker->stop_at(WorkerPoint::none);
    });
    EXPECT_EQ(remove(pages), pages.count);
    waker.join();
    EXPECT_EQ(slow.worker->state(), WorkerState::running);
    EXPECT_EQ(found_in(slow, region, pages, 4), pages.count);
}

}  // namespace
}  // namespace page_map_lab::testing
