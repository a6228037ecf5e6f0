#include <urcu/urcu-mb.h>

#include "variants/read_path/rcu_mb.hpp"

namespace page_map_lab {

#if !PAGE_MAP_LAB_INLINE_URCU
void UrcuMb::read_lock() noexcept { urcu_mb_read_lock(); }
void UrcuMb::read_unlock() noexcept { urcu_mb_read_unlock(); }
#endif
void UrcuMb::synchronize() { urcu_mb_synchronize_rcu(); }
void UrcuMb::register_thread() { urcu_mb_register_thread(); }
void UrcuMb::unregister_thread() { urcu_mb_unregister_thread(); }

}  // namespace page_map_lab
