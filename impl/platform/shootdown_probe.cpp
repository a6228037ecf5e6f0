#include "impl/platform/shootdown_probe.hpp"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include "impl/platform/interrupts.hpp"
#include "impl/platform/pinning.hpp"

namespace page_map_lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned wanted_revocations = 32;
constexpr std::chrono::milliseconds patience{200};
constexpr const char* function_calls = "CAL";  // every shootdown by interrupt is one, whether or not TLB counts it, too

/// A page of its own to take rights from.
class Page {
public:
    Page() : size_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
        address_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    ~Page() {
        if (address_ != MAP_FAILED) {
            ::munmap(address_, size_);
        }
    }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;

    /// Writes to the page, so that there is a translation, and takes its rights. Whether all of that could be done.
    bool revoke() {
        if (address_ == MAP_FAILED || ::mprotect(address_, size_, PROT_READ | PROT_WRITE) != 0) {
            return false;
        }
        *static_cast<volatile char*>(address_) = 1;
        return ::mprotect(address_, size_, PROT_NONE) == 0;
    }

private:
    std::size_t size_;
    void* address_;
};

/// A thread that keeps a processor busy, and shows that it does.
class Bystander {
public:
    Bystander(const Topology& topology, unsigned cpu)
        : thread_([this, &topology, cpu](const std::stop_token& stop) {
              pin_this_thread(topology, cpu);
              while (!stop.stop_requested()) {
                  turns_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a sign of life
              }
          }) {}

    /// Waits until it has been seen to run; whether it was, before the deadline.
    bool seen_to_run(Clock::time_point deadline) const {
        const std::uint64_t before = turns_.load(std::memory_order_relaxed);  // relaxed: a sign of life
        while (turns_.load(std::memory_order_relaxed) == before) {            // relaxed: as above
            if (Clock::now() > deadline) {
                return false;
            }
        }
        return true;
    }

private:
    std::atomic<std::uint64_t> turns_{0};
    std::jthread thread_;
};

/// The probe itself: this thread revokes on one processor, the bystander runs on another.
Result<ShootdownProbe> revoke_beside(const Topology& topology, unsigned own_cpu, unsigned other_cpu) {
    pin_this_thread(topology, own_cpu);
    Page page;
    const Bystander bystander(topology, other_cpu);
    const auto deadline = Clock::now() + patience;
    bystander.seen_to_run(deadline);
    const auto before = InterruptSnapshot::take();
    ShootdownProbe probe;
    while (probe.revocations < wanted_revocations && bystander.seen_to_run(deadline) && page.revoke()) {
        ++probe.revocations;
    }
    const auto after = InterruptSnapshot::take();
    if (!before || !after) {
        return tl::unexpected(before ? after.error() : before.error());
    }
    const auto arrived = after->since(*before).count(function_calls, other_cpu);
    if (!arrived) {
        return fail(ErrorCode::unavailable, "/proc/interrupts does not count function calls (row CAL) on this machine");
    }
    if (probe.revocations < wanted_revocations) {
        return fail(ErrorCode::unavailable, "a thread beside the revocations did not get its processor");
    }
    probe.interrupts = *arrived;
    return probe;
}

}  // namespace

Result<ShootdownProbe> probe_shootdowns(const Topology& topology) {
    const auto cpus = topology.cpus();
    if (cpus.size() < 2) {
        return fail(ErrorCode::unavailable, "there is no second processor to interrupt");
    }
    Result<ShootdownProbe> probe;
    std::jthread([&] { probe = revoke_beside(topology, cpus[0].os_index, cpus[1].os_index); }).join();
    return probe;
}

TlbMechanism in_the_light_of(const Result<ShootdownProbe>& probe, TlbMechanism believed) {
    if (!believed.value.starts_with("ipi")) {
        return believed;
    }
    if (!probe) {
        believed.why += "; not tried: " + probe.error().text();
        return believed;
    }
    const std::string seen = std::to_string(probe->revocations) + " revocations beside a running thread brought " +
                             std::to_string(probe->interrupts) + " interrupts to its processor";
    if (probe->interrupts_nobody()) {
        return {std::string(without_interrupts), seen + ": who runs this guest flushes for it, and interrupts prove nothing"};
    }
    believed.why += "; tried: " + seen;
    return believed;
}

}  // namespace page_map_lab
