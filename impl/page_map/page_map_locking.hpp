// How the page map's writers take turns: the map's lock, the page-table lock and the removal word.
#pragma once

#include "impl/page_map/page_map.hpp"

namespace page_map_lab {

/// Holds the map's lock. A thread of a quiescent-state flavour goes offline before it waits for it (invariant 8); a removal
/// that is watched gives its marks, and is in a phase of its own while it waits.
template <class Variant>
class PageMap<Variant>::WriterLock {
public:
    explicit WriterLock(PageMap& map, PhaseMarks* marks = nullptr) : map_(map), marks_(marks) { lock(); }
    ~WriterLock() {
        if (held_) {
            unlock();
        }
    }
    WriterLock(const WriterLock&) = delete;
    WriterLock& operator=(const WriterLock&) = delete;

    void lock() {
        lock_offline<ReadPath>(map_.lock_, marks_);
        held_ = true;
    }
    void unlock() {
        held_ = false;
        map_.lock_.unlock();
    }

private:
    PageMap& map_;
    PhaseMarks* const marks_;
    bool held_ = false;
};

/// Holds an address space's page-table lock for a scope, waiting for it as WriterLock does.
template <class Variant>
class PageMap<Variant>::TableGuard {
public:
    explicit TableGuard(Space& space, PhaseMarks* marks = nullptr) : lock_(space.page_table_lock()) {
        lock_offline<ReadPath>(lock_, marks);
    }
    ~TableGuard() { lock_.unlock(); }
    TableGuard(const TableGuard&) = delete;
    TableGuard& operator=(const TableGuard&) = delete;

private:
    MapLock<Machine>& lock_;
};

/// The removal word: false for all but one of those who want it at a time.
template <class Variant>
class PageMap<Variant>::RemovalTurn {
public:
    explicit RemovalTurn(PageMap& map)
        : map_(map),
          // [removal-turn] acquire: sees the worklist as the last holder left it before its release.
          taken_(map.removal_active_.exchange(1, std::memory_order_acquire) == 0) {}
    ~RemovalTurn() {
        if (taken_) {
            // [removal-turn] release: pairs with the acquire above.
            map_.removal_active_.store(0, std::memory_order_release);
        }
    }
    RemovalTurn(const RemovalTurn&) = delete;
    RemovalTurn& operator=(const RemovalTurn&) = delete;

    explicit operator bool() const noexcept { return taken_; }

private:
    PageMap& map_;
    const bool taken_;
};

}  // namespace page_map_lab
