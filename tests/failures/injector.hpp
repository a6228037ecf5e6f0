// Failures on purpose: every allocation and system call that the project makes asks here whether it is to fail.
//
// A site is a call together with the stack it is made from. A first run writes down the sites it meets; each later run, in
// a process of its own, makes one of them fail once. Only what happens while an Armed exists is asked about, so that a
// test's own allocations are not.
//
// Processes that are forked from one that records or injects do the same: one failure among them all.
//
// Thread safety: decide from any thread, also in a fault handler; the rest from one thread, before there are others.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace page_map_lab::failures {

inline constexpr std::size_t most_frames = 40;
inline constexpr std::size_t most_sites = 8192;

struct Site {
    std::uint64_t hash;
    const char* call;       ///< "mprotect"
    const char* operation;  ///< what the scenario was doing
    unsigned ways;          ///< in how many ways the call can fail
    bool allocates;
    std::uint32_t hits;
    std::uint32_t depth;
    std::array<void*, most_frames> frames;  ///< from the caller of the call outwards
};

/// The sites that a run met; lies in memory that the run's process shares with the one that started it.
/// Written without a lock: a process may be killed while it writes.
struct Recording {
    std::atomic<std::uint32_t> wanted;    ///< places in `sites`, of which there may be fewer
    std::atomic<std::uint32_t> excluded;  ///< calls of library code that ends the program when it fails
    std::array<std::atomic<bool>, most_sites> whole;  ///< the site in that place was written to its end
    std::array<Site, most_sites> sites;  ///< one may be there twice: two threads came to it at the same time
};

/// Which call is to fail.
struct Injection {
    std::uint64_t hash = 0;       ///< the site's
    const char* call = "";        ///< the site's: tells without a look at the stack that it is another one
    void* returns_to = nullptr;   ///< the site's innermost frame, likewise
    unsigned way = 0;
    std::uint32_t hit = 1;        ///< counted from 1
    bool then_no_memory = false;  ///< no allocation succeeds either, until the operation has ended
};

void record_into(Recording& recording) noexcept;
void inject(const Injection& injection) noexcept;

/// Whether the injected failure has happened.
bool injected() noexcept;
/// Whether it has, and was of this call.
bool injected_into(const char* call) noexcept;

/// What the running operation is called while it may fail.
class Armed {
public:
    explicit Armed(const char* operation) noexcept;
    ~Armed();
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
};

/// In which of its ways this call is to fail, or nothing. To be called, or inlined, into what stands for the call:
/// `returns_to` is where the call was made.
std::optional<unsigned> decide(const char* call, unsigned ways, bool allocates,
                               void* returns_to = __builtin_return_address(0)) noexcept;

}  // namespace page_map_lab::failures
