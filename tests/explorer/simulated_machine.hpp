// The machine that the page map runs on here: every access to shared memory is a step of the simulation.
//
// Everything that impl/page_map/machine.hpp asks of a machine, and two flavours of read-copy-update for Rcu of
// variants/read_path/rcu.hpp that stand for those of liburcu.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tests/explorer/simulated_memory.hpp"
#include "tests/explorer/simulation.hpp"
#include "variants/read_path/rcu.hpp"

namespace page_map_lab::explorer {

/// An atomic whose every access is a step. Sequentially consistent, whatever order is named; the weak exchange never fails
/// for no reason.
template <class T>
class SimulatedAtomic {
    using Where = std::source_location;

public:
    constexpr SimulatedAtomic() noexcept : SimulatedAtomic(T{}) {}
    constexpr SimulatedAtomic(T value) noexcept : value_(value) {  // NOLINT: as std::atomic
        if (!std::is_constant_evaluated()) {
            simulation().begin_life(this, sizeof(*this));
        }
    }
    /// What a node holds dies with the node, as its pool says; other objects (a region) die by themselves.
    constexpr ~SimulatedAtomic() {
        if (!std::is_constant_evaluated()) {
            simulation().end_life(this, sizeof(*this));
        }
    }
    SimulatedAtomic(const SimulatedAtomic&) = delete;
    SimulatedAtomic& operator=(const SimulatedAtomic&) = delete;

    T load(std::memory_order, Where where = Where::current()) const noexcept {
        simulation().arrive(this, where);
        simulation().record("load", {{this, false}}, where);
        return value_;
    }
    void store(T value, std::memory_order, Where where = Where::current()) noexcept {
        static_cast<void>(change("store", where, [&](T) { return value; }));
    }
    T exchange(T value, std::memory_order, Where where = Where::current()) noexcept {
        return change("exchange", where, [&](T) { return value; });
    }
    T fetch_add(T value, std::memory_order, Where where = Where::current()) noexcept {
        return change("fetch_add", where, [&](T old) { return static_cast<T>(old + value); });
    }
    T fetch_sub(T value, std::memory_order, Where where = Where::current()) noexcept {
        return change("fetch_sub", where, [&](T old) { return static_cast<T>(old - value); });
    }
    T fetch_or(T value, std::memory_order, Where where = Where::current()) noexcept {
        return change("fetch_or", where, [&](T old) { return static_cast<T>(old | value); });
    }
    T fetch_and(T value, std::memory_order, Where where = Where::current()) noexcept {
        return change("fetch_and", where, [&](T old) { return static_cast<T>(old & value); });
    }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order, std::memory_order,
                                 Where where = Where::current()) noexcept {
        simulation().arrive(this, where);
        const bool same = value_ == expected;
        simulation().record(same ? "compare_exchange" : "compare_exchange, failed", {{this, same}}, where);
        if (same) {
            value_ = desired;
        } else {
            expected = value_;
        }
        return same;
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure,
                               Where where = Where::current()) noexcept {
        return compare_exchange_strong(expected, desired, success, failure, where);
    }

private:
    static Simulation& simulation() { return Simulation::instance(); }

    template <class Change>
    T change(std::string_view what, const Where& where, Change&& changed) noexcept {
        simulation().arrive(this, where);
        simulation().record(what, {{this, true}}, where);
        return std::exchange(value_, changed(value_));
    }

    T value_{};
};

struct SimulatedMachine {
    template <class T>
    using Atomic = SimulatedAtomic<T>;
    using Memory = SimulatedMemory;
    using Where = std::source_location;

    template <class Owner, class T>
    static T& thread_local_of() noexcept {
        static std::array<T, max_cores + 1> of_core{};
        return of_core[Simulation::instance().core()];
    }

    static void relax(Where where = Where::current()) noexcept { Simulation::instance().spin(where); }
    static void yield(Where where = Where::current()) noexcept { Simulation::instance().give_way(where); }

    /// As a futex: who sleeps is woken by wake_all only, whatever the word holds by then.
    static void wait(const Atomic<std::uint32_t>& word, std::uint32_t old, Where where = Where::current()) noexcept {
        if (word.load(std::memory_order_acquire, where) == old) {
            Hardware::instance().sleep_on(&word, where);
        }
    }
    static void wake_all(Atomic<std::uint32_t>& word, Where where = Where::current()) noexcept {
        Hardware::instance().wake_all(&word, where);
    }

    static Status set_access(std::byte* base, std::size_t bytes, Access access, Where where = Where::current()) {
        return Hardware::instance().set_access(base, bytes, access, where);
    }
    static void serve_faults_with(FaultDomain& domain) { Hardware::instance().serve_faults_with(domain); }
    static void serve_no_faults_with(FaultDomain&) {}  // a world ends with its hardware
    static bool readable(pid_t, std::byte* address) noexcept { return Hardware::instance().readable(address); }

    static void begin_life(void* memory, std::size_t bytes) { Simulation::instance().begin_life(memory, bytes); }
    static void end_life(void* memory, std::size_t bytes) { Simulation::instance().end_life(memory, bytes); }
};

/// Who reads now, as both flavours see it: a grace period ends when everybody who read at its beginning has stopped once.
class Readers {
public:
    static Readers& instance();
    void begin() { *this = Readers{}; }

    void enter(const std::source_location& where = std::source_location::current());
    void leave(const std::source_location& where = std::source_location::current());
    /// For flavours where a thread that is online reads: it says that it has stopped, and goes on.
    void pause(const std::source_location& where = std::source_location::current());
    bool reading() const;
    void wait_for_others(const std::source_location& where = std::source_location::current());

private:
    struct Reader {
        unsigned depth = 0;
        std::uint64_t stops = 0;
    };
    std::array<Reader, max_cores + 1> readers_{};
};

/// Stands for the flavours of liburcu whose sections announce themselves: memb, mb and bp.
struct SectionsAnnounced : NoticedSections {
    static void read_lock() { Readers::instance().enter(); }
    static void read_unlock() { Readers::instance().leave(); }
    static void synchronize() { Readers::instance().wait_for_others(); }
    static void register_thread() {}
    static void unregister_thread() {}
};

/// Stands for qsbr: a thread that is online is in a section but for the moments when it says that it is not.
struct QuiescentStates {
    static constexpr bool section_end_is_quiescent = false;
    static void read_lock() {
        if (!Readers::instance().reading()) {
            Simulation::instance().violation("a read section is entered offline");
        }
    }
    static void read_unlock() { read_lock(); }
    static void synchronize() {
        const bool online = Readers::instance().reading();
        if (online) {
            Readers::instance().leave();
        }
        Readers::instance().wait_for_others();
        if (online) {
            Readers::instance().enter();
        }
    }
    static void register_thread() { Readers::instance().enter(); }
    static void unregister_thread() { Readers::instance().leave(); }
    static void quiescent() { Readers::instance().pause(); }
    static void offline() { Readers::instance().leave(); }
    static void online() { Readers::instance().enter(); }
};

}  // namespace page_map_lab::explorer
