// What each thread is doing, and a watch over threads that do it for ever.
//
// Thread safety: a ThreadTrace is written by its thread and read by the watch.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include <unistd.h>

#include "impl/core/page_index.hpp"

namespace page_map_lab::stress {

/// The last operation that a thread began.
class ThreadTrace {
public:
    explicit ThreadTrace(std::string name) : name_(std::move(name)) {}

    // relaxed, all: looked at by the watch, which needs no order between them.
    void begin(const char* operation, unsigned object, PageIndex page) noexcept {
        operation_.store(operation, std::memory_order_relaxed);
        object_.store(object, std::memory_order_relaxed);
        page_.store(page, std::memory_order_relaxed);
        begun_.fetch_add(1, std::memory_order_relaxed);
    }
    /// Between two operations, for as long as the others need.
    void rest() noexcept { operation_.store(resting, std::memory_order_relaxed); }
    bool rests() const noexcept { return operation_.load(std::memory_order_relaxed) == resting; }
    void end() noexcept { operation_.store(nullptr, std::memory_order_relaxed); }
    std::uint64_t begun() const noexcept { return begun_.load(std::memory_order_relaxed); }
    bool ended() const noexcept { return operation_.load(std::memory_order_relaxed) == nullptr; }
    std::string text() const {
        const char* operation = operation_.load(std::memory_order_relaxed);
        return name_ + ": operation " + std::to_string(begun()) + ", " +
               (operation == nullptr ? std::string("at its end")
                                     : std::string(operation) + ", object " +
                                           std::to_string(object_.load(std::memory_order_relaxed)) + ", page " +
                                           std::to_string(page_.load(std::memory_order_relaxed)));
    }

private:
    static constexpr const char* resting = "resting";

    const std::string name_;
    std::atomic<const char*> operation_{"starting"};
    std::atomic<unsigned> object_{0};
    std::atomic<PageIndex> page_{0};
    std::atomic<std::uint64_t> begun_{0};
};

/// Looks now and then whether every thread that is still at work began another operation.
class Watchdog {
public:
    Watchdog(const std::deque<ThreadTrace>& traces, std::chrono::seconds patience) : traces_(traces), patience_(patience) {
        const auto now = std::chrono::steady_clock::now();
        for (const ThreadTrace& trace : traces) {
            seen_.push_back({trace.begun(), now});
        }
    }

    /// Whether all threads came to their end. A thread that hangs ends the process, with what each thread is doing.
    bool all_ended() {
        const auto now = std::chrono::steady_clock::now();
        bool all = true;
        for (std::size_t thread = 0; thread < traces_.size(); ++thread) {
            const ThreadTrace& trace = traces_[thread];
            if (trace.ended()) {
                continue;
            }
            all = false;
            if (const std::uint64_t begun = trace.begun(); begun != seen_[thread].begun || trace.rests()) {
                seen_[thread] = {begun, now};
            } else if (now - seen_[thread].at > patience_) {
                report(trace);
            }
        }
        return all;
    }

private:
    struct Seen {
        std::uint64_t begun;
        std::chrono::steady_clock::time_point at;
    };

    [[noreturn]] void report(const ThreadTrace& hanging) const {
        std::fprintf(stderr, "stress: a thread hangs, %ld seconds in one operation: %s\n",
                     static_cast<long>(patience_.count()), hanging.text().c_str());
        for (const ThreadTrace& trace : traces_) {
            std::fprintf(stderr, "  %s\n", trace.text().c_str());
        }
        std::fflush(nullptr);
        _exit(1);  // the threads cannot be joined
    }

    const std::deque<ThreadTrace>& traces_;
    const std::chrono::seconds patience_;
    std::vector<Seen> seen_;
};

}  // namespace page_map_lab::stress
