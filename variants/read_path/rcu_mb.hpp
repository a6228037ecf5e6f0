// liburcu's full-barrier flavour: two fences a section, grace periods without a system call.
//
// Thread safety, progress, invariants: see rcu.hpp.
#pragma once

#include <string_view>

#include "variants/read_path/rcu.hpp"
#include "variants/read_path/urcu_headers.hpp"

#include <urcu/static/urcu-mb.h>

namespace page_map_lab {

struct UrcuMb : NoticedSections {
#if PAGE_MAP_LAB_INLINE_URCU
    static void read_lock() noexcept { _urcu_mb_read_lock(); }
    static void read_unlock() noexcept { _urcu_mb_read_unlock(); }
#else
    static void read_lock() noexcept;
    static void read_unlock() noexcept;
#endif
    static void synchronize();
    static void register_thread();
    static void unregister_thread();
};

struct RcuMb {
    static constexpr std::string_view name = "rcu_mb";
    template <class Machine>
    using On = Rcu<Machine, UrcuMb>;
};

}  // namespace page_map_lab
