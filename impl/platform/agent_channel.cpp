#include "impl/platform/agent_channel.hpp"

namespace page_map_lab {

void AgentChannel::pass(WorkerPoint point) noexcept {
    const auto number = static_cast<std::uint32_t>(point);
    // relaxed: nothing is passed on by it; a test sets it before it makes the worker come here.
    while (stop_at.load(std::memory_order_relaxed) == number) {
        // [worker-point] release: what the thread did before it stopped is seen by who waits for it to stop.
        stopped_at.store(number, std::memory_order_release);
        wake_all_on(stopped_at);
        wait_on(stop_at, number);
    }
}

}  // namespace page_map_lab
