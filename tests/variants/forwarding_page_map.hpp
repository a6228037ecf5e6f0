// A page map that passes every call on to another one: what a map that is wrong in one call is derived from.
#pragma once

#include <memory>
#include <utility>

#include "variants/any_page_map.hpp"

namespace page_map_lab::testing {

class ForwardingPageMap : public AnyPageMap {
public:
    explicit ForwardingPageMap(std::unique_ptr<AnyPageMap> inner) : inner_(std::move(inner)) {}

    std::shared_ptr<void> register_thread() override { return inner_->register_thread(); }
    void quiescent() override { inner_->quiescent(); }
    std::shared_ptr<void> online_scope() override { return inner_->online_scope(); }
    std::shared_ptr<void> offline_scope() override { return inner_->offline_scope(); }

    AnyCounted find(PageIndex index) override { return inner_->find(index); }
    void put(AnyCounted page) override { inner_->put(page); }
    Result<AnyCounted> load_nowait(PageIndex index) override { return inner_->load_nowait(index); }
    Result<AnyCounted> load(PageIndex index) override { return inner_->load(index); }
    Result<AnyCounted> insert(PageIndex index) override { return inner_->insert(index); }
    void mark_dirty(AnyCounted page) override { inner_->mark_dirty(page); }
    void attach_buffer(AnyCounted page, std::unique_ptr<PageBuffer> buffer) override {
        inner_->attach_buffer(page, std::move(buffer));
    }
    std::uint32_t flags(AnyCounted page) override { return inner_->flags(page); }
    std::span<std::byte> bytes(AnyCounted page) override { return inner_->bytes(page); }
    std::uint64_t slot_bits(AnyCounted page) override { return inner_->slot_bits(page); }

    Result<AnyRegion*> add_region(const RegionOptions& options) override { return inner_->add_region(options); }
    std::shared_ptr<AnySpace> space_of(Worker& worker) override { return inner_->space_of(worker); }
    Result<AnyRegion*> add_region_in(AnySpace& space, const RegionOptions& options) override {
        return inner_->add_region_in(space, options);
    }
    Status remove_regions(AnySpace& space) override { return inner_->remove_regions(space); }
    Status remove_region(AnyRegion* region) override { return inner_->remove_region(region); }
    Status protect_region(AnyRegion* region, Access protection) override {
        return inner_->protect_region(region, protection);
    }
    void set_region_locked(AnyRegion* region, bool locked) override { inner_->set_region_locked(region, locked); }
    Status fault(AnyRegion* region, PageIndex index, Access wanted) override {
        return inner_->fault(region, index, wanted);
    }
    std::byte* address_of(AnyRegion* region, PageIndex index) override { return inner_->address_of(region, index); }

    Result<RemovalOutcome> remove_contig(PageRange range, PhaseObserver* observer) override {
        return inner_->remove_contig(range, observer);
    }
    Result<RemovalOutcome> remove_or_zero(PageRange range) override { return inner_->remove_or_zero(range); }
    Result<RemovalOutcome> free_unused() override { return inner_->free_unused(); }
    Result<RemovalOutcome> writeback(PageRange range) override { return inner_->writeback(range); }
    Status destroy() override { return inner_->destroy(); }

    PageMapInfo info() override { return inner_->info(); }
    Status audit() override { return inner_->audit(); }
    std::uint64_t page_count() override { return inner_->page_count(); }
    std::uint64_t frames_in_use() override { return inner_->frames_in_use(); }
    std::uint64_t frames_quarantined() override { return inner_->frames_quarantined(); }
    std::uint64_t memory_pages() override { return inner_->memory_pages(); }
    std::size_t node_bytes() override { return inner_->node_bytes(); }

private:
    std::unique_ptr<AnyPageMap> inner_;
};

}  // namespace page_map_lab::testing
