// liburcu's quiescent-state flavour: a section costs nothing, and each thread says now and then that it is in none.
//
// Thread safety, progress, invariants: see rcu.hpp; further:
//   - A thread that is online and never quiescent holds up every grace period: it goes offline before it blocks.
//   - register_thread leaves the thread online. Debug builds check in each section that its thread is.
#pragma once

#include <string_view>

#include "impl/core/check.hpp"
#include "variants/read_path/rcu.hpp"
#include "variants/read_path/urcu_headers.hpp"

#include <urcu/static/urcu-qsbr.h>

namespace page_map_lab {

struct UrcuQsbr {
    static constexpr bool section_end_is_quiescent = false;

    static void read_lock() noexcept {
        debug_check([] { return _urcu_qsbr_read_ongoing() != 0; },
                    "a thread enters a read section only while registered and online");
    }
    static void read_unlock() noexcept {
        debug_check([] { return _urcu_qsbr_read_ongoing() != 0; }, "a thread stays online through its read section");
    }
#if PAGE_MAP_LAB_INLINE_URCU
    static void quiescent() noexcept { _urcu_qsbr_quiescent_state(); }
    static void offline() noexcept { _urcu_qsbr_thread_offline(); }
    static void online() noexcept { _urcu_qsbr_thread_online(); }
#else
    static void quiescent() noexcept;
    static void offline() noexcept;
    static void online() noexcept;
#endif
    static void synchronize();
    static void register_thread();
    static void unregister_thread();
};

struct RcuQsbr {
    static constexpr std::string_view name = "rcu_qsbr";
    template <class Machine>
    using On = Rcu<Machine, UrcuQsbr>;
};

}  // namespace page_map_lab
