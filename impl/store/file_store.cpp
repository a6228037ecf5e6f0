#include "impl/store/file_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace page_map_lab {
namespace {

constexpr std::size_t most_parts = 1024;  // IOV_MAX on Linux
constexpr std::uint64_t most_pages = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) / page_size;

tl::unexpected<Error> open_failure(const std::string& path, const char* what, int number) {
    const std::string message = std::string("cannot ") + what + " '" + path + "': ";
    switch (number) {
        case ENOENT:
        case ENOTDIR: return fail(ErrorCode::usage, message + "check the path", number);
        case EISDIR: return fail(ErrorCode::usage, message + "name a regular file", number);
        case EACCES:
        case EPERM:
        case EROFS: return fail(ErrorCode::denied, message + "change its permissions or choose another file", number);
        case EMFILE:
        case ENFILE: return fail(ErrorCode::system, message + "raise the limit on open files (ulimit -n)", number);
        case EFBIG:
        case EINVAL:
            return fail(ErrorCode::usage, message + "it would be too large; choose fewer pages or another folder",
                        number);
        default: return fail(ErrorCode::io, message + "check the file system it is on", number);
    }
}

tl::unexpected<Error> transfer_failure(const std::string& name, const char* what, std::uint64_t offset, int number) {
    const std::string message =
        std::string("cannot ") + what + " page " + std::to_string(offset / page_size) + " of " + name + ": ";
    switch (number) {
        case ENOSPC:
        case EDQUOT: return fail(ErrorCode::io, message + "free space on its file system or choose another", number);
        case EFBIG: return fail(ErrorCode::io, message + "raise the file size limit (ulimit -f)", number);
        case EBADF: return fail(ErrorCode::denied, message + "it was opened for reading only", number);
        default: return fail(ErrorCode::io, message + "check the device it is on", number);
    }
}

// Takes the first `count` bytes off the parts.
std::span<iovec> advance(std::span<iovec> parts, std::size_t count) {
    while (!parts.empty() && count >= parts.front().iov_len) {
        count -= parts.front().iov_len;
        parts = parts.subspan(1);
    }
    if (count > 0) {
        parts.front().iov_base = static_cast<std::byte*>(parts.front().iov_base) + count;
        parts.front().iov_len -= count;
    }
    return parts;
}

int part_count(std::span<iovec> parts) { return static_cast<int>(std::min(parts.size(), most_parts)); }

std::vector<iovec> parts_of(std::span<std::byte* const> pages) {
    std::vector<iovec> parts;
    parts.reserve(pages.size());
    for (std::byte* page : pages) {
        parts.push_back({page, page_size});
    }
    return parts;
}

}  // namespace

Result<FileStore> FileStore::open(const std::string& path, Access access) {
    // Not blocking, because opening a named pipe would wait for its other end before it could be refused.
    const int flags = (access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
    const int descriptor = ::open(path.c_str(), flags);
    if (descriptor < 0) {
        return open_failure(path, "open", errno);
    }
    FileStore store(path, descriptor, 0);
    struct stat facts {};
    if (fstat(descriptor, &facts) != 0) {
        return open_failure(path, "examine", errno);
    }
    if (!S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::usage, "'" + path + "' is not a regular file: name one that is");
    }
    store.size_pages_ = (static_cast<std::uint64_t>(facts.st_size) + page_size - 1) / page_size;
    return store;
}

Result<FileStore> FileStore::create(const std::string& path, std::uint64_t size_pages) {
    if (size_pages > most_pages) {
        return open_failure(path, "make", EFBIG);
    }
    // O_TRUNC only after the file was seen to be regular, so that nothing else is emptied by mistake.
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (descriptor < 0) {
        return open_failure(path, "make", errno);
    }
    FileStore store(path, descriptor, size_pages);
    struct stat facts {};
    if (fstat(descriptor, &facts) != 0) {
        return open_failure(path, "examine", errno);
    }
    if (!S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::usage, "'" + path + "' is not a regular file: name one that is");
    }
    if (ftruncate(descriptor, 0) != 0 || ftruncate(descriptor, static_cast<off_t>(size_pages * page_size)) != 0) {
        return open_failure(path, "size", errno);
    }
    return store;
}

FileStore::FileStore(FileStore&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_pages_(other.size_pages_) {}

FileStore::~FileStore() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

Status FileStore::read_vector(PageIndex first, std::span<iovec> parts) {
    std::uint64_t offset = first * page_size;
    while (!parts.empty()) {
        const ssize_t count = preadv(descriptor_, parts.data(), part_count(parts), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return transfer_failure(name(), "read", offset, errno);
        }
        if (count == 0) {
            for (const iovec& part : parts) {
                std::memset(part.iov_base, 0, part.iov_len);
            }
            return {};
        }
        parts = advance(parts, static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Status FileStore::write_vector(PageIndex first, std::span<iovec> parts) {
    std::uint64_t offset = first * page_size;
    while (!parts.empty()) {
        const ssize_t count = pwritev(descriptor_, parts.data(), part_count(parts), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return transfer_failure(name(), "write", offset, count < 0 ? errno : ENOSPC);
        }
        parts = advance(parts, static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Status FileStore::read_pages(PageRange range, std::span<std::byte> bytes) {
    if (auto valid = check_request(range, bytes.size()); !valid) {
        return valid;
    }
    std::array<iovec, 1> parts{{{bytes.data(), bytes.size()}}};
    return range.empty() ? Status{} : read_vector(range.first, parts);
}

Status FileStore::write_pages(PageRange range, std::span<const std::byte> bytes) {
    if (auto valid = check_request(range, bytes.size()); !valid) {
        return valid;
    }
    // pwritev only reads through the pointer that its interface declares writable.
    std::array<iovec, 1> parts{{{const_cast<std::byte*>(bytes.data()), bytes.size()}}};
    return range.empty() ? Status{} : write_vector(range.first, parts);
}

Status FileStore::read_scattered(PageIndex first, std::span<std::byte* const> pages) {
    if (auto valid = check_request({first, pages.size()}, pages.size() * page_size); !valid) {
        return valid;
    }
    auto parts = parts_of(pages);
    return read_vector(first, parts);
}

Status FileStore::write_gathered(PageIndex first, std::span<const std::byte* const> pages) {
    if (auto valid = check_request({first, pages.size()}, pages.size() * page_size); !valid) {
        return valid;
    }
    std::vector<std::byte*> writable(pages.size());
    std::transform(pages.begin(), pages.end(), writable.begin(),
                   [](const std::byte* page) { return const_cast<std::byte*>(page); });
    auto parts = parts_of(writable);
    return write_vector(first, parts);
}

Status FileStore::sync() {
    while (fdatasync(descriptor_) != 0) {
        if (errno != EINTR) {
            return fail(ErrorCode::io, "cannot sync " + name() + ": what was written last may be lost", errno);
        }
    }
    return {};
}

}  // namespace page_map_lab
