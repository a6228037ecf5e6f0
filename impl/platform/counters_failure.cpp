#include "impl/platform/counters_failure.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace page_map_lab {
namespace {

std::string paranoia_advice(CounterTarget target, CounterSystem& system) {
    const bool whole_cpu = target.process == -1;
    const std::string level = whole_cpu ? "0" : "1";
    const Result<std::string> text = system.read_text("/proc/sys/kernel/perf_event_paranoid");
    int paranoia = 0;
    const bool known =
        text && std::from_chars(text->data(), text->data() + text->size(), paranoia).ec == std::errc{};
    if (known && paranoia <= (whole_cpu ? 0 : 1)) {
        return "kernel.perf_event_paranoid is " + std::to_string(paranoia) +
               " and allows it, so a container's seccomp profile or a security module forbids it: run outside, or "
               "with --cap-add PERFMON and a profile that allows perf_event_open";
    }
    return "kernel.perf_event_paranoid is " + (known ? std::to_string(paranoia) : std::string("unreadable")) +
           ": as root, sysctl kernel.perf_event_paranoid=" + level + ", or give the program CAP_PERFMON";
}

}  // namespace

CounterFailure explain_open_failure(int error, EventKind kind, CounterTarget target, CounterSystem& system) {
    const bool hardware = kind == EventKind::hardware;
    switch (error) {
        case EACCES:
        case EPERM:
            // The kernel asks for permission first and for hardware second: permission would gain nothing here.
            if (hardware && !system.has_core_pmu()) {
                break;
            }
            return {CounterState::denied, "permission denied; " + paranoia_advice(target, system)};
        case EMFILE:
        case ENFILE:
            return {CounterState::denied, "too many open files: raise ulimit -n, or count a smaller set"};
        case EBUSY:
            return {CounterState::denied, "another session holds the PMU exclusively: end it and try again"};
        case ENOSYS:
            return {CounterState::absent, "this kernel is built without perf_event, or a sandbox hides it"};
        default:
            if (!hardware) {
                return {CounterState::absent,
                        "the kernel does not count this: " + std::generic_category().message(error)};
            }
    }
    if (!system.has_core_pmu()) {
        return {CounterState::absent,
                "no hardware: the kernel drives no PMU here, as in most virtual machines; run on the bare machine, or "
                "give the guest a virtual PMU"};
    }
    return {CounterState::absent, "this PMU does not take the event: " + std::generic_category().message(error)};
}

tl::expected<std::uint64_t, CounterFailure> tracepoint_number(std::string_view subsystem, std::string_view event,
                                                              CounterSystem& system) {
    const std::string name = std::string(subsystem) + ":" + std::string(event);
    bool mounted = false;
    for (const std::string root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
        const Result<std::string> text =
            system.read_text(root + "/events/" + std::string(subsystem) + "/" + std::string(event) + "/id");
        if (text) {
            std::uint64_t number = 0;
            if (std::from_chars(text->data(), text->data() + text->size(), number).ec == std::errc{}) {
                return number;
            }
            return tl::unexpected(
                CounterFailure{CounterState::absent, root + ": the number of " + name + " is unreadable"});
        }
        const int error = text.error().system_errno;
        if (error == EACCES || error == EPERM) {
            // An unmounted tracefs is an open, empty folder; only a closed door in the first place says anything:
            // debugfs is closed to users whether or not it has tracepoints.
            if (root == "/sys/kernel/tracing") {
                return tl::unexpected(CounterFailure{
                    CounterState::denied, "permission denied; " + root +
                                              " is readable by root only: run as root, or give the program "
                                              "CAP_DAC_READ_SEARCH and CAP_PERFMON"});
            }
            continue;
        }
        // A small file that every mounted tracefs has.
        mounted = mounted || system.read_text(root + "/events/header_page").has_value();
    }
    if (mounted) {
        return tl::unexpected(CounterFailure{CounterState::absent, "this kernel has no tracepoint " + name});
    }
    return tl::unexpected(CounterFailure{
        CounterState::absent, "tracefs is not mounted: as root, mount -t tracefs nodev /sys/kernel/tracing"});
}

}  // namespace page_map_lab
