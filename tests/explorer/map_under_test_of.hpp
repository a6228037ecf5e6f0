// MapUnderTest over one variant; included only where a variant is instantiated.
#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include "impl/page_map/page_map_definitions.hpp"
#include "tests/explorer/map_under_test.hpp"
#include "tests/explorer/simulated_machine.hpp"

namespace page_map_lab::explorer {

/// A shootdown that counts what is added to it. One that gathered nothing has nothing to do, and so a schedule in which nothing
/// is added is the same under every shootdown.
template <class Shootdown>
class Noticed : public Shootdown {
public:
    using Shootdown::Shootdown;

    template <class RegionType>
    void add(RegionType& region, PageRange pages) {
        ++gathered_;
        ++revocations_gathered;
        Shootdown::add(region, pages);
    }

    [[nodiscard]] Status flush() {
        const std::size_t steps = Simulation::instance().steps();
        Status done = Shootdown::flush();
        if (gathered_ == 0 && (!done || Simulation::instance().steps() != steps)) {
            Simulation::instance().violation("a shootdown to which nothing was added does something");
        }
        return done;
    }

private:
    std::uint64_t gathered_ = 0;
};

/// A variant on the simulated machine: its policies, unchanged, in the place where Variant puts the real one.
template <class LayoutPolicy, class ReadPathPolicy, class ShootdownPolicy>
struct SimulatedVariant {
    using LayoutTag = LayoutPolicy;
    using ShootdownTag = ShootdownPolicy;
    using Machine = SimulatedMachine;
    using ReadPath = typename ReadPathPolicy::template On<Machine>;
    using Layout = typename LayoutPolicy::template With<ReadPath>;
    using Shootdown = Noticed<typename ShootdownPolicy::template On<Machine>>;
};

template <class VariantType>
class MapUnderTestOf final : public MapUnderTest {
    using Map = PageMap<VariantType>;
    using Counted = typename Map::Counted;
    using RegionType = typename Map::RegionType;

public:
    explicit MapUnderTestOf(const MapParts& parts)
        : frames_(parts.frame_count, arena()),
          map_({.size_pages = parts.memory->size_pages(),
                .arena = &arena(),
                .frames = &frames_,
                .store = parts.store,
                .memory = parts.memory}) {}

    void as_thread(const std::function<void()>& body) override {
        const typename Map::Thread thread;
        body();
    }
    void quiescent() override { Map::ReadPath::quiescent(); }

    Held find(PageIndex index) override { return held(map_.find(index)); }
    void put(Held page) override { Map::put(counted(page)); }
    bool is_current(Held page) override {
        return (map_.descriptor(counted(page)).flags.load(std::memory_order_acquire) & page_flag::up_to_date) != 0;
    }
    Result<Held> load(PageIndex index) override { return held(map_.load(index)); }
    Result<Held> insert(PageIndex index) override {
        const FrameNumber frame = frames_.allocate();
        if (frame == 0) {
            return fail(ErrorCode::no_frame);
        }
        Result<Counted> inserted = map_.insert(index, frame);
        if (!inserted) {
            frames_.release(frame);
        }
        return held(std::move(inserted));
    }
    void mark_dirty(Held page) override { map_.mark_dirty(counted(page)); }

    Result<MappedRegion> add_region(unsigned space, const RegionOptions& options) override {
        Result<RegionType*> added = map_.add_region(spaces_[several_spaces ? space : 0], options);
        if (!added) {
            return tl::unexpected(std::move(added.error()));
        }
        return MappedRegion{*added, (*added)->base(), options.pages};
    }
    Status remove_region(const MappedRegion& region) override { return map_.remove_region(of(region)); }
    Status protect(const MappedRegion& region, Access protection) override {
        return map_.protect_region(*of(region), protection);
    }
    void set_locked(const MappedRegion& region, bool locked) override { map_.set_region_locked(*of(region), locked); }

    Result<RemovalOutcome> remove(PageRange range) override { return map_.remove_contig(range); }
    Result<RemovalOutcome> remove_or_zero(PageRange range) override { return map_.remove_or_zero(range); }
    Result<RemovalOutcome> free_unused() override { return map_.free_unused(); }
    Result<RemovalOutcome> writeback(PageRange range) override { return map_.writeback(range); }
    Status destroy() override { return map_.destroy(); }

    Status audit() override { return map_.audit(); }
    std::uint64_t page_count() override { return map_.page_count(); }
    std::uint64_t frames_in_use() override { return frames_.in_use(); }
    std::uint64_t frames_quarantined() override { return frames_.quarantined(); }

private:
    // A removal under whole_space takes the regions of one address space.
    static constexpr bool several_spaces = VariantType::ShootdownTag::name != std::string_view("whole_space");

    /// One for all runs: making one is dear, and each run gives back what it took.
    static NodeArena& arena() {
        static NodeArena& arena = *new NodeArena;
        return arena;
    }
    static Held held(Counted page) noexcept { return {page.slot, page.frame}; }
    static Result<Held> held(Result<Counted> page) {
        if (!page) {
            return tl::unexpected(std::move(page.error()));
        }
        return held(*page);
    }
    static Counted counted(Held page) noexcept { return {static_cast<Slot<SimulatedMachine>*>(page.slot), page.frame}; }
    static RegionType* of(const MappedRegion& region) noexcept { return static_cast<RegionType*>(region.region); }

    std::array<typename Map::Space, 2> spaces_;
    typename Map::Frames frames_;
    Map map_;
};

template <class LayoutPolicy, class ReadPathPolicy, class ShootdownPolicy>
VariantUnderTest variant_under_test() {
    using Simulated = SimulatedVariant<LayoutPolicy, ReadPathPolicy, ShootdownPolicy>;
    const std::string without_shootdown = "layout:" + std::string(LayoutPolicy::name) + "/read:" + std::string(ReadPathPolicy::name);
    return {without_shootdown + "/shootdown:" + std::string(ShootdownPolicy::name), without_shootdown,
            [](const MapParts& parts) -> std::unique_ptr<MapUnderTest> {
                return std::make_unique<MapUnderTestOf<Simulated>>(parts);
            }};
}

}  // namespace page_map_lab::explorer
