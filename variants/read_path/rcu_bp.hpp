// liburcu's bulletproof flavour: threads register themselves, at the price of one more dependent load a section.
//
// Thread safety, progress, invariants: see rcu.hpp.
#pragma once

#include <string_view>

#include "variants/read_path/rcu.hpp"
#include "variants/read_path/urcu_headers.hpp"

#include <urcu/static/urcu-bp.h>

namespace page_map_lab {

struct UrcuBp : NoticedSections {
#if PAGE_MAP_LAB_INLINE_URCU
    static void read_lock() noexcept { _urcu_bp_read_lock(); }
    static void read_unlock() noexcept { _urcu_bp_read_unlock(); }
#else
    static void read_lock() noexcept;
    static void read_unlock() noexcept;
#endif
    static void synchronize();
    static void register_thread();
    static void unregister_thread();
};

struct RcuBp {
    static constexpr std::string_view name = "rcu_bp";
    template <class Machine>
    using On = Rcu<Machine, UrcuBp>;
};

}  // namespace page_map_lab
