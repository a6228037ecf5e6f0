// A page map that real threads use at random, and what they saw.
//
// Thread safety: record_history starts and joins its own threads.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "impl/core/error.hpp"
#include "tests/linearise/history.hpp"
#include "variants/any_page_map.hpp"

namespace page_map_lab::linearise {

using MakeMap = std::function<std::unique_ptr<AnyPageMap>(const AnyPageMap::Options&)>;

struct Recording {
    unsigned threads = 3;
    unsigned steps = 300;  ///< a thread; a step is one to four events
    std::uint64_t seed = 1;
};

/// The indexes that the threads share: siblings in a leaf, neighbours in the next leaf, and one in a higher tree.
std::span<const PageIndex> recorded_pages();

/// Makes a map, lets threads find, load, insert, read, write, put and remove pages of it, and destroys it.
/// Errors: what an operation answered that it must not, or what the map is not rid of at the end.
Result<History> record_history(const MakeMap& make, const Recording& recording);

}  // namespace page_map_lab::linearise
