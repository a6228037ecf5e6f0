// What the typed tests of every variant share: a map over a store in memory whose pages say what they are.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"
#include "variants/any_page_map.hpp"

namespace page_map_lab::testing {

inline constexpr std::uint64_t object_pages = 256;

/// A store that passes on to another one, after telling the test about each write.
class WatchedStore final : public Store {
public:
    explicit WatchedStore(Store& inner) : inner_(inner) {}

    std::function<Status(PageRange)> before_write = [](PageRange) { return Status{}; };
    std::function<Status(PageRange)> before_read = [](PageRange) { return Status{}; };

    Status read_pages(PageRange range, std::span<std::byte> bytes) override {
        if (Status refused = before_read(range); !refused) {
            return refused;
        }
        return inner_.read_pages(range, bytes);
    }
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override {
        if (Status refused = before_write(range); !refused) {
            return refused;
        }
        return inner_.write_pages(range, bytes);
    }
    std::uint64_t size_pages() const override { return inner_.size_pages(); }

private:
    Store& inner_;
};

class PageMapTest : public ::testing::TestWithParam<VariantEntry> {
protected:
    void make_map(AnyPageMap::Options options = {}) {
        if (options.size_pages == 0) {
            options.size_pages = object_pages;
        }
        if (options.frame_count == 0) {
            options.frame_count = object_pages;
        }
        if (options.store == nullptr) {
            options.store = &store;
        }
        map = GetParam().make(options);
        thread = map->register_thread();
    }

    void TearDown() override {
        if (map != nullptr && !HasFatalFailure()) {
            const Status sound = map->audit();
            EXPECT_TRUE(sound) << sound.error().text();
            const Status destroyed = map->destroy();
            EXPECT_TRUE(destroyed) << destroyed.error().text();
            EXPECT_EQ(map->frames_in_use(), 0u);
        }
        thread.reset();
        map.reset();
    }

    AnyCounted load(PageIndex index) {
        Result<AnyCounted> page = map->load(index);
        EXPECT_TRUE(page) << page.error().text();
        return page ? *page : AnyCounted{};
    }

    void touch(PageIndex index) { map->put(load(index)); }

    /// Writes (index, version) through a reference.
    void write(PageIndex index, std::uint64_t version) {
        const AnyCounted page = load(index);
        fill_contents(map->bytes(page), index, version);
        map->mark_dirty(page);
        map->put(page);
    }

    /// The version that a counted page holds.
    std::optional<std::uint64_t> version(PageIndex index) {
        const AnyCounted page = load(index);
        const auto found = version_of(map->bytes(page).first<page_size>(), index);
        map->put(page);
        return found;
    }

    AnyRegion* map_region(RegionOptions options) {
        Result<AnyRegion*> region = map->add_region(options);
        EXPECT_TRUE(region) << region.error().text();
        return region ? *region : nullptr;
    }

    void write_mapped(AnyRegion* region, PageIndex index, std::uint64_t version) {
        fill_contents({map->address_of(region, index), page_size}, index, version);
    }
    std::optional<std::uint64_t> mapped_version(AnyRegion* region, PageIndex index) {
        return version_of(std::span<const std::byte, page_size>(map->address_of(region, index), page_size), index);
    }

    std::uint64_t remove(PageRange range) {
        Result<RemovalOutcome> outcome = map->remove_contig(range);
        EXPECT_TRUE(outcome) << outcome.error().text();
        return outcome ? outcome->removed : 0;
    }

    void remove_region(AnyRegion* region) {
        const Status removed = map->remove_region(region);
        EXPECT_TRUE(removed) << removed.error().text();
    }

    MemoryStore store{object_pages, MemoryStore::Fresh::versioned};
    std::unique_ptr<AnyPageMap> map;
    std::shared_ptr<void> thread;
};

inline std::string test_name(const ::testing::TestParamInfo<VariantEntry>& entry) {
    std::string name = entry.param.layout + "_" + entry.param.read + "_" + entry.param.shootdown;
    constexpr std::string_view axis = "/mechanism:";  // left out where it is the base's
    if (const auto named = entry.param.name.find(axis); named != std::string::npos) {
        name += "_" + entry.param.name.substr(named + axis.size());
    }
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

}  // namespace page_map_lab::testing

#define FOR_EVERY_VARIANT(suite) \
    INSTANTIATE_TEST_SUITE_P(Variants, suite, ::testing::ValuesIn(all_variants()), test_name)
