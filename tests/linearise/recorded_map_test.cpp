// Histories of real threads on one variant, and on maps that are wrong now and then: the check can fail.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>

#include "tests/linearise/linearisable.hpp"
#include "tests/linearise/recorded_map.hpp"
#include "tests/variants/forwarding_page_map.hpp"

namespace page_map_lab::linearise {
namespace {

using testing::ForwardingPageMap;

constexpr unsigned histories = 30;

/// How many of the histories of maps that `wrap` makes are rejected.
template <class Wrap>
unsigned rejected(Wrap&& wrap) {
    unsigned count = 0;
    const VariantEntry& variant = all_variants().front();
    for (unsigned number = 0; number < histories; ++number) {
        const auto history = record_history([&](const auto& options) { return wrap(variant.make(options)); },
                                            {.seed = number + 1});
        EXPECT_TRUE(history) << history.error().text();
        bool linearisable = history.has_value();
        for (const PageIndex page : recorded_pages()) {
            linearisable = linearisable && judge(history_of(*history, page)).linearisable;
        }
        count += !linearisable;
    }
    return count;
}

/// Wrong once in a few calls, as real bugs are.
class NowAndThen {
public:
    bool operator()() { return calls_.fetch_add(1, std::memory_order_relaxed) % 7 == 6; }  // relaxed: only counts

private:
    std::atomic<unsigned> calls_{0};
};

class FindsNothing final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    AnyCounted find(PageIndex index) override {
        AnyCounted found = ForwardingPageMap::find(index);
        if (found && wrong_()) {
            put(found);
            return {};
        }
        return found;
    }

private:
    NowAndThen wrong_;
};

class InsertsTwice final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    Result<AnyCounted> insert(PageIndex index) override {
        Result<AnyCounted> inserted = ForwardingPageMap::insert(index);
        if (!inserted && inserted.error().code == ErrorCode::already_present && wrong_()) {
            return load(index);
        }
        return inserted;
    }

private:
    NowAndThen wrong_;
};

/// Says that it inserted, and did not: the caller's page is a frame that nobody else can find.
class LosesAnInsert final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    Result<AnyCounted> insert(PageIndex index) override {
        Result<AnyCounted> inserted = ForwardingPageMap::insert(index);
        if (!inserted || !wrong_()) {
            return inserted;
        }
        put(*inserted);
        EXPECT_TRUE(remove_contig({index, 1}, nullptr));
        return AnyCounted{&lost_, 1};
    }
    void put(AnyCounted page) override {
        if (page.slot != &lost_) {
            ForwardingPageMap::put(page);
        }
    }
    std::uint32_t flags(AnyCounted page) override { return page.slot == &lost_ ? 0 : ForwardingPageMap::flags(page); }

private:
    int lost_ = 0;
    NowAndThen wrong_;
};

class SaysItRemoved final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    Result<RemovalOutcome> remove_contig(PageRange range, PhaseObserver* observer) override {
        Result<RemovalOutcome> outcome = ForwardingPageMap::remove_contig(range, observer);
        if (outcome && outcome->removed == 0 && wrong_()) {
            outcome->removed = 1;
        }
        return outcome;
    }

private:
    NowAndThen wrong_;
};

class ForgetsAWrite final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    void mark_dirty(AnyCounted page) override {
        if (!wrong_()) {
            ForwardingPageMap::mark_dirty(page);
        }
    }

private:
    NowAndThen wrong_;
};

/// Shows bytes as they were when the page was first looked at: a translation that nobody shot down.
class ShowsOldBytes final : public ForwardingPageMap {
public:
    using ForwardingPageMap::ForwardingPageMap;
    std::span<std::byte> bytes(AnyCounted page) override {
        const std::span<std::byte> now = ForwardingPageMap::bytes(page);
        const std::lock_guard guard(lock_);
        std::vector<std::byte>& old = old_[page.slot];
        if (old.empty()) {
            old.assign(now.begin(), now.end());
        }
        return wrong_() ? std::span<std::byte>(old) : now;
    }

private:
    std::mutex lock_;
    std::map<void*, std::vector<std::byte>> old_;
    NowAndThen wrong_;
};

template <class Broken>
unsigned rejected_of() {
    return rejected([](std::unique_ptr<AnyPageMap> map) { return std::make_unique<Broken>(std::move(map)); });
}

TEST(RecordedMap, AVariantsHistoriesAreLinearisable) {
    EXPECT_EQ(rejected([](std::unique_ptr<AnyPageMap> map) { return map; }), 0u);
}

TEST(RecordedMap, HistoriesHaveCallsThatOverlapAndAnswersOfEveryKind) {
    std::array<std::uint64_t, 7> answers{};
    std::uint64_t overlapping = 0;
    for (unsigned number = 0; number < histories; ++number) {
        const auto history = record_history(all_variants().front().make, {.seed = number + 1});
        ASSERT_TRUE(history) << history.error().text();
        for (const ThreadHistory& thread : *history) {
            for (const Event& event : thread) {
                ++answers[static_cast<std::size_t>(event.answer)];
                overlapping += event.returned != event.called + 1;
            }
        }
    }
    for (const Answer answer :
         {Answer::page, Answer::nothing, Answer::present, Answer::done, Answer::removed, Answer::kept}) {
        EXPECT_GT(answers[static_cast<std::size_t>(answer)], 0u) << static_cast<int>(answer);
    }
    EXPECT_GT(overlapping, 0u);
}

TEST(RecordedMap, AMapThatFindsNothingThoughThereIsAPageIsCaught) { EXPECT_GT(rejected_of<FindsNothing>(), 0u); }
TEST(RecordedMap, AMapThatInsertsWhereThereIsAPageIsCaught) { EXPECT_GT(rejected_of<InsertsTwice>(), 0u); }
TEST(RecordedMap, AMapThatLosesAnInsertIsCaught) { EXPECT_GT(rejected_of<LosesAnInsert>(), 0u); }
TEST(RecordedMap, AMapThatSaysItRemovedWhatItKeptIsCaught) { EXPECT_GT(rejected_of<SaysItRemoved>(), 0u); }
TEST(RecordedMap, AMapThatForgetsAWriteIsCaught) { EXPECT_GT(rejected_of<ForgetsAWrite>(), 0u); }
TEST(RecordedMap, AMapThatShowsOldBytesIsCaught) { EXPECT_GT(rejected_of<ShowsOldBytes>(), 0u); }

}  // namespace
}  // namespace page_map_lab::linearise
