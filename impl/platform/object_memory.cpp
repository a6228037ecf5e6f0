#include "impl/platform/object_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <system_error>

namespace page_map_lab {

namespace {

#ifndef MADV_POPULATE_WRITE
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14; newer than Debian 12's C library
#endif

[[noreturn]] void refuse(const std::string& what, int failure) {
    throw std::runtime_error(what + " (" + std::generic_category().message(failure) + ")");
}

}  // namespace

ObjectMemory::ObjectMemory(std::uint64_t size_pages, const std::string& name) : size_pages_(size_pages) {
    if (size_pages == 0) {
        throw std::runtime_error("an object of 0 pages has no memory: give it at least one page");
    }
    if (size_pages > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) / page_size) {
        throw std::runtime_error("an object of " + std::to_string(size_pages) +
                                 " pages is larger than any file: ask for fewer pages");
    }
    file_ = ::memfd_create(name.c_str(), MFD_CLOEXEC);
    if (file_ < 0) {
        refuse("no memfd for the object's bytes: raise the limit of open files (ulimit -n)", errno);
    }
    const std::size_t length = size_pages * page_size;
    if (::ftruncate(file_, static_cast<off_t>(length)) != 0) {
        const int failure = errno;
        ::close(file_);
        refuse("a memfd of " + std::to_string(size_pages) + " pages is too large: ask for fewer pages", failure);
    }
    void* mapping = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
    if (mapping == MAP_FAILED) {
        const int failure = errno;
        ::close(file_);
        refuse("the kernel-side mapping of " + std::to_string(size_pages) + " pages failed: ask for fewer pages", failure);
    }
    ::madvise(mapping, length, MADV_DONTFORK);  // best effort: a worker that inherits it only wastes page tables
    kernel_side_ = static_cast<std::byte*>(mapping);
}

ObjectMemory::~ObjectMemory() {
    ::munmap(kernel_side_, size_pages_ * page_size);
    ::close(file_);
}

void ObjectMemory::fill(PageIndex page, std::byte value) noexcept {
    const std::uint64_t word = std::to_integer<std::uint64_t>(value) * 0x0101'0101'0101'0101;
    const std::span<std::byte> all = bytes({page, 1});
    const std::span<std::uint64_t> words(reinterpret_cast<std::uint64_t*>(all.data()), all.size() / sizeof(word));
    for (std::uint64_t& each : words) {
        // relaxed: who uses the page meanwhile sees the old word or the new one; the page's lock orders the rest.
        std::atomic_ref(each).store(word, std::memory_order_relaxed);
    }
}

Status ObjectMemory::give_back(PageRange pages) noexcept {
    while (::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(pages.first * page_size),
                       static_cast<off_t>(pages.count * page_size)) != 0) {
        if (errno != EINTR) {
            return fail(ErrorCode::system, "punching a hole into the object's memory failed", errno);
        }
    }
    return {};
}

Result<std::byte*> ObjectMemory::map(PageRange pages, Sharing sharing) noexcept {
    const int flags = (sharing == Sharing::shared ? MAP_SHARED : MAP_PRIVATE) | MAP_NORESERVE;
    void* mapping = ::mmap(nullptr, pages.count * page_size, PROT_NONE, flags, file_,
                           static_cast<off_t>(pages.first * page_size));
    if (mapping == MAP_FAILED) {
        return fail(ErrorCode::no_memory, "mapping a region failed: raise vm.max_map_count or map less", errno);
    }
    if (::madvise(mapping, pages.count * page_size, MADV_DONTFORK) != 0) {
        const int failure = errno;
        ::munmap(mapping, pages.count * page_size);
        return fail(ErrorCode::system, "keeping a region from being inherited failed", failure);
    }
    return static_cast<std::byte*>(mapping);
}

Status ObjectMemory::unmap(std::byte* base, std::uint64_t count) noexcept {
    if (::munmap(base, count * page_size) != 0) {
        return fail(ErrorCode::system, "unmapping a region failed", errno);
    }
    return {};
}

Status ObjectMemory::copy_now(std::byte* page) noexcept {
    if (::madvise(page, page_size, MADV_POPULATE_WRITE) == 0) {
        return {};
    }
    const int failure = errno;
    if (failure != EINVAL) {
        return fail(ErrorCode::no_memory, "no memory for a private copy", failure);
    }
    // The same answer for a page that is not writable and for a system that does not know the call; of no bytes at all
    // only the latter refuses it.
    if (::madvise(page, 0, MADV_POPULATE_WRITE) == 0) {
        return fail(ErrorCode::try_again, "a private copy is made of a page that is writable", failure);
    }
    return fail(ErrorCode::unavailable, "private copies need MADV_POPULATE_WRITE: use Linux 5.14 or later", failure);
}

std::uint64_t ObjectMemory::allocated_pages() const {
    struct stat facts {};
    if (::fstat(file_, &facts) != 0) {
        refuse("fstat of the object's memfd failed", errno);
    }
    return static_cast<std::uint64_t>(facts.st_blocks) * 512 / page_size;
}

}  // namespace page_map_lab
