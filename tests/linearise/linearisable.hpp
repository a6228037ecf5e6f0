// Whether a history of one page could have happened one call after another: the sequential specification of a page, and
// the search for an order that obeys both it and the clock.
//
// The specification: a page is absent, or present with a number of references; its value is what was written last, whether
// it is in the map or not. Nothing but a removal makes a page absent, and only while nobody holds it. A removal may always
// decline; an insert may be busy only where there is no page.
//
// Linearisability is per object, and an index of a page map is one (Herlihy and Wing 1990, locality): each index is judged
// alone. The search is that of Wing and Gong (Testing and verifying concurrent objects, 1993) with the memory of Lowe
// (Testing for linearizability, 2017): a point that was reached once, the same calls done and the page in the same state,
// is not searched again. Threads are sequential, so the calls that were done are one position a thread.
//
// Thread safety: plain functions. Cost: near linear in the events while few calls overlap.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "tests/linearise/history.hpp"

namespace page_map_lab::linearise {

/// A page between two calls.
struct PageState {
    bool present = false;
    std::uint32_t references = 0;
    std::uint64_t value = 0;

    friend bool operator==(const PageState&, const PageState&) = default;
};

/// The page after `event`, or nothing where a page in `before` cannot answer so.
std::optional<PageState> after(const PageState& before, const Event& event);

struct Verdict {
    bool linearisable = false;
    std::size_t points = 0;  ///< searched: calls done and state
    std::string why{};       ///< where the longest order that obeys ends, if none is complete
};

/// Judges the history of one page, which starts as `initial`. At most 8 threads.
Verdict judge(const History& page_history, PageState initial = {});

}  // namespace page_map_lab::linearise
