// liburcu's membarrier flavour: a section is two stores and no fence, a grace period pays with membarrier for both.
//
// Thread safety, progress, invariants: see rcu.hpp.
#pragma once

#include <string_view>

#include "variants/read_path/rcu.hpp"
#include "variants/read_path/urcu_headers.hpp"

#include <urcu/static/urcu-memb.h>

namespace page_map_lab {

struct UrcuMemb : NoticedSections {
#if PAGE_MAP_LAB_INLINE_URCU
    static void read_lock() noexcept { _urcu_memb_read_lock(); }
    static void read_unlock() noexcept { _urcu_memb_read_unlock(); }
#else
    static void read_lock() noexcept;
    static void read_unlock() noexcept;
#endif
    static void synchronize();
    static void register_thread();
    static void unregister_thread();
};

struct RcuMemb {
    static constexpr std::string_view name = "rcu_memb";
    template <class Machine>
    using On = Rcu<Machine, UrcuMemb>;
};

}  // namespace page_map_lab
