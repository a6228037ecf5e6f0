// The calls that can be made to fail. C functions are wrapped by the linker (--wrap, CMakeLists.txt), so that those which
// the project makes ask and those which libraries make among themselves do not. The allocating operators are replaced for
// the whole program, because the standard library allocates on the project's behalf; so is pthread_create.
#include <dlfcn.h>
#include <hwloc.h>
#include <linux/futex.h>
#include <perfmon/pfmlib.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

#include "tests/failures/injector.hpp"

namespace {

using page_map_lab::failures::decide;

/// Whether the call is to fail; errno is set then. `errors` are the ways in which it can.
[[gnu::always_inline]] inline bool fails(const char* call, std::initializer_list<int> errors) noexcept {
    const auto way = decide(call, static_cast<unsigned>(errors.size()), false);
    if (way) {
        errno = errors.begin()[*way];
    }
    return way.has_value();
}

[[gnu::always_inline]] inline bool no_memory(const char* call) noexcept {
    const bool none = decide(call, 1, true).has_value();
    if (none) {
        errno = ENOMEM;
    }
    return none;
}

extern "C" void* __real_aligned_alloc(std::size_t alignment, std::size_t bytes);

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    return __real_aligned_alloc(alignment, (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
}

}  // namespace

// --- Allocation ------------------------------------------------------------------------------------------------------

#define ALLOCATING_OPERATORS(NAME, SPELLED)                                                                     \
    void* NAME(std::size_t bytes) {                                                                             \
        void* memory = no_memory(SPELLED) ? nullptr : allocate(bytes, alignof(std::max_align_t));               \
        return memory != nullptr ? memory : throw std::bad_alloc();                                             \
    }                                                                                                           \
    void* NAME(std::size_t bytes, std::align_val_t alignment) {                                                 \
        void* memory = no_memory(SPELLED) ? nullptr : allocate(bytes, static_cast<std::size_t>(alignment));     \
        return memory != nullptr ? memory : throw std::bad_alloc();                                             \
    }                                                                                                           \
    void* NAME(std::size_t bytes, const std::nothrow_t&) noexcept {                                             \
        return no_memory(SPELLED) ? nullptr : allocate(bytes, alignof(std::max_align_t));                       \
    }                                                                                                           \
    void* NAME(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {                 \
        return no_memory(SPELLED) ? nullptr : allocate(bytes, static_cast<std::size_t>(alignment));             \
    }

ALLOCATING_OPERATORS(operator new, "operator new")
ALLOCATING_OPERATORS(operator new[], "operator new[]")

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

extern "C" {

// A function of the C library or of hwloc: RESULT NAME(PARAMETERS), called as NAME(ARGUMENTS); FAILED is what it returns
// when it fails, in each of the ways that the errno values after it stand for.
#define CAN_FAIL(RESULT, FAILED, NAME, PARAMETERS, ARGUMENTS, ...)          \
    RESULT __real_##NAME PARAMETERS;                                        \
    RESULT __wrap_##NAME PARAMETERS {                                       \
        return fails(#NAME, {__VA_ARGS__}) ? FAILED : __real_##NAME ARGUMENTS; \
    }
#define CAN_LACK_MEMORY(NAME, PARAMETERS, ARGUMENTS)                        \
    void* __real_##NAME PARAMETERS;                                         \
    void* __wrap_##NAME PARAMETERS { return no_memory(#NAME) ? nullptr : __real_##NAME ARGUMENTS; }

CAN_LACK_MEMORY(aligned_alloc, (std::size_t alignment, std::size_t bytes), (alignment, bytes))
void* __real___sched_cpualloc(std::size_t processors);
void* __wrap___sched_cpualloc(std::size_t processors) { return no_memory("CPU_ALLOC") ? nullptr : __real___sched_cpualloc(processors); }
CAN_LACK_MEMORY(mallocx, (std::size_t bytes, int flags), (bytes, flags))
CAN_FAIL(int, EAGAIN, mallctl, (const char* name, void* old, std::size_t* length, void* fresh, std::size_t bytes),
         (name, old, length, fresh, bytes), EAGAIN)

// --- Memory ----------------------------------------------------------------------------------------------------------

CAN_FAIL(void*, MAP_FAILED, mmap, (void* address, std::size_t length, int rights, int flags, int file, off_t offset),
         (address, length, rights, flags, file, offset), ENOMEM)
CAN_FAIL(int, -1, munmap, (void* address, std::size_t length), (address, length), ENOMEM)
CAN_FAIL(int, -1, mprotect, (void* address, std::size_t length, int rights), (address, length, rights), ENOMEM, EACCES)
CAN_FAIL(int, -1, madvise, (void* address, std::size_t length, int advice), (address, length, advice), ENOMEM)
CAN_FAIL(int, -1, mincore, (void* address, std::size_t length, unsigned char* pages), (address, length, pages), ENOMEM)
CAN_FAIL(int, -1, memfd_create, (const char* name, unsigned flags), (name, flags), EMFILE)
CAN_FAIL(int, -1, ftruncate, (int file, off_t length), (file, length), EFBIG, EINTR)
CAN_FAIL(int, -1, fallocate, (int file, int mode, off_t offset, off_t length), (file, mode, offset, length), ENOSPC, EINTR)

// --- Files -----------------------------------------------------------------------------------------------------------

CAN_FAIL(int, -1, fstat, (int file, struct stat* facts), (file, facts), EIO)
CAN_FAIL(int, -1, fdatasync, (int file), (file), EIO, EINTR)
CAN_FAIL(ssize_t, -1, read, (int file, void* bytes, std::size_t length), (file, bytes, length), EIO, EINTR)

int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, mode_t mode) {
    return fails("open", {EMFILE, EACCES}) ? -1 : __real_open(path, flags, mode);
}

ssize_t __real_preadv(int file, const iovec* parts, int count, off_t offset);
ssize_t __real_pwritev(int file, const iovec* parts, int count, off_t offset);

/// A vectored transfer can also be short: here by all but the first thousand bytes.
static iovec short_part(const iovec* parts) { return {parts->iov_base, std::min<std::size_t>(parts->iov_len, 1000)}; }

ssize_t __wrap_preadv(int file, const iovec* parts, int count, off_t offset) {
    const auto way = decide("preadv", 3, false);
    if (way == 2) {
        const iovec part = short_part(parts);
        return __real_preadv(file, &part, 1, offset);
    }
    if (way) {
        errno = *way == 0 ? EIO : EINTR;
        return -1;
    }
    return __real_preadv(file, parts, count, offset);
}

ssize_t __wrap_pwritev(int file, const iovec* parts, int count, off_t offset) {
    const auto way = decide("pwritev", 4, false);
    if (way == 3) {
        const iovec part = short_part(parts);
        return __real_pwritev(file, &part, 1, offset);
    }
    if (way) {
        errno = std::array{EIO, EINTR, ENOSPC}[*way];
        return -1;
    }
    return __real_pwritev(file, parts, count, offset);
}

// --- Processes, and messages between them ----------------------------------------------------------------------------

CAN_FAIL(pid_t, -1, fork, (), (), EAGAIN)
CAN_FAIL(int, -1, waitid, (idtype_t kind, id_t which, siginfo_t* facts, int options), (kind, which, facts, options), ECHILD)
CAN_FAIL(int, -1, poll, (pollfd* files, nfds_t count, int patience), (files, count, patience), ENOMEM, EINTR)
CAN_FAIL(int, -1, eventfd, (unsigned first, int flags), (first, flags), EMFILE)
CAN_FAIL(int, -1, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), EMFILE)
CAN_FAIL(ssize_t, -1, sendmsg, (int socket, const msghdr* message, int flags), (socket, message, flags), ENOBUFS, EINTR)

ssize_t __real_recvmsg(int socket, msghdr* message, int flags);
/// A message can also come without the files that were sent with it: where too many are open.
ssize_t __wrap_recvmsg(int socket, msghdr* message, int flags) {
    const auto way = decide("recvmsg", 3, false);
    if (way && *way != 2) {
        errno = *way == 0 ? ENOMEM : EINTR;
        return -1;
    }
    const ssize_t length = __real_recvmsg(socket, message, flags);
    if (way && length >= 0) {
        for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
            for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
                int file = -1;
                std::memcpy(&file, reinterpret_cast<const char*>(part) + at, sizeof file);
                ::close(file);
            }
        }
        message->msg_controllen = 0;
    }
    return length;
}

// --- Threads, counters, placement ------------------------------------------------------------------------------------

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const Create real = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
    return fails("pthread_create", {EAGAIN}) ? EAGAIN : real(thread, attributes, start, argument);
}

/// Whether a futex call of this operation waits.
static bool waits(long operation) {
    const long command = operation & FUTEX_CMD_MASK;
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long first, long second, long third, long fourth, long fifth, long sixth) {
    const bool failed = number == SYS_perf_event_open          ? fails("perf_event_open", {EACCES, ENOENT, EMFILE})
                        : number == SYS_move_pages             ? fails("move_pages", {EPERM})
                        : number == SYS_pidfd_open             ? fails("pidfd_open", {EMFILE})
                        : number == SYS_pidfd_send_signal      ? fails("pidfd_send_signal", {EPERM})
                        : number == SYS_futex && waits(second) ? fails("futex", {EINTR})
                                                               : false;  // waking never fails
    return failed ? -1 : __real_syscall(number, first, second, third, fourth, fifth, sixth);
}

int __real_ioctl(int file, unsigned long request, ...);
int __wrap_ioctl(int file, unsigned long request, void* argument) {
    return fails("ioctl", {EINVAL}) ? -1 : __real_ioctl(file, request, argument);
}

CAN_FAIL(int, -1, sched_getaffinity, (pid_t thread, std::size_t bytes, cpu_set_t* set), (thread, bytes, set), EPERM, EINVAL)
CAN_FAIL(int, -1, sigaction, (int number, const struct sigaction* action, struct sigaction* before),
         (number, action, before), EINVAL)

CAN_FAIL(pfm_err_t, PFM_ERR_NOTSUPP, pfm_initialize, (), (), 0)
CAN_FAIL(pfm_err_t, PFM_ERR_NOTFOUND, pfm_get_os_event_encoding, (const char* event, int levels, pfm_os_t system, void* found),
         (event, levels, system, found), 0)
CAN_FAIL(pfm_err_t, PFM_ERR_NOTSUPP, pfm_get_pmu_info, (pfm_pmu_t number, pfm_pmu_info_t* found), (number, found), 0)

CAN_FAIL(hwloc_bitmap_t, nullptr, hwloc_bitmap_alloc, (), (), ENOMEM)
CAN_FAIL(int, -1, hwloc_bitmap_copy, (hwloc_bitmap_t to, hwloc_const_bitmap_t from), (to, from), ENOMEM)
CAN_FAIL(int, -1, hwloc_bitmap_set, (hwloc_bitmap_t set, unsigned member), (set, member), ENOMEM)
CAN_FAIL(int, -1, hwloc_bitmap_only, (hwloc_bitmap_t set, unsigned member), (set, member), ENOMEM)
CAN_FAIL(int, -1, hwloc_bitmap_and, (hwloc_bitmap_t to, hwloc_const_bitmap_t left, hwloc_const_bitmap_t right),
         (to, left, right), ENOMEM)
CAN_FAIL(int, -1, hwloc_topology_init, (hwloc_topology_t* made), (made), ENOMEM)
CAN_FAIL(int, -1, hwloc_topology_set_flags, (hwloc_topology_t topology, unsigned long flags), (topology, flags), EINVAL)
CAN_FAIL(int, -1, hwloc_topology_set_icache_types_filter, (hwloc_topology_t topology, enum hwloc_type_filter_e kept),
         (topology, kept), EINVAL)
CAN_FAIL(int, -1, hwloc_topology_set_synthetic, (hwloc_topology_t topology, const char* text), (topology, text), EINVAL)
CAN_FAIL(int, -1, hwloc_topology_set_xml, (hwloc_topology_t topology, const char* path), (topology, path), EINVAL)
CAN_FAIL(int, -1, hwloc_topology_load, (hwloc_topology_t topology), (topology), ENOMEM)
CAN_FAIL(int, -1, hwloc_distances_get_by_type,
         (hwloc_topology_t topology, hwloc_obj_type_t type, unsigned* count, struct hwloc_distances_s** found,
          unsigned long kind, unsigned long flags),
         (topology, type, count, found, kind, flags), ENOMEM)
CAN_FAIL(int, -1, hwloc_get_cpubind, (hwloc_topology_t topology, hwloc_cpuset_t set, int flags), (topology, set, flags), ENOSYS)
CAN_FAIL(int, -1, hwloc_set_cpubind, (hwloc_topology_t topology, hwloc_const_cpuset_t set, int flags),
         (topology, set, flags), EXDEV)
CAN_FAIL(int, -1, hwloc_set_membind,
         (hwloc_topology_t topology, hwloc_const_bitmap_t set, hwloc_membind_policy_t policy, int flags),
         (topology, set, policy, flags), ENOSYS)
CAN_FAIL(int, -1, hwloc_set_area_membind,
         (hwloc_topology_t topology, const void* address, std::size_t length, hwloc_const_bitmap_t set,
          hwloc_membind_policy_t policy, int flags),
         (topology, address, length, set, policy, flags), EPERM)
}
