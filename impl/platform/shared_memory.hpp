// Memory that processes share: a memfd and this process's mapping of it, readable and writable.
//
// Thread safety: all members; who may touch which byte is its users' business.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "impl/core/error.hpp"
#include "impl/platform/file_descriptor.hpp"

namespace page_map_lab {

class SharedMemory {
public:
    /// So many bytes, zero. Errors: no_memory, system.
    static Result<SharedMemory> make(std::size_t bytes, const std::string& name);
    /// What another process made and passed on. Errors: no_memory, system.
    static Result<SharedMemory> open(FileDescriptor file, std::size_t bytes);

    SharedMemory(SharedMemory&& other) noexcept;
    SharedMemory& operator=(SharedMemory&&) = delete;
    ~SharedMemory();

    std::span<std::byte> bytes() const noexcept { return bytes_; }
    int file() const noexcept { return file_.number(); }

private:
    SharedMemory(FileDescriptor file, std::span<std::byte> bytes) noexcept : file_(std::move(file)), bytes_(bytes) {}

    FileDescriptor file_;
    std::span<std::byte> bytes_;
};

}  // namespace page_map_lab
