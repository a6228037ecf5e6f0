// The lookup workload's check: it passes what is right, and catches maps that are wrong in the ways that matter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/workloads/lookup.hpp"
#include "tests/bench/launch_in_child.hpp"

namespace page_map_lab::bench {
namespace {

/// A map that is right.
struct Sound : ResidentArray {
    using ResidentArray::ResidentArray;
};

/// Gives one reference in a thousand back twice over: never.
struct DropsAPut : ResidentArray {
    using ResidentArray::ResidentArray;
    static void put(Counted page) {
        static std::atomic<unsigned> calls{0};
        if (calls.fetch_add(1, std::memory_order_relaxed) % 1000 != 999) {  // relaxed: only counts
            ResidentArray::put(page);
        }
    }
};

/// Hands pages out without counting them.
struct DoesNotCount : ResidentArray {
    using ResidentArray::ResidentArray;
    Counted find(PageIndex index) noexcept {
        const Counted page = ResidentArray::find(index);
        if (page) {
            ResidentArray::put(page);
        }
        return page;
    }
    static void put(Counted) {}
};

/// Forgets one page.
struct LosesAPage : ResidentArray {
    using ResidentArray::ResidentArray;
    Counted find(PageIndex index) noexcept { return index == 17 ? Counted{} : ResidentArray::find(index); }
};

/// Answers with the neighbour, now and then.
struct MixesPagesUp : ResidentArray {
    using ResidentArray::ResidentArray;
    Counted find(PageIndex index) noexcept {
        static std::atomic<unsigned> calls{0};
        const bool wrong = calls.fetch_add(1, std::memory_order_relaxed) % 5000 == 4999;  // relaxed: only counts
        return ResidentArray::find(wrong ? index ^ 2U : index);
    }
};

/// Finds pages that were never inserted.
struct FindsTheAbsent : ResidentArray {
    using ResidentArray::ResidentArray;
    Counted find(PageIndex index) noexcept { return ResidentArray::find(index & ~PageIndex{1}); }
};

template <class Resident>
Launch look_up_in(std::vector<std::string> arguments = {}) {
    WorkloadDescription workload = lookup_question();
    add_floor(workload, "floor:tested", [](const Parameters& parameters) {
        return std::make_unique<LookupCell<Resident>>("floor:tested", parameters);
    });
    arguments.insert(arguments.end(), {"--floors", "--pages=256", "--threads=1", "--repetitions=2", "--min-time-ms=2"});
    return launch(workload, arguments);
}

TEST(LookupCheck, PassesASoundMap) {
    EXPECT_EQ(look_up_in<Sound>().exit, 0);
    EXPECT_EQ(look_up_in<Sound>({"--set=access=hit,miss", "--set=sharing=all,slices"}).exit, 0);
}

TEST(LookupCheck, CatchesAMapThatDropsAReference) {
    EXPECT_EQ(look_up_in<DropsAPut>().exit, 5);
}
TEST(LookupCheck, CatchesAMapThatDoesNotCount) {
    EXPECT_EQ(look_up_in<DoesNotCount>().exit, 5);
}
TEST(LookupCheck, CatchesAMapThatLosesAPage) {
    EXPECT_EQ(look_up_in<LosesAPage>().exit, 5);
}
TEST(LookupCheck, CatchesAMapThatMixesPagesUp) {
    EXPECT_EQ(look_up_in<MixesPagesUp>().exit, 5);
}
TEST(LookupCheck, CatchesAMapThatFindsTheAbsent) {
    EXPECT_EQ(look_up_in<FindsTheAbsent>({"--set=access=miss"}).exit, 5);
}

TEST(LookupWorkload, VariesOptionsOneAtATimeAtTheRealSize) {
    EXPECT_GE(points_besides(lookup_question()), 6U);
}

}  // namespace
}  // namespace page_map_lab::bench
