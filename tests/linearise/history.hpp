// What threads did to a page map and when: histories, as linearisability is defined over.
//
// Each call is an event between two ticks of one clock: where an event returned before another was called, it came first;
// events that overlap may have taken effect in either order.
// Thread safety: plain values, but the Clock, which all threads share.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "impl/core/page_index.hpp"

namespace page_map_lab::linearise {

enum class Operation : std::uint8_t { find, load, insert, put, read, write, remove };

/// What a call answered.
enum class Answer : std::uint8_t {
    page,     // find, load, insert: a counted page
    nothing,  // find: no page there
    present,  // insert: already_present
    busy,     // insert: the page that was there is giving its memory back
    done,     // put, read, write
    removed,  // remove: the page left the map
    kept,     // remove: nothing left the map
};

struct Event {
    Operation operation;
    Answer answer;
    PageIndex page = 0;
    std::uint64_t value = 0;  ///< what was read or written
    std::uint64_t called = 0;
    std::uint64_t returned = 0;

    std::string text() const;
};

/// One thread's events, in the order it called them.
using ThreadHistory = std::vector<Event>;
/// What each thread did.
using History = std::vector<ThreadHistory>;

/// The part of a history that concerns `page`.
History history_of(const History& history, PageIndex page);

/// One order for the calls and returns of all threads.
class Clock {
public:
    std::uint64_t tick() noexcept {
        // acquire and release: what was done before a tick is seen by whoever ticks later, as if one had told the other.
        return ticks_.fetch_add(1, std::memory_order_acq_rel);
    }

private:
    std::atomic<std::uint64_t> ticks_{0};
};

}  // namespace page_map_lab::linearise
