// Pairs of accesses of which one orders the other and nothing else does: weaken either side of the label that a test names,
// and ThreadSanitizer reports a race there. Without ThreadSanitizer these tests only show that what they do works.
//
// The threads tell each other where they are by relaxed words, which order nothing. Page contents are one byte that is read
// and written as such: what the compiler makes of a memcpy, ThreadSanitizer does not see.
#include <atomic>
#include <thread>

#include "impl/page_map/region.hpp"
#include "tests/variants/page_map_fixture.hpp"
#include "variants/mechanism/mprotect.hpp"

namespace page_map_lab::testing {
namespace {

/// A word that says how far a test is and orders nothing.
class Step {
public:
    void reach(int step) { step_.store(step, std::memory_order_relaxed); }  // relaxed: see above
    bool reached(int step) const { return step_.load(std::memory_order_relaxed) >= step; }  // relaxed: see above
    void await(int step) const {
        while (!reached(step)) {
            std::this_thread::yield();
        }
    }

private:
    std::atomic<int> step_{0};
};

/// A store without locks, which would order what is to be left unordered.
class BareStore final : public Store {
public:
    std::function<Status()> after_read = [] { return Status{}; };

    Status read_pages(PageRange, std::span<std::byte> bytes) override {
        bytes[0] = std::byte{1};
        return after_read();
    }
    Status write_pages(PageRange, std::span<const std::byte> bytes) override {
        written = bytes[0];
        return {};
    }
    std::uint64_t size_pages() const override { return object_pages; }

    std::byte written{0};
};

class MemoryOrder : public PageMapTest {
protected:
    static constexpr PageIndex index = 5;

    /// A map whose leaf is there already, so that no link is published while a test runs.
    void make_map_with_leaf() {
        make_map({.store = &bare});
        map->put(*map->insert(index + 1));
    }

    /// Another thread, registered; `body` starts when this one waits for it.
    template <class Body>
    std::thread other(Body body) {
        return std::thread([this, body] {
            const auto registration = map->register_thread();
            body();
        });
    }

    void join(std::thread& thread_to_join) {
        const auto offline = map->offline_scope();
        thread_to_join.join();
    }

    BareStore bare;
};

INSTANTIATE_TEST_SUITE_P(Variants, MemoryOrder, ::testing::ValuesIn([] {
                             // A locked walk orders everything, and marks take the map's lock.
                             std::vector<VariantEntry> lock_free;
                             for (const VariantEntry& entry : all_variants()) {
                                 if (entry.read != "spinlock" && entry.layout != "xarray" && entry.shootdown == "batched") {
                                     lock_free.push_back(entry);
                                 }
                             }
                             return lock_free;
                         }()),
                         test_name);

// [slot-publish]
TEST_P(MemoryOrder, WhoFindsAPageSeesItsDescriptor) {
    make_map_with_leaf();
    Step step;
    std::thread reader = other([&] {
        step.reach(1);
        AnyCounted page = map->find(index);
        while (!page) {
            page = map->find(index);
        }
        EXPECT_EQ(map->bytes(page).size(), page_size);  // reads the descriptor's index
        map->put(page);
    });
    step.await(1);
    const Result<AnyCounted> inserted = map->insert(index);
    join(reader);
    ASSERT_TRUE(inserted);
    map->put(*inserted);
}

// [page-current]
TEST_P(MemoryOrder, WhoFindsAPageUpToDateSeesItsBytes) {
    make_map_with_leaf();
    Step step;
    std::thread reader = other([&] {
        step.reach(1);
        Result<AnyCounted> page = map->load_nowait(index);
        while (!page) {
            page = map->load_nowait(index);
        }
        EXPECT_EQ(map->bytes(*page)[0], std::byte{1});
        map->put(*page);
    });
    step.await(1);
    const AnyCounted loaded = load(index);
    join(reader);
    map->put(loaded);  // not before: the reader would see the bytes through the slot word
}

// [page-lock]
TEST_P(MemoryOrder, WhoLocksAPageSeesWhatWasReadIntoItBefore) {
    make_map_with_leaf();
    Step step;
    // The first read fails once the second reader waits for the page's lock, or is about to.
    bare.after_read = [&]() -> Status {
        if (!step.reached(1)) {
            step.reach(1);
            step.await(2);
            return fail(ErrorCode::io, "the first read fails");
        }
        return {};
    };
    std::thread first = other([&] { EXPECT_FALSE(map->load(index)); });
    step.await(1);
    const AnyCounted found = map->find(index);
    ASSERT_TRUE(found);
    step.reach(2);
    const Result<AnyCounted> second = map->load(index);
    join(first);
    ASSERT_TRUE(second);
    EXPECT_EQ(map->bytes(*second)[0], std::byte{1});
    map->put(*second);
    map->put(found);
}

// [page-dirty]
TEST_P(MemoryOrder, WhoWritesADirtyPageOutSeesWhatMadeItDirty) {
    make_map_with_leaf();
    touch(index);
    Step step;
    std::thread writer = other([&] {
        const AnyCounted page = map->find(index);
        map->bytes(page)[0] = std::byte{7};
        map->mark_dirty(page);
        step.reach(1);
        const auto offline = map->offline_scope();
        step.await(2);
        map->put(page);  // not before: the slot word would order what the flags have to
    });
    step.await(1);
    const Result<RemovalOutcome> outcome = map->writeback({0, object_pages});
    step.reach(2);
    join(writer);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(bare.written, std::byte{7});
}

// [slot-put]
TEST_P(MemoryOrder, WhoRemovesAPageSeesWhatItsLastUserDid) {
    make_map_with_leaf();
    touch(index);
    Step step;
    std::thread user = other([&] {
        const AnyCounted page = map->find(index);
        map->bytes(page)[0] = std::byte{7};
        map->put(page);
        step.reach(1);
        const auto offline = map->offline_scope();
        step.await(2);
    });
    step.await(1);
    EXPECT_EQ(remove({index, 1}), 1u);
    touch(index);  // reads into the same bytes
    step.reach(2);
    join(user);
}

// [region-pin]
TEST(RegionMemoryOrder, WhoWaitsForARegionsPinsSeesWhatWasDoneUnderThem) {
    using Machine = MachineWith<Mprotect>;
    struct Server final : FaultServer<Machine> {
        Status serve_fault(Region<Machine>&, PageIndex, Access) noexcept override { return {}; }
    } server;
    Region<Machine> region(AddressSpace<Machine>::this_process(), server, {.pages = {0, 1}}, nullptr);
    region.pin();
    Step step;
    std::thread user([&] {
        region.entry(0).map_private_copy();
        region.unpin();
        step.reach(1);
    });
    step.await(1);
    while (region.pinned()) {
        std::this_thread::yield();
    }
    region.entry(0).unmap();
    user.join();
    EXPECT_FALSE(region.entry(0).mapped());
}

}  // namespace
}  // namespace page_map_lab::testing
