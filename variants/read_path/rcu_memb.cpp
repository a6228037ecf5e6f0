#include <urcu/urcu-memb.h>

#include "variants/read_path/rcu_memb.hpp"

namespace page_map_lab {

#if !PAGE_MAP_LAB_INLINE_URCU
void UrcuMemb::read_lock() noexcept { urcu_memb_read_lock(); }
void UrcuMemb::read_unlock() noexcept { urcu_memb_read_unlock(); }
#endif
void UrcuMemb::synchronize() { urcu_memb_synchronize_rcu(); }
void UrcuMemb::register_thread() { urcu_memb_register_thread(); }
void UrcuMemb::unregister_thread() { urcu_memb_unregister_thread(); }

}  // namespace page_map_lab
