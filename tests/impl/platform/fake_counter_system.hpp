// A kernel for the counters' tests: it denies, fails and multiplexes as a test asks.
#pragma once

#include <linux/perf_event.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "impl/platform/counters_system.hpp"

namespace page_map_lab {

class FakeCounterSystem final : public CounterSystem {
public:
    struct Event {
        perf_event_attr attributes{};
        int process = 0;
        int cpu = -1;
        int group = -1;
        std::string filter{};
        bool enabled = false;
        std::uint64_t value = 0;
        std::uint64_t enabled_ns = 0;
        std::uint64_t running_ns = 0;
    };

    FakeCounterSystem() {
        const std::string tracing = "/sys/kernel/tracing/events/";
        files[tracing + "header_page"] = "page";
        files[tracing + "tlb/tlb_flush/id"] = "188\n";
        files[tracing + "irq_vectors/call_function_entry/id"] = "153\n";
        files[tracing + "irq_vectors/call_function_single_entry/id"] = "151\n";
        files[tracing + "exceptions/page_fault_user/id"] = "102\n";
        files["/proc/sys/kernel/perf_event_paranoid"] = "1\n";
    }

    // What a test may change.
    std::function<int(const Event&)> refuse = [](const Event&) { return 0; };  ///< an errno, or 0 to open
    std::map<std::string, std::string> files{};
    std::map<std::string, int> file_errors{};
    bool core_pmu = true;
    ProcessorIdentity identity{.vendor = "GenuineIntel", .family = 6, .model = 85, .pmu = "skx"};
    ThreadUsage usage{};
    int filter_error = 0;
    int read_error = 0;

    // What a test may look at.
    std::map<int, Event> events{};  ///< those that are open
    int reads = 0;

    /// Lets every enabled event count `value` in `enabled_ns`, of which it ran `running_ns`.
    void pass(std::uint64_t value, std::uint64_t enabled_ns, std::uint64_t running_ns) {
        for (auto& [descriptor, event] : events) {
            const Event& leader = event.group == -1 ? event : events.at(event.group);
            if (leader.enabled) {
                event.value += value;
                event.enabled_ns += enabled_ns;
                event.running_ns += running_ns;
            }
        }
    }

    static bool is_hardware(const Event& event) {
        return event.attributes.type != PERF_TYPE_SOFTWARE && event.attributes.type != PERF_TYPE_TRACEPOINT;
    }

    int open_event(const perf_event_attr& attributes, int process, int cpu, int group) noexcept override {
        Event event{.attributes = attributes, .process = process, .cpu = cpu, .group = group};
        if (const int error = refuse(event); error != 0) {
            return -error;
        }
        events[++last_] = event;
        return last_;
    }

    long read_event(int descriptor, void* memory, std::size_t bytes) noexcept override {
        ++reads;
        if (read_error != 0) {
            return -read_error;
        }
        const Event& leader = events.at(descriptor);
        std::vector<std::uint64_t> words{0, leader.enabled_ns, leader.running_ns};
        for (const auto& [member, event] : events) {
            if (member == descriptor || event.group == descriptor) {
                words.push_back(event.value);
                ++words[0];
            }
        }
        const std::size_t size = words.size() * sizeof(std::uint64_t);
        if (bytes < size) {
            return -ENOSPC;
        }
        std::memcpy(memory, words.data(), size);
        return static_cast<long>(size);
    }

    int control_event(int descriptor, unsigned long request, const void* argument) noexcept override {
        Event& event = events.at(descriptor);
        if (request == PERF_EVENT_IOC_SET_FILTER) {
            event.filter = static_cast<const char*>(argument);
            return -filter_error;
        }
        event.enabled = request == PERF_EVENT_IOC_ENABLE;
        return 0;
    }

    void close_event(int descriptor) noexcept override { events.erase(descriptor); }

    Result<std::string> read_text(const std::string& path) override {
        if (const auto error = file_errors.find(path); error != file_errors.end()) {
            return fail(ErrorCode::system, path, error->second);
        }
        const auto found = files.find(path);
        if (found == files.end()) {
            return fail(ErrorCode::system, path, ENOENT);
        }
        return found->second;
    }

    bool has_core_pmu() override { return core_pmu; }
    ProcessorIdentity processor() override { return identity; }
    ThreadUsage thread_usage() noexcept override { return usage; }

private:
    int last_ = 100;
};

}  // namespace page_map_lab
