#include "tests/failures/injector.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <span>

#include "impl/core/check.hpp"

namespace page_map_lab::failures {
namespace {

using Stack = std::array<void*, 128>;  // a whole one: how much of it is outside of the operation is counted from its end

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

/// What the processes of a run share: those that are forked later are armed with it, and fail with it. Stores release and
/// loads acquire: who sees one sees what led to it.
struct Shared {
    std::atomic<const char*> armed_operation{nullptr};  // of this program, which all of them are
    std::atomic<std::uint32_t> hits{0};
    std::atomic<bool> happened{false};
    std::atomic<bool> memory_gone{false};
    const char* failed_call = "";  // written before `happened`
};

Recording* recording = nullptr;
Injection wanted;
bool injecting = false;
Shared* shared = nullptr;
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
    // relaxed: whoever counts places takes one; `whole` orders what is in it.
    const std::size_t known = std::min<std::size_t>(recording->wanted.load(std::memory_order_relaxed), most_sites);
    for (std::size_t place = 0; place < known; ++place) {
        // [site] acquire: pairs with the release below.
        if (recording->whole[place].load(std::memory_order_acquire) && recording->sites[place].hash == site.hash) {
            // relaxed: a count that is read when the run has ended.
            std::atomic_ref(recording->sites[place].hits).fetch_add(1, std::memory_order_relaxed);
            return;
        }
    }
    const std::size_t own = recording->wanted.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above
    if (own < most_sites) {
        recording->sites[own] = site;
        // [site] release: pairs with the acquire above and in Sweep::record.
        recording->whole[own].store(true, std::memory_order_release);
    }
}

void prepare() noexcept {
    std::array<void*, 4> warm_up;
    ::backtrace(warm_up.data(), static_cast<int>(warm_up.size()));  // loads its library, which allocates
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "a page for the injector");
    shared = new (memory) Shared;
}

}  // namespace

void record_into(Recording& into) noexcept {
    prepare();
    recording = &into;
}

void inject(const Injection& injection) noexcept {
    prepare();
    wanted = injection;
    injecting = true;
}

bool injected() noexcept { return shared->happened.load(std::memory_order_acquire); }

bool injected_into(const char* call) noexcept { return injected() && std::strcmp(shared->failed_call, call) == 0; }

// What called the operation is no part of a site: the frames that are there already, but for the one that the operation may
// have been compiled into.
[[gnu::noinline]] Armed::Armed(const char* operation) noexcept {
    Stack frames;
    const std::span<void* const> stack = stack_from(__builtin_return_address(0), frames);
    check(!stack.empty(), "a stack that the caller is on");
    outer_frames = stack.size() - 1;
    shared->armed_operation.store(operation, std::memory_order_release);
}

Armed::~Armed() {
    outer_frames = 0;
    shared->armed_operation.store(nullptr, std::memory_order_release);
    shared->memory_gone.store(false, std::memory_order_release);
}

[[gnu::noinline]] std::optional<unsigned> decide(const char* call, unsigned ways, bool allocates, void* returns_to) noexcept {
    if (deciding || (recording == nullptr && !injecting)) {
        return std::nullopt;
    }
    const char* operation = shared->armed_operation.load(std::memory_order_acquire);
    if (operation == nullptr) {
        return std::nullopt;
    }
    if (injected()) {
        return allocates && shared->memory_gone.load(std::memory_order_acquire) ? std::optional(0U) : std::nullopt;
    }
    if (recording == nullptr && (call != wanted.call || returns_to != wanted.returns_to)) {
        return std::nullopt;  // a look at the stack costs more than all else
    }
    deciding = true;
    Stack frames;
    std::span<void* const> stack = stack_from(returns_to, frames);
    // What called the operation is no part of the site.
    const std::size_t depth = stack.size() - std::min(stack.size(), outer_frames);
    stack = stack.first(std::min(depth, most_frames));
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
    if (site.hash != wanted.hash || shared->hits.fetch_add(1, std::memory_order_acq_rel) + 1 != wanted.hit) {
        return std::nullopt;
    }
    shared->failed_call = call;
    shared->memory_gone.store(wanted.then_no_memory, std::memory_order_release);
    shared->happened.store(true, std::memory_order_release);
    return wanted.way;
}

}  // namespace page_map_lab::failures
