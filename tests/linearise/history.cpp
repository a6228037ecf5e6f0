#include "tests/linearise/history.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>

namespace page_map_lab::linearise {

std::string Event::text() const {
    constexpr std::array<std::string_view, 7> operations{"find", "load", "insert", "put", "read", "write", "remove"};
    constexpr std::array<std::string_view, 7> answers{"a page", "nothing", "already present", "busy",
                                                      "done",   "removed", "kept"};
    std::ostringstream text;
    text << operations[static_cast<std::size_t>(operation)] << "(" << page;
    if (operation == Operation::write) {
        text << ", " << std::hex << value << std::dec;
    }
    text << ") = ";
    if (operation == Operation::read) {
        text << std::hex << value << std::dec;
    } else {
        text << answers[static_cast<std::size_t>(answer)];
    }
    text << " [" << called << ", " << returned << "]";
    return text.str();
}

History history_of(const History& history, PageIndex page) {
    History part(history.size());
    for (std::size_t thread = 0; thread < history.size(); ++thread) {
        std::ranges::copy_if(history[thread], std::back_inserter(part[thread]),
                             [&](const Event& event) { return event.page == page; });
    }
    return part;
}

}  // namespace page_map_lab::linearise
