// The seam between the counters and the operating system: what a test replaces to deny, to fail and to multiplex.
//
// Thread safety: the real one, all members. Failures are returned as negative errno values, as the kernel returns them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "impl/core/error.hpp"
#include "impl/platform/event_catalog.hpp"

struct perf_event_attr;

namespace page_map_lab {

/// What the kernel accounts to the calling thread without being asked, and without permission.
struct ThreadUsage {
    std::uint64_t cpu_time_ns = 0;
    std::uint64_t context_switches = 0;
    std::uint64_t minor_faults = 0;
    std::uint64_t major_faults = 0;
    std::uint64_t now_ns = 0;  ///< CLOCK_MONOTONIC
};

/// The system calls and files that the counters use.
class CounterSystem {
public:
    virtual ~CounterSystem() = default;

    /// perf_event_open, close-on-exec. `group` is the leader's descriptor, or -1. A descriptor, or -errno.
    virtual int open_event(const perf_event_attr& attributes, int process, int cpu, int group) noexcept = 0;
    /// read: bytes, or -errno.
    virtual long read_event(int descriptor, void* memory, std::size_t bytes) noexcept = 0;
    /// ioctl: 0, or -errno.
    virtual int control_event(int descriptor, unsigned long request, const void* argument) noexcept = 0;
    virtual void close_event(int descriptor) noexcept = 0;

    /// The text of a small file of procfs, sysfs or tracefs; the error carries the errno.
    virtual Result<std::string> read_text(const std::string& path) = 0;
    /// Whether the kernel drives a PMU of the processor's cores, as far as sysfs tells.
    virtual bool has_core_pmu() = 0;
    virtual ProcessorIdentity processor() = 0;
    virtual ThreadUsage thread_usage() noexcept = 0;
};

}  // namespace page_map_lab
