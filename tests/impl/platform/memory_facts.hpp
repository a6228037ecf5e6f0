// What the kernel says of the memory at an address, independent of hwloc and of what was asked for.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

namespace page_map_lab {

/// The memory policy's mode (MPOL_BIND, …); -1 where the kernel does not say.
inline int policy_mode_at(const void* address) {
    int mode = -1;
    return ::syscall(SYS_get_mempolicy, &mode, nullptr, 0UL, address, MPOL_F_ADDR) == 0 ? mode : -1;
}

/// Whether the mapping that holds `address` has this flag among the VmFlags of /proc/self/smaps ("nh": no huge pages);
/// nothing where the kernel does not say. Source: proc_pid_smaps(5).
inline std::optional<bool> mapping_has_flag(const void* address, const std::string& flag) {
    std::ifstream maps("/proc/self/smaps");
    bool inside = false;
    for (std::string text; std::getline(maps, text);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        if (std::sscanf(text.c_str(), "%lx-%lx ", &begin, &end) == 2) {
            const auto wanted = reinterpret_cast<std::uintptr_t>(address);
            inside = begin <= wanted && wanted < end;
        } else if (inside && text.starts_with("VmFlags:")) {
            return (text + " ").find(" " + flag + " ") != std::string::npos;
        }
    }
    return std::nullopt;
}

}  // namespace page_map_lab
