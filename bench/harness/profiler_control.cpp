#include "bench/harness/profiler_control.hpp"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace page_map_lab::bench {

Result<std::unique_ptr<ProfilerControl>> ProfilerControl::open(const std::string& paths,
                                                               std::chrono::milliseconds patience) {
    const std::size_t comma = paths.find(',');
    if (comma == std::string::npos) {
        return fail(ErrorCode::usage, "--profiler-control " + paths + ": name two FIFOs, COMMANDS,ANSWERS");
    }
    int descriptors[2] = {-1, -1};
    const std::string names[2] = {paths.substr(0, comma), paths.substr(comma + 1)};
    for (const int which : {0, 1}) {
        // Both ways and without blocking, so that a profiler that is not there is an error and no hang.
        descriptors[which] = ::open(names[which].c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (descriptors[which] < 0) {
            const int reason = errno;
            ::close(descriptors[0]);
            return fail(ErrorCode::usage,
                        "--profiler-control " + names[which] + " cannot be opened: make it with mkfifo", reason);
        }
    }
    return std::unique_ptr<ProfilerControl>(new ProfilerControl(descriptors[0], descriptors[1], patience));
}

ProfilerControl::~ProfilerControl() {
    ::close(commands_);
    ::close(answers_);
}

void ProfilerControl::ask(const char* command) noexcept {
    if (!answering_) {
        return;
    }
    const std::string_view asked = command;
    answering_ = ::write(commands_, asked.data(), asked.size()) == static_cast<ssize_t>(asked.size());
    for (bool acknowledged = false; answering_ && !acknowledged;) {
        pollfd waiting{answers_, POLLIN, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(patience_.count()));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        char answer[16];
        const ssize_t got = ready > 0 ? ::read(answers_, answer, sizeof answer) : -1;
        answering_ = got > 0;
        // perf answers "ack", a line's end and a zero byte, which may come late: only the line's end counts.
        acknowledged = answering_ && std::memchr(answer, '\n', static_cast<std::size_t>(got)) != nullptr;
    }
}

}  // namespace page_map_lab::bench
