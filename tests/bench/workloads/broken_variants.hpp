// Variants that are wrong in one way each: what the benchmarks' own checks must catch.
//
// Instantiated once, in broken_variants.cpp.
#pragma once

#include <atomic>
#include <optional>
#include <utility>

#include "impl/page_map/frame_table.hpp"
#include "impl/page_map/page_map.hpp"
#include "variants/catalog.hpp"

namespace page_map_lab::bench {

/// Counts calls of any thread: a mutant goes wrong now and then, as real bugs do.
inline bool every(unsigned interval) {
    static std::atomic<unsigned> calls{0};
    return calls.fetch_add(1, std::memory_order_relaxed) % interval == interval - 1;  // relaxed: only counts
}

/// Gathers, and revokes nothing.
template <class MachineType>
class FlushlessShootdown {
public:
    using Machine = MachineType;
    explicit FlushlessShootdown(Access) noexcept {}
    void add(Region<Machine>&, PageRange pages) { cost_.pages += pages.count; }
    [[nodiscard]] Status flush() { return {}; }
    const ShootdownCost& cost() const noexcept { return cost_; }

private:
    ShootdownCost cost_;
};
struct SkipsTheFlush {
    static constexpr std::string_view name = "skips_the_flush";
    template <class Machine>
    using On = FlushlessShootdown<Machine>;
};

/// Revokes in the region that it was told of first, and in no other.
template <class MachineType>
class OneRegionShootdown {
public:
    using Machine = MachineType;
    explicit OneRegionShootdown(Access left) noexcept : inner_(left) {}
    void add(Region<Machine>& region, PageRange pages) {
        first_ = first_ == nullptr ? &region : first_;
        if (first_ == &region) {
            inner_.add(region, pages);
        }
    }
    [[nodiscard]] Status flush() { return inner_.flush(); }
    const ShootdownCost& cost() const noexcept { return inner_.cost(); }

private:
    Batched::On<Machine> inner_;
    Region<Machine>* first_ = nullptr;
};
struct ForgetsARegion {
    static constexpr std::string_view name = "forgets_a_region";
    template <class Machine>
    using On = OneRegionShootdown<Machine>;
};

/// Revokes in this process, and in no worker.
template <class MachineType>
class OneProcessShootdown {
public:
    using Machine = MachineType;
    explicit OneProcessShootdown(Access left) noexcept : inner_(left) {}
    void add(Region<Machine>& region, PageRange pages) {
        if (region.space().worker() == nullptr) {
            inner_.add(region, pages);
        }
    }
    [[nodiscard]] Status flush() { return inner_.flush(); }
    const ShootdownCost& cost() const noexcept { return inner_.cost(); }

private:
    Batched::On<Machine> inner_;
};
struct ForgetsWorkers {
    static constexpr std::string_view name = "forgets_workers";
    template <class Machine>
    using On = OneProcessShootdown<Machine>;
};

/// An atomic whose `Fault` may swallow a fetch_sub or a fetch_or.
template <class T, class Fault>
class FaultyAtomic : public std::atomic<T> {
public:
    using std::atomic<T>::atomic;
    T fetch_sub(T value, std::memory_order order) noexcept {
        return Fault::loses_subtraction(value)
                   ? this->load(order == std::memory_order_release ? std::memory_order_relaxed : order)
                   : std::atomic<T>::fetch_sub(value, order);
    }
    T fetch_or(T bits, std::memory_order order) noexcept {
        return Fault::loses_bits(bits) ? this->load(std::memory_order_seq_cst) : std::atomic<T>::fetch_or(bits, order);
    }
};
template <class Fault>
struct FaultyMachine : RealMachine, Mprotect {
    template <class T>
    using Atomic = FaultyAtomic<T, Fault>;
};

/// One put in fifty does not reach its slot.
struct DropsAReference {
    static bool loses_subtraction(std::uint64_t value) { return value == SlotWord::one_reference && every(50); }
    static bool loses_bits(std::uint64_t) { return false; }
};
/// One page in five that is written does not become dirty.
struct ForgetsDirty {
    static bool loses_subtraction(std::uint64_t) { return false; }
    static bool loses_bits(std::uint64_t bits) { return bits == page_flag::dirty && every(5); }
};

/// The base variant with a broken shootdown, or on a broken machine.
template <class ShootdownPolicy>
using WithShootdown = Variant<Radix, RcuQsbr, ShootdownPolicy, Mprotect>;
template <class Fault>
struct OnFaultyMachine {
    using LayoutTag = Radix;
    using ReadPathTag = RcuQsbr;
    using ShootdownTag = Batched;
    using MechanismTag = Mprotect;
    using Machine = FaultyMachine<Fault>;
    using ReadPath = RcuQsbr::On<Machine>;
    using Layout = Radix::With<ReadPath>;
    using Shootdown = Batched::On<Machine>;
};

}  // namespace page_map_lab::bench
