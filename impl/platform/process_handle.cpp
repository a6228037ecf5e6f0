#include "impl/platform/process_handle.hpp"

#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

namespace page_map_lab {

// The C library's declarations of these calls do not link from C++ (glibc 2.36), so they are made by number.

Result<ProcessHandle> ProcessHandle::of_child(pid_t child) noexcept {
    FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (!handle) {
        return fail(ErrorCode::system, "no handle of a process: raise the limit of open files (ulimit -n)", errno);
    }
    return ProcessHandle(child, std::move(handle));
}

void ProcessHandle::signal(int signal_number) const noexcept {
    ::syscall(SYS_pidfd_send_signal, handle_.number(), signal_number, nullptr, 0);
}

bool ProcessHandle::wait_for_end(std::chrono::milliseconds at_most) const noexcept {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + at_most;
    pollfd watched{handle_.number(), POLLIN, 0};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        const int ready = ::poll(&watched, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
        if (ready >= 0 || errno != EINTR) {
            return ready > 0 && (watched.revents & POLLIN) != 0;
        }
    }
}

}  // namespace page_map_lab
