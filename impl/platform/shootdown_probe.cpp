#include "impl/platform/shootdown_probe.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <system_error>
#include <thread>

#include "impl/core/page_index.hpp"
#include "impl/platform/interrupts.hpp"
#include "impl/platform/pinning.hpp"
#include "impl/platform/protection.hpp"
#include "impl/platform/shared_memory.hpp"

namespace page_map_lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned wanted_revocations = 32;
constexpr unsigned most_attempts = 5;
constexpr std::chrono::milliseconds patience{200};
constexpr const char* function_calls = "CAL";  // every shootdown by interrupt is one, whether or not TLB counts it, too

/// A thread that keeps its maker's processor busy, and shows that it does.
class Bystander {
public:
    Bystander()
        : thread_([this](const std::stop_token& stop) {
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

/// Takes all rights from a page that this processor has just used.
Status revoke(std::byte& page) {
    if (const Status granted = protect(&page, page_size, Access::write); !granted) {
        return granted;
    }
    *static_cast<volatile std::byte*>(&page) = std::byte{1};
    return protect(&page, page_size, Access::none);
}

/// The probe itself: this thread revokes on one processor, the bystander runs on another.
Result<ShootdownProbe> revoke_beside(const Topology& topology, unsigned own_cpu, unsigned other_cpu) {
    const auto memory = SharedMemory::make(page_size, "shootdown probe");
    if (!memory) {
        return tl::unexpected(memory.error());
    }
    std::byte& page = memory->bytes().front();
    pin_this_thread(topology, other_cpu);  // the bystander inherits it
    const Bystander bystander;
    pin_this_thread(topology, own_cpu);
    const auto deadline = Clock::now() + patience;
    bystander.seen_to_run(deadline);
    const auto before = InterruptSnapshot::take();
    ShootdownProbe probe;
    while (probe.revocations < wanted_revocations && bystander.seen_to_run(deadline)) {
        if (const Status revoked = revoke(page); !revoked) {
            return tl::unexpected(revoked.error());
        }
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

Result<ShootdownProbe> quietest(unsigned most, const std::function<Result<ShootdownProbe>()>& attempt) {
    Result<ShootdownProbe> fewest = attempt();
    for (unsigned made = 1; fewest && !fewest->interrupts_nobody() && made < most; ++made) {
        const Result<ShootdownProbe> next = attempt();
        if (!next) {
            break;
        }
        if (next->interrupts < fewest->interrupts) {
            fewest = next;
        }
    }
    return fewest;
}

Result<ShootdownProbe> probe_shootdowns(const Topology& topology) {
    const auto cpus = topology.cpus();
    if (cpus.size() < 2) {
        return fail(ErrorCode::unavailable, "there is no second processor to interrupt");
    }
    const auto attempt = [&] { return revoke_beside(topology, cpus[0].os_index, cpus[1].os_index); };
    try {
        return std::async(std::launch::async, quietest, most_attempts, attempt).get();  // leaves the caller's own pinning alone
    } catch (const std::system_error& problem) {
        return fail(ErrorCode::system, "no thread could be made: raise the limit (ulimit -u, cgroup pids.max)",
                    problem.code().value());
    }
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
