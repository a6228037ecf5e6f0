// Read-copy-update over a flavour of liburcu: readers take no lock, and what they could still see is freed only after a
// grace period.
//
// Thread safety: all members; each thread registers first. Progress: sections and walks are wait-free; synchronize
// blocks until the last section that was open is closed.
//
// Invariants:
//   1. A node is freed only after a grace period that began when no link led to it any more.
//   8. No grace period is awaited under a map, page or page-table lock: its holder could be what a reader waits for.
//
// Cost per section (this project's first machine, AMD, 2 cores): memb 1.2 to 2.3 ns, qsbr 0.3, bp 1.3 to 2.2, mb 63.
// Literature: Desnoyers, McKenney et al., "User-Level Implementations of Read-Copy Update", IEEE TPDS 23(2), 2012.
#pragma once

#include "impl/page_map/map_lock.hpp"
#include "variants/read_path/link.hpp"
#include "variants/read_path/tsan.hpp"

namespace page_map_lab {

/// For flavours that notice by themselves when a thread is in no section.
struct NoticedSections {
    static constexpr bool section_end_is_quiescent = true;
    static void quiescent() noexcept {}
    static void offline() noexcept {}
    static void online() noexcept {}
};

/// `Flavour` gives: read_lock, read_unlock, synchronize, register_thread, unregister_thread, quiescent, offline,
/// online, and `section_end_is_quiescent`: whether closing a section is what a grace period waits for.
template <class MachineType, class Flavour>
struct Rcu {
    using Machine = MachineType;
    static constexpr bool lock_free_readers = true;

    template <class T>
    using Link = PublishedLink<Machine, T>;

    class [[nodiscard]] Section {
    public:
        explicit Section(MapLock<Machine>&) noexcept { Flavour::read_lock(); }
        ~Section() {
            if constexpr (Flavour::section_end_is_quiescent) {
                announce_sections_closed(&grace_periods_);
            }
            Flavour::read_unlock();
        }
        Section(const Section&) = delete;
        Section& operator=(const Section&) = delete;
    };

    static void synchronize() {
        // A flavour that counts quiescent states takes the caller offline meanwhile, which is one.
        announce_sections_closed(&grace_periods_);
        Flavour::synchronize();
        announce_grace_period(&grace_periods_);
    }

    static void register_thread() { Flavour::register_thread(); }

    static void unregister_thread() {
        announce_sections_closed(&grace_periods_);
        Flavour::unregister_thread();
    }

    static void quiescent() noexcept {
        announce_quiescent();
        Flavour::quiescent();
    }

    static void offline() noexcept {
        announce_quiescent();
        Flavour::offline();
    }

    static void online() noexcept { Flavour::online(); }

private:
    static void announce_quiescent() noexcept {
        if constexpr (!Flavour::section_end_is_quiescent) {
            announce_sections_closed(&grace_periods_);
        }
    }

    static inline char grace_periods_ = 0;  ///< only its address is used: it names this flavour's grace periods
};

}  // namespace page_map_lab
