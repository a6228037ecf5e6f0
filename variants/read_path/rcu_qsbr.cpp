#include <urcu/urcu-qsbr.h>

#include "variants/read_path/rcu_qsbr.hpp"

namespace page_map_lab {

#if !PAGE_MAP_LAB_INLINE_URCU
void UrcuQsbr::quiescent() noexcept { urcu_qsbr_quiescent_state(); }
void UrcuQsbr::offline() noexcept { urcu_qsbr_thread_offline(); }
void UrcuQsbr::online() noexcept { urcu_qsbr_thread_online(); }
#endif
void UrcuQsbr::synchronize() { urcu_qsbr_synchronize_rcu(); }
// The library registers a thread as online.
void UrcuQsbr::register_thread() { urcu_qsbr_register_thread(); }
void UrcuQsbr::unregister_thread() { urcu_qsbr_unregister_thread(); }

}  // namespace page_map_lab
