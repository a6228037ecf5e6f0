// AnyPageMap over one variant; included only where a variant is instantiated.
#pragma once

#include "impl/page_map/page_map.hpp"
#include "variants/any_page_map.hpp"

namespace page_map_lab {

template <class VariantType>
class AnyPageMapOf final : public AnyPageMap {
public:
    using Map = PageMap<VariantType>;
    using Counted = typename Map::Counted;
    using RegionType = typename Map::RegionType;

    explicit AnyPageMapOf(const Options& options)
        : nodes_({.budget_bytes = options.arena_budget_bytes}),
          frames_(options.frame_count, descriptors_),
          memory_(options.with_memory ? std::make_unique<ObjectMemory>(options.size_pages) : nullptr),
          map_({.size_pages = options.size_pages,
                .arena = &nodes_,
                .frames = &frames_,
                .store = options.store,
                .memory = memory_.get(),
                .keep_memory = options.keep_memory,
                .shootdown_spaces = options.shootdown_spaces,
                .reclaim = options.reclaim}) {}

    std::shared_ptr<void> register_thread() override { return std::make_shared<typename Map::Thread>(); }
    std::shared_ptr<void> online_scope() override { return std::make_shared<typename Map::Thread::OnlineScope>(); }
    std::shared_ptr<void> offline_scope() override { return std::make_shared<typename Map::Thread::OfflineScope>(); }
    void quiescent() override { Map::ReadPath::quiescent(); }

    AnyCounted find(PageIndex index) override { return any(map_.find(index)); }
    void put(AnyCounted page) override { Map::put(of(page)); }
    Result<AnyCounted> load_nowait(PageIndex index) override { return any(map_.load_nowait(index)); }
    Result<AnyCounted> load(PageIndex index) override { return any(map_.load(index)); }
    Result<AnyCounted> insert(PageIndex index) override {
        const FrameNumber frame = frames_.allocate();
        if (frame == 0) {
            return fail(ErrorCode::no_frame);
        }
        Result<Counted> inserted = map_.insert(index, frame);
        if (!inserted) {
            frames_.release(frame);
        }
        return any(std::move(inserted));
    }
    void mark_dirty(AnyCounted page) override { map_.mark_dirty(of(page)); }
    void attach_buffer(AnyCounted page, std::unique_ptr<PageBuffer> buffer) override {
        auto& descriptor = map_.descriptor(of(page));
        descriptor.attached = buffer.release();
        // relaxed: the caller's reference keeps the page from being released until its put.
        descriptor.flags.fetch_or(page_flag::buffer, std::memory_order_relaxed);
    }
    std::uint32_t flags(AnyCounted page) override {
        return map_.descriptor(of(page)).flags.load(std::memory_order_acquire);  // [page-current]
    }
    std::span<std::byte> bytes(AnyCounted page) override { return map_.bytes(of(page)); }
    std::uint64_t slot_bits(AnyCounted page) override {
        return of(page).slot->load(std::memory_order_relaxed);  // relaxed: a look at one word
    }

    Result<AnyRegion*> add_region(const RegionOptions& options) override {
        return add_region_to(Map::Space::this_process(), options);
    }
    std::shared_ptr<AnySpace> space_of(Worker& worker) override {
        const auto space = std::make_shared<typename Map::Space>(worker);
        return {space, reinterpret_cast<AnySpace*>(space.get())};
    }
    Result<AnyRegion*> add_region_in(AnySpace& space, const RegionOptions& options) override {
        return add_region_to(of(space), options);
    }
    Status remove_regions(AnySpace& space) override { return of(space).remove_regions(); }
    Status remove_region(AnyRegion* region) override { return map_.remove_region(of(region)); }
    Status protect_region(AnyRegion* region, Access protection) override {
        return map_.protect_region(*of(region), protection);
    }
    void set_region_locked(AnyRegion* region, bool locked) override { map_.set_region_locked(*of(region), locked); }
    Status fault(AnyRegion* region, PageIndex index, Access wanted) override {
        return map_.fault(*of(region), index, wanted);
    }
    std::byte* address_of(AnyRegion* region, PageIndex index) override { return of(region)->address_of(index); }

    Result<RemovalOutcome> remove_contig(PageRange range, PhaseObserver* observer) override {
        return map_.remove_contig(range, observer);
    }
    Result<RemovalOutcome> remove_or_zero(PageRange range) override { return map_.remove_or_zero(range); }
    Result<RemovalOutcome> free_unused() override { return map_.free_unused(); }
    Result<RemovalOutcome> writeback(PageRange range) override { return map_.writeback(range); }
    Status destroy() override { return map_.destroy(); }

    PageMapInfo info() override { return map_.info(); }
    Status audit() override { return map_.audit(); }
    std::uint64_t page_count() override { return map_.page_count(); }
    std::uint64_t frames_in_use() override { return frames_.in_use(); }
    std::uint64_t frames_quarantined() override { return frames_.quarantined(); }
    std::uint64_t memory_pages() override { return memory_ ? memory_->allocated_pages() : 0; }
    std::size_t node_bytes() override { return nodes_.allocated_bytes(); }

private:
    static AnyCounted any(Counted page) noexcept { return {page.slot, page.frame}; }
    static Result<AnyCounted> any(Result<Counted> page) {
        if (!page) {
            return tl::unexpected(std::move(page.error()));
        }
        return any(*page);
    }
    static Counted of(AnyCounted page) noexcept {
        return {static_cast<Slot<typename Map::Machine>*>(page.slot), page.frame};
    }
    static typename Map::Space& of(AnySpace& space) noexcept { return reinterpret_cast<typename Map::Space&>(space); }
    Result<AnyRegion*> add_region_to(typename Map::Space& space, const RegionOptions& options) {
        Result<RegionType*> added = map_.add_region(space, options);
        if (!added) {
            return tl::unexpected(std::move(added.error()));
        }
        return reinterpret_cast<AnyRegion*>(*added);
    }
    static RegionType* of(AnyRegion* region) noexcept { return reinterpret_cast<RegionType*>(region); }

    NodeArena nodes_;
    NodeArena descriptors_;
    typename Map::Frames frames_;
    std::unique_ptr<ObjectMemory> memory_;
    Map map_;
};

}  // namespace page_map_lab
