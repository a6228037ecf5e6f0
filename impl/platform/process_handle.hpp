// Another process, by a handle that never means a later one of the same number.
//
// Thread safety: all members. Source: pidfd_open(2), pidfd_send_signal(2): the handle is readable once every thread of
// the process has ended, and with them every access through its page tables.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "impl/core/error.hpp"
#include "impl/platform/file_descriptor.hpp"

namespace page_map_lab {

class ProcessHandle {
public:
    ProcessHandle() noexcept = default;
    ProcessHandle(pid_t number, FileDescriptor handle) noexcept : number_(number), handle_(std::move(handle)) {}

    /// Of a child that the calling process has not waited for yet. Errors: system.
    static Result<ProcessHandle> of_child(pid_t child) noexcept;

    pid_t number() const noexcept { return number_; }
    int descriptor() const noexcept { return handle_.number(); }  ///< to poll for its end

    /// Sends a signal; nothing happens where the process has ended.
    void signal(int signal_number) const noexcept;

    /// Whether its end was reported. Cost: one system call.
    bool has_ended() const noexcept { return wait_for_end(std::chrono::milliseconds(0)); }

    /// Waits for the report of its end, for `at_most`; whether it came.
    bool wait_for_end(std::chrono::milliseconds at_most) const noexcept;

private:
    pid_t number_ = -1;
    FileDescriptor handle_;
};

}  // namespace page_map_lab
