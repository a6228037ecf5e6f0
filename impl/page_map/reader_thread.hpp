// What a thread owes its read path: registration, and to be offline while it blocks.
//
// Each thread that calls a page map holds a `ReaderThread<ReadPath>` for as long. A fault handler may interrupt a thread
// that is not registered, or is offline: `OnlineScope` brings it online for the time of the fault and puts back what was.
//
// Thread safety: every member concerns the calling thread alone.
#pragma once

#include <cstdint>

#include "impl/core/check.hpp"
#include "impl/page_map/phase.hpp"

namespace page_map_lab {

template <class ReadPath>
class ReaderThread {
    enum class State : std::uint8_t { unregistered, offline, online };

public:
    /// Registers the calling thread, which is online from now on. A thread registers once.
    ReaderThread() {
        check(state() == State::unregistered, "a thread registers once with its read path");
        enter(State::online);
    }
    ~ReaderThread() { enter(State::unregistered); }
    ReaderThread(const ReaderThread&) = delete;
    ReaderThread& operator=(const ReaderThread&) = delete;

    /// Whether the calling thread may open a read section now.
    static bool is_online() noexcept { return state() == State::online; }

    /// Offline for a scope that blocks on a lock, a page or I/O, so that no grace period waits for it (invariant 8). Where it
    /// does not block (`blocks` is false) nothing happens.
    class OfflineScope {
    public:
        explicit OfflineScope(bool blocks = true) : before_(state()) {
            if (blocks && before_ == State::online) {
                enter(State::offline);
            }
        }
        ~OfflineScope() { enter(before_); }
        OfflineScope(const OfflineScope&) = delete;
        OfflineScope& operator=(const OfflineScope&) = delete;

    private:
        const State before_;
    };

    /// Online for a scope that reads, whatever the thread was before.
    class OnlineScope {
    public:
        OnlineScope() : before_(state()) { enter(State::online); }
        ~OnlineScope() { enter(before_); }
        OnlineScope(const OnlineScope&) = delete;
        OnlineScope& operator=(const OnlineScope&) = delete;

    private:
        const State before_;
    };

private:
    static void enter(State next) {
        State& now = state();
        if (next == now) {
            return;
        }
        if (now == State::unregistered) {
            ReadPath::register_thread();
            now = State::online;
        }
        if (next == State::unregistered) {
            if (now == State::offline) {
                ReadPath::online();
            }
            ReadPath::unregister_thread();
        } else if (next == State::offline) {
            ReadPath::offline();
        } else if (now == State::offline) {
            ReadPath::online();
        }
        now = next;
    }

    static State& state() noexcept {
        return ReadPath::Machine::template thread_local_of<ReaderThread, State>();
    }
};

/// Takes `lock`; where it has to wait for it, the calling thread is offline meanwhile (invariant 8), and a removal with
/// `marks` is in its phase of waiting.
template <class ReadPath, class Lock>
void lock_offline(Lock& lock, PhaseMarks* marks = nullptr) {
    if (!lock.try_lock()) {
        const PhaseMarks::Waiting waits_for_a_lock(marks, Phase::lock);
        const typename ReaderThread<ReadPath>::OfflineScope offline;
        lock.lock();
    }
}

}  // namespace page_map_lab
