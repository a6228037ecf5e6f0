// Runs workload_main as a program of its own would be: in a forked child, its output caught.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "bench/harness/selection.hpp"
#include "bench/harness/workload.hpp"

namespace page_map_lab::bench {

/// A folder of the test's own, removed with its contents.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "page-map-lab-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

struct Launch {
    int exit = -1;
    std::string output;
    std::string errors;
};

inline std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// `prepare` runs in the child first, for limits.
inline Launch launch(
    const WorkloadDescription& workload, std::vector<std::string> arguments,
    const std::function<void()>& prepare = [] {}) {
    const TemporaryFolder folder;
    arguments.insert(arguments.begin(), "bench_" + workload.name);
    const pid_t child = fork();
    if (child == 0) {
        if (std::freopen((folder / "output").c_str(), "w", stdout) == nullptr ||
            std::freopen((folder / "errors").c_str(), "w", stderr) == nullptr) {
            _exit(99);
        }
        std::vector<char*> pointers;
        for (auto& argument : arguments) {
            pointers.push_back(argument.data());
        }
        pointers.push_back(nullptr);
        prepare();
        const int code = workload_main(static_cast<int>(arguments.size()), pointers.data(), workload);
        std::fflush(nullptr);
        _exit(code);
    }
    Launch result;
    int status = 0;
    waitpid(child, &status, 0);
    result.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.output = contents(folder / "output");
    result.errors = contents(folder / "errors");
    return result;
}

/// How many points the real size has besides the product of its axes; none where one of them cannot be measured, or is asked twice.
inline std::size_t points_besides(WorkloadDescription workload) {
    Options options;
    options.real_size = true;
    const auto all = sweep(workload, options);
    if (!all) {
        return 0;
    }
    std::set<std::string> names;
    for (const Parameters& point : *all) {
        names.insert(point.name());
    }
    workload.variations.clear();
    return names.size() == all->size() ? all->size() - sweep(workload, options)->size() : 0;
}

}  // namespace page_map_lab::bench
