#include <urcu/urcu-bp.h>

#include "variants/read_path/rcu_bp.hpp"

namespace page_map_lab {

#if !PAGE_MAP_LAB_INLINE_URCU
void UrcuBp::read_lock() noexcept { urcu_bp_read_lock(); }
void UrcuBp::read_unlock() noexcept { urcu_bp_read_unlock(); }
#endif
void UrcuBp::synchronize() { urcu_bp_synchronize_rcu(); }
void UrcuBp::register_thread() { urcu_bp_register_thread(); }
void UrcuBp::unregister_thread() { urcu_bp_unregister_thread(); }

}  // namespace page_map_lab
