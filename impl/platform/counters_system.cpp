#include "impl/platform/counters_system.hpp"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <system_error>

#include "impl/platform/counters.hpp"
#include "impl/platform/event_encoding.hpp"

namespace page_map_lab {
namespace {

std::uint64_t clock_ns(clockid_t clock) noexcept {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

struct OpenFile {
    explicit OpenFile(int opened) noexcept : descriptor(opened) {}
    ~OpenFile() {
        if (descriptor >= 0) {
            ::close(descriptor);
        }
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    const int descriptor;
};

class RealCounterSystem final : public CounterSystem {
public:
    int open_event(const perf_event_attr& attributes, int process, int cpu, int group) noexcept override {
        const long descriptor =
            ::syscall(SYS_perf_event_open, &attributes, process, cpu, group, PERF_FLAG_FD_CLOEXEC);
        if (descriptor < 0) {
            return -errno;
        }
        if (attributes.type == PERF_TYPE_TRACEPOINT) {
            keep_registered(attributes.config);
        }
        return static_cast<int>(descriptor);
    }

    long read_event(int descriptor, void* memory, std::size_t bytes) noexcept override {
        const ssize_t got = ::read(descriptor, memory, bytes);
        return got < 0 ? -errno : got;
    }

    int control_event(int descriptor, unsigned long request, const void* argument) noexcept override {
        return ::ioctl(descriptor, request, argument) < 0 ? -errno : 0;
    }

    void close_event(int descriptor) noexcept override { ::close(descriptor); }

    Result<std::string> read_text(const std::string& path) override {
        const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file.descriptor < 0) {
            return fail(ErrorCode::system, path, errno);
        }
        std::string text;
        char piece[4096];
        ssize_t got = 0;
        while ((got = ::read(file.descriptor, piece, sizeof piece)) != 0) {
            if (got > 0) {
                text.append(piece, static_cast<std::size_t>(got));
            } else if (errno != EINTR) {
                return fail(ErrorCode::system, path, errno);
            }
        }
        return text;
    }

    bool has_core_pmu() override {
        std::error_code ignored;
        for (const auto& device : std::filesystem::directory_iterator("/sys/bus/event_source/devices", ignored)) {
            const std::string name = device.path().filename();
            if (name == "cpu" || name.starts_with("cpu_") || name.starts_with("armv") || name.starts_with("apple_")) {
                return true;
            }
        }
        return false;
    }

    ProcessorIdentity processor() override {
        // Neither changes while the program runs, and every measured thread asks.
        static const ProcessorIdentity identity = [this] {
            ProcessorIdentity found = parse_processor_identity(read_text("/proc/cpuinfo").value_or(std::string{}));
            found.pmu = recognised_pmu();
            return found;
        }();
        return identity;
    }

    ThreadUsage thread_usage() noexcept override {
        rusage usage{};
        ::getrusage(RUSAGE_THREAD, &usage);
        return {.cpu_time_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID),
                .context_switches = static_cast<std::uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw),
                .minor_faults = static_cast<std::uint64_t>(usage.ru_minflt),
                .major_faults = static_cast<std::uint64_t>(usage.ru_majflt),
                .now_ns = clock_ns(CLOCK_MONOTONIC)};
    }

private:
    /// Holds one event of the tracepoint, which counts nothing, until the process ends. Closing the last one makes the
    /// kernel rewrite its code on every processor and wait for grace periods: 40 ms each here, and a disturbance in the
    /// middle of a run. With one held, opening and closing take microseconds.
    void keep_registered(std::uint64_t tracepoint) noexcept {
        const std::lock_guard guard(kept_lock_);
        const auto kept_end = kept_.begin() + kept_count_;
        if (kept_count_ == kept_.size() || std::find(kept_.begin(), kept_end, tracepoint) != kept_end) {
            return;
        }
        perf_event_attr attributes{};
        attributes.type = PERF_TYPE_TRACEPOINT;
        attributes.size = sizeof attributes;
        attributes.config = tracepoint;
        attributes.disabled = 1;
        // Best effort: without it things are only slower.
        if (::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) >= 0) {
            kept_[kept_count_++] = tracepoint;
        }
    }

    std::mutex kept_lock_;
    std::array<std::uint64_t, 8> kept_{};
    std::size_t kept_count_ = 0;
};

}  // namespace

CounterSystem& real_counter_system() noexcept {
    static RealCounterSystem system;
    return system;
}

}  // namespace page_map_lab
