// A run of the page map or of the platform in which any call may fail, watched by an oracle.
//
// Each operation is attempted, and after a failure attempted again: an injected failure happens once, so that the second
// attempt succeeds unless the first one broke something.
//
// Thread safety: one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "impl/core/error.hpp"
#include "tests/failures/injector.hpp"
#include "variants/any_page_map.hpp"

namespace page_map_lab::failures {

/// Something that a failure must not do was done: ends the process, without taking down what may be in disorder.
[[noreturn]] void broken(const std::string& what);

/// What an operation may throw when one of its calls fails: a std::runtime_error only where its header says so.
enum class Throws : std::uint8_t { nothing, bad_alloc, bad_alloc_or_runtime_error };

/// What an operation may answer when one of its calls fails.
struct Documented {
    std::initializer_list<ErrorCode> errors;
    Throws throws = Throws::nothing;

    bool allows(ErrorCode code) const { return std::find(errors.begin(), errors.end(), code) != errors.end(); }
    bool allows(const std::exception& thrown) const {
        return (throws != Throws::nothing && dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr) ||
               (throws == Throws::bad_alloc_or_runtime_error && dynamic_cast<const std::runtime_error*>(&thrown) != nullptr);
    }
};

/// Runs `operation`, which returns a Result or a Status, until it succeeds; `after_failure` looks at what is left each
/// time it does not, and is given the error where there is one.
template <class Operation>
auto attempt(const char* name, Documented documented, Operation&& operation,
             const std::function<void(const Error*)>& after_failure = {}) {
    for (int failures = 0;; ++failures) {
        std::string problem;
        std::optional<Error> error;
        bool allowed = false;
        const auto tried = [&] {
            const Armed armed(name);
            return operation();
        };
        try {
            auto result = tried();
            if (result) {
                return result;
            }
            error = result.error();
            problem = error->text() + " [" + std::string(to_string(error->code)) + "]";
            allowed = documented.allows(error->code);
        } catch (const std::exception& thrown) {
            problem = std::string("throws ") + thrown.what();
            allowed = documented.allows(thrown);
        }
        if (!injected()) {
            broken(std::string(name) + " fails by itself: " + problem);
        }
        if (!allowed) {
            broken(std::string(name) + " answers what it does not document: " + problem);
        }
        if (after_failure) {
            after_failure(error ? &*error : nullptr);
        }
        if (failures == 2) {
            broken(std::string(name) + " fails for good: " + problem);
        }
    }
}

/// As attempt, for what only throws.
template <class Operation>
void attempt_throwing(const char* name, Operation&& operation, Throws throws = Throws::bad_alloc) {
    attempt(name, {{}, throws}, [&]() -> Status {
        operation();
        return {};
    });
}

/// How many files this process has open.
inline int open_files() {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return static_cast<int>(std::distance(begin(files), end(files)));
}

/// The runs of the sweep. What they hold is freed when they return.
void page_map_over_a_file(const VariantEntry& variant);
void page_map_over_memory(const VariantEntry& variant);
void page_map_with_a_worker(const VariantEntry& variant);
void describe_the_machine();
void count_events();
void place_memory_and_threads();
void run_a_team();
void read_a_log();

}  // namespace page_map_lab::failures
