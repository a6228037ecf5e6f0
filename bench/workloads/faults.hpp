// What the fault workload touches: an object whose pages are put, before each run, where their faults will find them.
//
// Virtual, so that the workload is compiled once; touching memory needs no call of the variant.
//
// Thread safety: `prepare` and `judge` while nobody touches; touching from any thread, each in its own slice.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/workloads/mapped_object.hpp"
#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

enum class FaultKind : std::uint8_t {
    soft,   // the page is in the map and not in this region's page table
    hard,   // the page is in the store only
    write,  // the page is mapped readable and is to be written
};

class FaultTarget {
public:
    FaultTarget() = default;
    FaultTarget(const FaultTarget&) = delete;
    FaultTarget& operator=(const FaultTarget&) = delete;
    virtual ~FaultTarget() = default;

    /// Makes a region whose every page will fault once in the way of `kind`.
    virtual Status prepare(FaultKind kind) = 0;
    virtual std::byte* address_of(PageIndex page) const = 0;
    /// What is wrong after every page was touched, or empty; unmaps the region. `version` is what writers wrote.
    virtual std::string judge(FaultKind kind, std::uint64_t version) = 0;
    /// What is wrong at the end, or empty.
    virtual std::string finish() = 0;
};

template <class Variant>
class MapFaultTarget final : public FaultTarget {
public:
    using Object = MappedObject<Variant>;
    using Online = typename Object::Online;

    /// Throws std::runtime_error where the system has no room.
    MapFaultTarget(std::uint64_t pages, Environment& environment)
        : pages_{0, pages},
          store_(std::make_shared<MemoryStore>(pages, MemoryStore::Fresh::versioned)),
          object_({pages, pages}, store_, environment) {}

    Status prepare(FaultKind kind) override {
        const Online online;
        if (kind == FaultKind::hard) {
            const auto removed = object_.map().remove_contig(pages_);
            if (!removed) {
                return tl::unexpected(removed.error());
            }
        } else if (Status loaded = object_.load(pages_); !loaded) {
            return loaded;
        }
        store_->reset_counts();
        const auto attached = object_.attach({.pages = pages_});
        if (!attached) {
            return tl::unexpected(attached.error());
        }
        region_ = *attached;
        return kind == FaultKind::write ? object_.open(*region_, pages_, Access::read) : Status{};
    }

    std::byte* address_of(PageIndex page) const override { return region_->address_of(page); }

    std::string judge(FaultKind kind, std::uint64_t version) override {
        const Online online;
        const std::uint64_t reads = store_->total_reads();
        const std::uint64_t reads_owed = kind == FaultKind::hard ? pages_.count : 0;
        if (reads != reads_owed || store_->read_twice()) {
            return "the faults read " + std::to_string(reads) + " pages from the store and owe " +
                   std::to_string(reads_owed) + ", each once";
        }
        if (Status sound = object_.map().audit(); !sound) {
            return sound.error().text();
        }
        if (kind == FaultKind::write) {
            const auto written = object_.map().writeback(pages_);
            if (!written || written->written_back != pages_.count) {
                return "writing back " + std::to_string(pages_.count) +
                       " pages that were written through the region wrote " +
                       std::to_string(written ? written->written_back : 0);
            }
            for (PageIndex page = 0; page < pages_.count; ++page) {
                if (store_->stored_version(page) != version) {
                    return "what was written to page " + std::to_string(page) + " is not in the store";
                }
            }
        }
        const Status detached = object_.detach();
        return detached ? std::string() : detached.error().text();
    }

    std::string finish() override {
        const Status retired = object_.retire();
        return retired ? std::string() : retired.error().text();
    }

private:
    const PageRange pages_;
    std::shared_ptr<MemoryStore> store_;
    Object object_;
    typename Object::Region* region_ = nullptr;
};

}  // namespace page_map_lab::bench
