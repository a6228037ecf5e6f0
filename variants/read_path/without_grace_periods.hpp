// What a read path without grace periods answers where one with them has something to do: nothing.
//
// Thread safety: all members. Cost: nothing.
#pragma once

namespace page_map_lab {

struct WithoutGracePeriods {
    static void synchronize() noexcept {}
    static void register_thread() noexcept {}
    static void unregister_thread() noexcept {}
    static void quiescent() noexcept {}
    static void offline() noexcept {}
    static void online() noexcept {}
};

}  // namespace page_map_lab
