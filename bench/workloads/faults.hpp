// What the fault workload touches: an object whose pages are put, before each run, where their faults will find them.
//
// Virtual, so that the workload is compiled once; touching memory needs no call of the variant.
//
// Thread safety: `prepare` and `judge` while nobody touches; touching from any thread, each in its own slice.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "bench/workloads/mapped_object.hpp"
#include "impl/page_map/fault_handler.hpp"
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

/// The floor: the processor's fault, the same SIGSEGV handler, the store's bare read where a page is not there, and one raw
/// mprotect.
class RawFaultTarget final : public FaultTarget {
public:
    /// Throws std::runtime_error where the system has no room.
    RawFaultTarget(std::uint64_t pages, Environment& environment)
        : environment_(environment),
          pages_{0, pages},
          store_(pages, MemoryStore::Fresh::versioned),
          memory_(pages) {
        const auto bytes = memory_.bytes(pages_);
        environment.place(bytes.data(), bytes.size());
    }
    ~RawFaultTarget() override {
        close();
        environment_.forget(memory_.bytes(pages_).data());
    }

    Status prepare(FaultKind kind) override {
        reads_ = kind == FaultKind::hard;
        if (Status read = reads_ ? Status{} : store_.read_pages(pages_, memory_.bytes(pages_)); !read) {
            return read;
        }
        store_.reset_counts();
        const auto base = memory_.map(pages_, Sharing::shared);
        if (!base) {
            return tl::unexpected(base.error());
        }
        base_ = *base;
        Domain::serve_for(this);
        return kind == FaultKind::write ? protect(base_, size_bytes(), Access::read) : Status{};
    }

    std::byte* address_of(PageIndex page) const override { return base_ + page * page_size; }

    std::string judge(FaultKind kind, std::uint64_t version) override {
        const std::uint64_t reads_owed = reads_ ? pages_.count : 0;
        if (store_.total_reads() != reads_owed || store_.read_twice()) {
            return "the faults read " + std::to_string(store_.total_reads()) + " pages from the store and owe " +
                   std::to_string(reads_owed) + ", each once";
        }
        for (PageIndex page = 0; kind == FaultKind::write && page < pages_.count; ++page) {
            if (find_mismatch(memory_.bytes({page, 1}), page, version)) {
                return "page " + std::to_string(page) + " does not hold what was written through the mapping";
            }
        }
        close();
        return {};
    }

    std::string finish() override { return {}; }

private:
    /// Stays with the handler for the life of the process, and serves for whichever target is being touched.
    class Domain final : public FaultDomain {
    public:
        static void serve_for(RawFaultTarget* target) {
            static Domain domain;
            // relaxed: the start of a run orders it before every touch, and its end after.
            domain.target_.store(target, std::memory_order_relaxed);
        }

        FaultOutcome serve(std::byte* address, Access access, ErrorCode& why) noexcept override {
            RawFaultTarget* const target = target_.load(std::memory_order_relaxed);  // relaxed: see serve_for
            if (target == nullptr || address < target->base_ || address >= target->base_ + target->size_bytes()) {
                return FaultOutcome::not_ours;
            }
            const Status served = target->serve(static_cast<PageIndex>(address - target->base_) / page_size, access);
            why = served ? why : served.error().code;
            return served ? FaultOutcome::served : FaultOutcome::failed;
        }

    private:
        Domain() { FaultHandler::add(*this); }

        std::atomic<RawFaultTarget*> target_{nullptr};
    };

    Status serve(PageIndex page, Access access) {
        const Status read = reads_ ? store_.read_pages({page, 1}, memory_.bytes({page, 1})) : Status{};
        return read ? protect(address_of(page), page_size, access) : read;
    }

    std::size_t size_bytes() const { return pages_.count * page_size; }

    void close() {
        if (base_ != nullptr) {
            Domain::serve_for(nullptr);
            static_cast<void>(ObjectMemory::unmap(base_, pages_.count));
            base_ = nullptr;
        }
    }

    Environment& environment_;
    const PageRange pages_;
    MemoryStore store_;
    ObjectMemory memory_;
    std::byte* base_ = nullptr;
    bool reads_ = false;
};

}  // namespace page_map_lab::bench
