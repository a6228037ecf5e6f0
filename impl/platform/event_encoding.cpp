#include "impl/platform/event_encoding.hpp"

#include <linux/perf_event.h>
#include <perfmon/pfmlib.h>
#include <perfmon/pfmlib_perf_event.h>

#include <charconv>
#include <cstdlib>
#include <mutex>

namespace page_map_lab {
namespace {

std::mutex& library_lock() {
    static std::mutex lock;
    return lock;
}

/// Initialises the library once; PFM_SUCCESS or its error. Called with the lock held.
int initialise() {
    static const int outcome = [] {
        ::setenv("LIBPFM_ENCODE_INACTIVE", "1", 1);
        return static_cast<int>(::pfm_initialize());
    }();
    return outcome;
}

Result<EncodedEvent> encode_raw(std::string_view name) {
    std::string_view digits = name.substr(std::string_view("raw:").size());
    int base = 10;
    if (digits.starts_with("0x")) {
        digits.remove_prefix(2);
        base = 16;
    }
    std::uint64_t code = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
    if (error != std::errc{} || end != digits.data() + digits.size()) {
        return fail(ErrorCode::usage, "event '" + std::string(name) + "': not a code; write it as raw:0xf045");
    }
    return EncodedEvent{.type = PERF_TYPE_RAW, .config = code};
}

}  // namespace

Result<EncodedEvent> encode_event(std::string_view name) {
    if (name.starts_with("raw:")) {
        return encode_raw(name);
    }
    const std::lock_guard guard(library_lock());
    int outcome = initialise();
    perf_event_attr attributes{};
    if (outcome == PFM_SUCCESS) {
        attributes.size = sizeof attributes;
        pfm_perf_encode_arg_t request{};
        request.attr = &attributes;
        request.size = sizeof request;
        outcome = ::pfm_get_os_event_encoding(std::string(name).c_str(), PFM_PLM0 | PFM_PLM3, PFM_OS_PERF_EVENT_EXT,
                                              &request);
    }
    if (outcome != PFM_SUCCESS) {
        return fail(ErrorCode::unavailable, "event '" + std::string(name) + "': libpfm4 " + ::pfm_strerror(outcome));
    }
    return EncodedEvent{attributes.type, attributes.config, attributes.config1, attributes.config2};
}

std::string recognised_pmu() {
    const std::lock_guard guard(library_lock());
    if (initialise() != PFM_SUCCESS) {
        return {};
    }
    std::string name;
    for (int number = 0; number < PFM_PMU_MAX; ++number) {
        pfm_pmu_info_t info{};
        info.size = sizeof info;
        const auto pmu = static_cast<pfm_pmu_t>(number);
        // Intel's architected PMU is present beside the model's own; and where a family has an old and a more exact
        // name, the exact one was added later.
        if (pmu != PFM_PMU_INTEL_X86_ARCH && ::pfm_get_pmu_info(pmu, &info) == PFM_SUCCESS && info.is_present &&
            info.type == PFM_PMU_TYPE_CORE) {
            name = info.name;
        }
    }
    return name;
}

std::string libpfm_version() {
    const int version = ::pfm_get_version();
    return std::to_string(PFM_MAJ_VERSION(version)) + "." + std::to_string(PFM_MIN_VERSION(version));
}

}  // namespace page_map_lab
