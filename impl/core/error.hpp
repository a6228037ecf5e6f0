// Errors as values: what went wrong, as a code to branch on and a sentence to print.
//
// Thread safety: plain values. Cost: an Error without a message allocates nothing, so that a benign outcome such as
// try_again stays cheap.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace page_map_lab {

/// What went wrong. The errno that a kernel would return stands beside each.
enum class ErrorCode : std::uint8_t {
    already_present,     // EEXIST: insert at an index that has a page
    try_again,           // EAGAIN: absent or not up to date, and the caller would not wait
    no_memory,           // ENOMEM: a node or a system mapping could not be had
    no_frame,            // ENOMEM: every frame is resident
    no_region,           // EFAULT: the address belongs to no region
    not_permitted,       // EPERM: the region's protection forbids the access
    past_end,            // ESPIPE: the page lies past the end of the object
    bad_range,           // EINVAL: a range that wraps around or leaves the region
    refcount_saturated,  // EOVERFLOW: a slot's count would not fit its eleven bits
    busy,                // EBUSY: an operation that excludes this one is running
    io,                  // EIO: the store failed
    malformed,           // EBADMSG: input that does not follow its format
    usage,               // EINVAL: a name or a number the user gave is wrong
    denied,              // EACCES: it exists, but this user may not have it
    unavailable,         // ENODEV: this machine does not have it
    system,              // any other failed system call; see system_errno
};

/// The code's name as it is printed, for example "no_frame".
std::string_view to_string(ErrorCode code) noexcept;

/// A failure: `message` names the thing and the way out, or is empty where the code says it all.
struct Error {
    ErrorCode code;
    int system_errno = 0;
    std::string message{};

    /// "message (errno text)", or the code's name where there is no message.
    std::string text() const;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// Shorthand for the failing side of a Result.
inline tl::unexpected<Error> fail(ErrorCode code, std::string message = {}, int system_errno = 0) {
    return tl::unexpected<Error>(Error{code, system_errno, std::move(message)});
}

/// As above, of a message that is there already, or of none (`{}`). Where there is no memory to copy it, the code says it all: so that what
/// must not throw, and what has taken something that it would have to give back, can fail.
inline tl::unexpected<Error> fail(ErrorCode code, const char* message, int system_errno = 0) noexcept {
    Error error{code, system_errno};
    try {
        error.message = message != nullptr ? message : "";
    } catch (const std::bad_alloc&) {
        error.message.clear();
    }
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace page_map_lab
