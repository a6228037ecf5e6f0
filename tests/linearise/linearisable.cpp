#include "tests/linearise/linearisable.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <sstream>
#include <unordered_set>

#include "impl/core/check.hpp"

namespace page_map_lab::linearise {
namespace {

constexpr std::size_t most_threads = 8;

/// How far the search is: how many of each thread's events are in the order, and what they left.
struct Point {
    std::array<std::uint32_t, most_threads> done{};
    PageState state;

    std::uint64_t length() const { return std::accumulate(done.begin(), done.end(), std::uint64_t{0}); }
    friend bool operator==(const Point&, const Point&) = default;
};

struct HashOfPoint {
    std::size_t operator()(const Point& point) const {
        std::size_t hash = point.state.value * 0x9e3779b97f4a7c15 + point.state.references * 2 + point.state.present;
        for (const std::uint32_t done : point.done) {
            hash = (hash ^ done) * 0x100000001b3;
        }
        return hash;
    }
};

/// Calls visit(thread, event) for each event that may come next: it was called before any other event that is still to
/// come had returned.
template <class Visit>
void for_each_next(const History& history, const Point& point, Visit&& visit) {
    std::uint64_t first_return = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t thread = 0; thread < history.size(); ++thread) {
        if (point.done[thread] < history[thread].size()) {
            first_return = std::min(first_return, history[thread][point.done[thread]].returned);
        }
    }
    for (std::size_t thread = 0; thread < history.size(); ++thread) {
        if (point.done[thread] < history[thread].size() &&
            history[thread][point.done[thread]].called <= first_return) {
            visit(thread, history[thread][point.done[thread]]);
        }
    }
}

std::string dead_end(const History& history, const Point& point) {
    std::ostringstream text;
    text << "after " << point.length() << " events the page is "
         << (point.state.present ? "present" : "absent") << " with " << point.state.references << " references and value "
         << std::hex << point.state.value << std::dec << ", and none of these may come next:";
    for_each_next(history, point, [&](std::size_t thread, const Event& event) {
        text << "\n  thread " << thread << ": " << event.text();
    });
    return text.str();
}

}  // namespace

std::optional<PageState> after(const PageState& before, const Event& event) {
    PageState state = before;
    const auto if_possible = [&](bool possible) { return possible ? std::optional(state) : std::nullopt; };
    switch (event.operation) {
        case Operation::find:
            if (event.answer == Answer::nothing) {
                return if_possible(!before.present);
            }
            ++state.references;
            return if_possible(before.present);
        case Operation::load:
            state.present = true;
            ++state.references;
            return if_possible(true);
        case Operation::insert:
            if (event.answer == Answer::present) {
                return if_possible(before.present);
            }
            if (event.answer == Answer::page) {
                state.present = true;
                ++state.references;
            }
            return if_possible(!before.present);
        case Operation::put:
            --state.references;
            return if_possible(before.present && before.references > 0);
        case Operation::read:
            return if_possible(before.present && before.references > 0 && before.value == event.value);
        case Operation::write:
            state.value = event.value;
            return if_possible(before.present && before.references > 0);
        case Operation::remove:
            if (event.answer == Answer::kept) {
                return state;
            }
            state.present = false;
            return if_possible(before.present && before.references == 0);
    }
    return std::nullopt;
}

Verdict judge(const History& page_history, PageState initial) {
    check(page_history.size() <= most_threads, "a history that is judged has at most 8 threads");
    std::size_t length = 0;
    for (const ThreadHistory& thread : page_history) {
        length += thread.size();
    }
    const Point start{{}, initial};
    Point furthest = start;
    std::unordered_set<Point, HashOfPoint> seen{start};
    std::vector<Point> open{start};
    while (!open.empty()) {
        const Point point = open.back();
        open.pop_back();
        if (point.length() == length) {
            return {.linearisable = true, .points = seen.size()};
        }
        if (point.length() > furthest.length()) {
            furthest = point;
        }
        for_each_next(page_history, point, [&](std::size_t thread, const Event& event) {
            const std::optional<PageState> state = after(point.state, event);
            if (!state) {
                return;
            }
            Point next = point;
            ++next.done[thread];
            next.state = *state;
            if (seen.insert(next).second) {
                open.push_back(next);
            }
        });
    }
    return {.linearisable = false, .points = seen.size(), .why = dead_end(page_history, furthest)};
}

}  // namespace page_map_lab::linearise
