#include <set>

#include "bench/harness/session.hpp"

namespace page_map_lab::bench {
namespace {

/// The fixtures that live at the same time, and what they take.
class Living {
public:
    std::uint64_t with(const std::vector<Cell::Footprint>& more) const {
        Living together = *this;
        together.add(more);
        return together.bytes_;
    }
    void add(const std::vector<Cell::Footprint>& more) {
        for (const auto& footprint : more) {
            if (footprint.fixture.empty() || shared_.insert(footprint.fixture).second) {
                bytes_ += footprint.bytes;
            }
        }
    }
    bool empty() const { return bytes_ == 0; }

private:
    std::set<std::string> shared_;
    std::uint64_t bytes_ = 0;
};

}  // namespace

std::vector<std::size_t> groups_within(const std::vector<std::vector<Cell::Footprint>>& footprints,
                                       std::size_t cells_per_point, std::uint64_t budget_bytes) {
    std::vector<std::size_t> groups;
    Living living;
    std::size_t group = 0;
    const auto open_next_where_full = [&](const std::vector<Cell::Footprint>& more) {
        if (!living.empty() && living.with(more) > budget_bytes) {
            living = {};
            ++group;
        }
    };
    for (std::size_t position = 0; position < footprints.size(); ++position) {
        if (position % cells_per_point == 0) {
            std::vector<Cell::Footprint> point;
            for (std::size_t other = position; other < position + cells_per_point && other < footprints.size();
                 ++other) {
                point.insert(point.end(), footprints[other].begin(), footprints[other].end());
            }
            open_next_where_full(point);
        }
        open_next_where_full(footprints[position]);
        living.add(footprints[position]);
        groups.push_back(group);
    }
    return groups;
}

}  // namespace page_map_lab::bench
