#include "impl/platform/shared_memory.hpp"

#include <sys/mman.h>

#include <cerrno>

namespace page_map_lab {

Result<SharedMemory> SharedMemory::make(std::size_t bytes, const std::string& name) {
    FileDescriptor file(::memfd_create(name.c_str(), MFD_CLOEXEC));
    if (!file) {
        return fail(ErrorCode::system, "no memfd to share memory by: raise the limit of open files (ulimit -n)", errno);
    }
    if (::ftruncate(file.number(), static_cast<off_t>(bytes)) != 0) {
        return fail(ErrorCode::no_memory, std::to_string(bytes) + " bytes cannot be shared: ask for fewer", errno);
    }
    return open(std::move(file), bytes);
}

Result<SharedMemory> SharedMemory::open(FileDescriptor file, std::size_t bytes) {
    void* mapping = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file.number(), 0);
    if (mapping == MAP_FAILED) {
        return fail(ErrorCode::no_memory, "mapping shared memory failed: raise vm.max_map_count or map less", errno);
    }
    return SharedMemory(std::move(file), {static_cast<std::byte*>(mapping), bytes});
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : file_(std::move(other.file_)), bytes_(std::exchange(other.bytes_, {})) {}

SharedMemory::~SharedMemory() {
    if (!bytes_.empty()) {
        ::munmap(bytes_.data(), bytes_.size());
    }
}

}  // namespace page_map_lab
