#include "tests/failures/injector.hpp"

#include <dlfcn.h>
#include <execinfo.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace page_map_lab::failures {
namespace {

using Stack = std::array<void*, most_frames + 8>;

/// The stack from the frame on to which `returns_to` belongs; a sanitizer puts frames of its own before ours.
std::span<void* const> stack_from(const void* returns_to, Stack& frames) noexcept {
    const int found = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    const std::span<void* const> all(frames.data(), static_cast<std::size_t>(std::max(0, found)));
    const auto first = std::find(all.begin(), all.end(), returns_to);
    return all.subspan(static_cast<std::size_t>(first - all.begin()));
}

/// libstdc++ 12 reads folders in functions that are declared not to throw, and allocates in them: out of memory there, the
/// program ends, whatever its caller does.
bool in_noexcept_library_code(std::span<void* const> stack) noexcept {
    return std::any_of(stack.begin(), stack.end(), [](void* frame) {
        Dl_info facts{};
        return ::dladdr(frame, &facts) != 0 && facts.dli_sname != nullptr &&
               std::strstr(facts.dli_sname, "directory_iterator") != nullptr;
    });
}

Recording* recording = nullptr;
Injection wanted;
bool injecting = false;
std::atomic<const char*> armed_operation{nullptr};
std::atomic<std::uint32_t> hits{0};
std::atomic<bool> happened{false};
std::atomic<bool> memory_gone{false};
const char* failed_call = "";  // written before `happened`
thread_local std::size_t outer_frames = 0;
thread_local bool deciding = false;

std::uint64_t hash_of(const char* call, const std::array<void*, most_frames>& frames, std::size_t depth) noexcept {
    std::uint64_t hash = reinterpret_cast<std::uintptr_t>(call);
    for (std::size_t frame = 0; frame < depth; ++frame) {
        hash = (hash ^ reinterpret_cast<std::uintptr_t>(frames[frame])) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return hash;
}

void write_down(const Site& site) noexcept {
    while (recording->busy.exchange(1, std::memory_order_acquire) != 0) {
    }
    const auto known = recording->sites.begin() + recording->count;
    const auto found =
        std::find_if(recording->sites.begin(), known, [&](const Site& other) { return other.hash == site.hash; });
    if (found != known) {
        ++found->hits;
    } else if (recording->count == most_sites) {
        ++recording->lost;
    } else {
        recording->sites[recording->count++] = site;
    }
    recording->busy.store(0, std::memory_order_release);
}

}  // namespace

void record_into(Recording& into) noexcept {
    std::array<void*, 4> warm_up;
    ::backtrace(warm_up.data(), static_cast<int>(warm_up.size()));  // loads its library, which allocates
    recording = &into;
}

void inject(const Injection& injection) noexcept {
    std::array<void*, 4> warm_up;
    ::backtrace(warm_up.data(), static_cast<int>(warm_up.size()));
    wanted = injection;
    injecting = true;
}

bool injected() noexcept { return happened.load(std::memory_order_acquire); }

bool injected_into(const char* call) noexcept { return injected() && std::strcmp(failed_call, call) == 0; }

// What called the operation is no part of a site: the frames that are there already.
[[gnu::noinline]] Armed::Armed(const char* operation) noexcept {
    Stack frames;
    outer_frames = stack_from(__builtin_return_address(0), frames).size();
    armed_operation.store(operation, std::memory_order_release);
}

Armed::~Armed() {
    outer_frames = 0;
    armed_operation.store(nullptr, std::memory_order_release);
    memory_gone.store(false, std::memory_order_release);
}

[[gnu::noinline]] std::optional<unsigned> decide(const char* call, unsigned ways, bool allocates) noexcept {
    const char* operation = armed_operation.load(std::memory_order_acquire);
    if (operation == nullptr || deciding || (recording == nullptr && !injecting)) {
        return std::nullopt;
    }
    if (injected()) {
        return allocates && memory_gone.load(std::memory_order_acquire) ? std::optional(0U) : std::nullopt;
    }
    deciding = true;
    Stack frames;
    std::span<void* const> stack = stack_from(__builtin_return_address(0), frames);
    // The wrapper that asks is no part of the site either, nor what called the operation.
    const std::size_t depth = stack.size() - std::min(stack.size(), outer_frames + 1);
    stack = stack.subspan(std::min<std::size_t>(1, stack.size()), std::min(depth, most_frames));
    deciding = false;
    Site site{0, call, operation, ways, allocates, 1, static_cast<std::uint32_t>(stack.size()), {}};
    std::copy(stack.begin(), stack.end(), site.frames.begin());
    site.hash = hash_of(call, site.frames, site.depth);
    if (recording != nullptr) {
        if (in_noexcept_library_code(stack)) {
            recording->excluded.fetch_add(1, std::memory_order_relaxed);
            return std::nullopt;
        }
        write_down(site);
        return std::nullopt;
    }
    if (site.hash != wanted.hash || hits.fetch_add(1, std::memory_order_acq_rel) + 1 != wanted.hit) {
        return std::nullopt;
    }
    failed_call = call;
    memory_gone.store(wanted.then_no_memory, std::memory_order_release);
    happened.store(true, std::memory_order_release);
    return wanted.way;
}

}  // namespace page_map_lab::failures
