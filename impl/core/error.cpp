#include "impl/core/error.hpp"

#include <system_error>

namespace page_map_lab {

std::string_view to_string(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::already_present: return "already_present";
        case ErrorCode::try_again: return "try_again";
        case ErrorCode::no_memory: return "no_memory";
        case ErrorCode::no_frame: return "no_frame";
        case ErrorCode::no_region: return "no_region";
        case ErrorCode::not_permitted: return "not_permitted";
        case ErrorCode::past_end: return "past_end";
        case ErrorCode::bad_range: return "bad_range";
        case ErrorCode::refcount_saturated: return "refcount_saturated";
        case ErrorCode::busy: return "busy";
        case ErrorCode::io: return "io";
        case ErrorCode::malformed: return "malformed";
        case ErrorCode::usage: return "usage";
        case ErrorCode::denied: return "denied";
        case ErrorCode::unavailable: return "unavailable";
        case ErrorCode::system: return "system";
    }
    return "unknown";
}

std::string Error::text() const {
    std::string line = message.empty() ? std::string(to_string(code)) : message;
    if (system_errno != 0) {
        line += " (" + std::generic_category().message(system_errno) + ")";
    }
    return line;
}

}  // namespace page_map_lab
