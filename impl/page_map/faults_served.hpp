// How many faults the calling thread has had served, for whoever wants to know what a delay of its own was.
//
// Thread safety: each thread has its own count.
#pragma once

#include <cstdint>

namespace page_map_lab {

/// Those on regions, so far, by the process's SIGSEGV handler (fault_handler.hpp). Cost: one load.
std::uint64_t faults_served_on_this_thread() noexcept;

}  // namespace page_map_lab
