#include "bench/harness/build_info.hpp"

#include <string>

#include <jemalloc/jemalloc.h>
#include <nlohmann/json.hpp>
#include <perfmon/pfmlib.h>

#include "build_revision.hpp"

namespace page_map_lab::bench {

nlohmann::ordered_json build_info() {
    const std::string revision = PAGE_MAP_LAB_GIT_REVISION;
    nlohmann::ordered_json build;
    if (revision.empty()) {
        build["git_revision"] = nullptr;
        build["git_revision_why"] = "built outside a git working tree";
        build["git_dirty"] = nullptr;
        build["git_dirty_why"] = "built outside a git working tree";
    } else {
        build["git_revision"] = revision;
        build["git_dirty"] = PAGE_MAP_LAB_GIT_DIRTY;
    }
    build["preset"] = PAGE_MAP_LAB_PRESET;
    build["build_type"] = PAGE_MAP_LAB_BUILD_TYPE;
    build["sanitizer"] = PAGE_MAP_LAB_SANITIZER;
    build["debug_checks"] = static_cast<bool>(PAGE_MAP_LAB_DEBUG_CHECKS);
#ifdef __clang__
    build["compiler"] = "clang++ " __clang_version__;
#else
    build["compiler"] = "g++ " __VERSION__;
#endif
    build["flags"] = PAGE_MAP_LAB_FLAGS;
    const int pfm = pfm_get_version();
    build["libraries"] = {{"benchmark", PAGE_MAP_LAB_BENCHMARK_VERSION},
                          {"hwloc", PAGE_MAP_LAB_HWLOC_VERSION},
                          {"pfm", std::to_string(PFM_MAJ_VERSION(pfm)) + "." + std::to_string(PFM_MIN_VERSION(pfm))},
                          {"jemalloc", JEMALLOC_VERSION},
                          {"urcu", PAGE_MAP_LAB_URCU_VERSION}};
    return build;
}

}  // namespace page_map_lab::bench
