#include "impl/platform/nursery.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <exception>
#include <filesystem>

#include "impl/core/check.hpp"

namespace page_map_lab {

namespace {

struct NurseryRequest {
    enum class Kind : std::uint8_t { fork_child, reap, abandon } kind = Kind::fork_child;
    Nursery::Entry entry = nullptr;
    pid_t child = -1;
};

struct NurseryAnswer {
    int failure = 0;  ///< errno
    pid_t child = -1;
    ProcessEnd end{};
};

Nursery* started = nullptr;  // for the life of the process

[[maybe_unused]] std::size_t count_threads() {
    std::error_code ignored;
    const auto tasks = std::filesystem::directory_iterator("/proc/self/task", ignored);
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

[[noreturn]] void be_a_child(MessageSocket& nursery, Nursery::Entry entry, MessageSocket::Files files, pid_t parent) {
    nursery.close();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {  // or it died before the line above
        try {
            entry(std::move(files));
        } catch (const std::exception&) {
            ::_exit(1);  // or it would go on as a second copy of what the nursery was forked from
        }
    }
    ::_exit(0);
}

NurseryAnswer fork_one(MessageSocket& socket, const NurseryRequest& request, MessageSocket::Files files,
                       ProcessHandle& handle) {
    NurseryAnswer answer;
    const pid_t nursery = ::getpid();
    answer.child = ::fork();
    if (answer.child == 0) {
        be_a_child(socket, request.entry, std::move(files), nursery);
    }
    if (answer.child < 0) {
        answer.failure = errno;
        return answer;
    }
    // Nobody reaps the child before we do, so the number is still its own.
    if (Result<ProcessHandle> made = ProcessHandle::of_child(answer.child)) {
        handle = *std::move(made);
    } else {
        answer.failure = made.error().system_errno;
        ::kill(answer.child, SIGKILL);
        ::waitpid(answer.child, nullptr, 0);
    }
    return answer;
}

NurseryAnswer reap_one(const NurseryRequest& request) {
    NurseryAnswer answer;
    siginfo_t information{};
    if (::waitid(P_PID, static_cast<id_t>(request.child), &information, WEXITED | WNOHANG) != 0) {
        answer.failure = errno;
    } else if (information.si_pid == 0) {
        answer.failure = EAGAIN;
    } else {
        answer.end = {information.si_code != CLD_EXITED, information.si_status};
    }
    return answer;
}

/// Ends a child that nobody can reach.
NurseryAnswer abandon_one(const NurseryRequest& request) {
    check(request.child > 0, "one process is abandoned: kill takes other numbers for many");
    ::kill(request.child, SIGKILL);
    ::waitpid(request.child, nullptr, 0);
    return {};
}

/// Serves requests until the process it was forked from is gone.
[[noreturn]] void be_the_nursery(MessageSocket socket) {
    ::prctl(PR_SET_NAME, "nursery");
    ::signal(SIGINT, SIG_IGN);  // an interrupt from the terminal is the owner's to handle
    for (;;) {
        NurseryRequest request;
        MessageSocket::Files files;
        if (!socket.receive_object(request, &files)) {
            ::_exit(0);
        }
        ProcessHandle handle;
        NurseryAnswer answer;
        switch (request.kind) {
            case NurseryRequest::Kind::fork_child: answer = fork_one(socket, request, std::move(files), handle); break;
            case NurseryRequest::Kind::reap: answer = reap_one(request); break;
            case NurseryRequest::Kind::abandon: answer = abandon_one(request); break;
        }
        const int number = handle.descriptor();
        if (!socket.send_object(answer, number >= 0 ? std::span(&number, 1) : std::span<const int>())) {
            ::_exit(0);
        }
    }
}

/// A request and its answer. An answer that is still on its way could not be told from the next one's: then the nursery
/// ends, and its children with it.
bool exchange(MessageSocket& socket, const NurseryRequest& request, NurseryAnswer& answer, std::span<const int> files = {},
              MessageSocket::Files* received = nullptr) {
    if (!socket.send_object(request, files)) {
        return false;
    }
    if (!socket.receive_object(answer, received)) {
        socket.close();
        return false;
    }
    return true;
}

}  // namespace

Status Nursery::start() {
    if (started != nullptr) {
        return {};
    }
#if !defined(__SANITIZE_THREAD__)  // whose runtime has a thread of its own, and minds it across a fork
    if (count_threads() > 1) {
        return fail(ErrorCode::busy, "worker processes come from a nursery that is forked before the first thread: start it "
                                     "at the beginning of main");
    }
#endif
    auto ends = MessageSocket::make_pair();
    if (!ends) {
        return tl::unexpected(std::move(ends.error()));
    }
    // Before there is a process that would have to be ended where there is no memory for it.
    std::unique_ptr<Nursery> made(new Nursery(std::move(ends->first)));
    const pid_t nursery = ::fork();
    if (nursery < 0) {
        return fail(ErrorCode::system, "the nursery of worker processes could not be forked", errno);
    }
    if (nursery == 0) {
        made->socket_.close();
        be_the_nursery(std::move(ends->second));
    }
    started = made.release();
    return {};
}

Result<Nursery*> Nursery::running() {
    if (started == nullptr) {
        return fail(ErrorCode::unavailable, "there is no nursery of worker processes: start it at the beginning of main");
    }
    return started;
}

Result<ProcessHandle> Nursery::fork_child(Entry entry, std::span<const int> files) {
    const std::lock_guard guard(exchange_);
    NurseryAnswer answer;
    MessageSocket::Files received;
    if (!exchange(socket_, {NurseryRequest::Kind::fork_child, entry, -1}, answer, files, &received)) {
        return fail(ErrorCode::unavailable, "the nursery of worker processes is gone: start the program again");
    }
    if (answer.failure == 0 && !received.front()) {  // its handle was lost on the way, for want of room for files
        NurseryAnswer ignored;
        static_cast<void>(exchange(socket_, {NurseryRequest::Kind::abandon, nullptr, answer.child}, ignored));
        answer.failure = EMFILE;
    }
    if (answer.failure != 0) {
        return fail(ErrorCode::system, "a worker process could not be forked: raise ulimit -u or -n", answer.failure);
    }
    return ProcessHandle(answer.child, std::move(received.front()));
}

std::optional<ProcessEnd> Nursery::reap(const ProcessHandle& child) {
    const std::lock_guard guard(exchange_);
    NurseryAnswer answer;
    if (!exchange(socket_, {NurseryRequest::Kind::reap, nullptr, child.number()}, answer) || answer.failure != 0) {
        return std::nullopt;
    }
    return answer.end;
}

}  // namespace page_map_lab
