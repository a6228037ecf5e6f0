#include "bench/harness/record_file.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace page_map_lab::bench {
namespace {

/// An open file that is closed at the end of the scope, or before, to see whether that fails.
class File {
public:
    File(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
    ~File() { close(); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    bool is_open() const { return descriptor_ >= 0; }
    bool write_all(const std::string& text) const {
        for (std::size_t done = 0; done < text.size();) {
            const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
            if (written < 0 && errno != EINTR) {
                return false;
            }
            done += written < 0 ? 0 : static_cast<std::size_t>(written);
        }
        return true;
    }
    bool sync() const { return ::fsync(descriptor_) == 0; }
    bool close() {
        const int descriptor = std::exchange(descriptor_, -1);
        return descriptor < 0 || ::close(descriptor) == 0;
    }

private:
    int descriptor_;
};

tl::unexpected<Error> cannot_write(const std::string& path, ErrorCode code) {
    const int reason = errno;
    return fail(code,
                "the record " + path + " cannot be written: name a file in a folder that is there, with room left",
                reason);
}

bool is_special(const std::string& path) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

std::string partial_path(const std::string& path) {
    return path + ".partial";
}

}  // namespace

Status probe_record_file(const std::string& path) {
    if (is_special(path)) {
        if (std::filesystem::is_directory(path)) {
            return fail(ErrorCode::usage, "the record " + path + " is a folder: name a file");
        }
        return {};
    }
    File file(partial_path(path), O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open()) {
        return cannot_write(path, ErrorCode::usage);
    }
    ::unlink(partial_path(path).c_str());
    return {};
}

Status write_record_file(const std::string& path, const std::string& text) {
    if (is_special(path)) {
        File file(path, O_WRONLY);
        if (!file.is_open() || !file.write_all(text) || !file.close()) {
            return cannot_write(path, ErrorCode::system);
        }
        return {};
    }
    const std::string partial = partial_path(path);
    File file(partial, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open() || !file.write_all(text) || !file.sync() || !file.close() ||
        std::rename(partial.c_str(), path.c_str()) != 0) {
        const auto failure = cannot_write(path, ErrorCode::system);
        ::unlink(partial.c_str());
        return failure;
    }
    return {};
}

}  // namespace page_map_lab::bench
