"""The gate's checks of memory, of the kernel's settings for it, and of the disk."""

from page_map_lab.finding import Finding, Situation
from page_map_lab.machine import chosen

GIB = 1 << 30
# With these the kernel makes huge pages of shared memory for which nobody asked.
UNASKED_SHARED = {"always", "within_size", "force"}


def transparent_huge_pages(at: Situation) -> Finding:
    """Huge pages that come and go change what a walk costs."""
    text = at.machine.read("/sys/kernel/mm/transparent_hugepage/enabled")
    if text is None:
        return Finding("transparent_huge_pages", "info", "not in this kernel")
    if "[always]" in text:
        return Finding(
            "transparent_huge_pages", "soft", "always",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        )
    return Finding("transparent_huge_pages", "ok", text)


def shared_memory_huge_pages(at: Situation) -> Finding:
    """An object's pages lie in a memfd, which the setting of private memory says nothing of."""
    text = at.machine.read("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    if text is None:
        return Finding("shared_memory_huge_pages", "info", "not in this kernel")
    if chosen(text) in UNASKED_SHARED:
        return Finding(
            "shared_memory_huge_pages", "soft", chosen(text),
            "echo advise | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled",
        )
    return Finding("shared_memory_huge_pages", "ok", text)


def numa_balancing(at: Situation) -> Finding:
    """NUMA balancing unmaps pages to see who touches them: the very operation under test."""
    nodes = at.machine.numa_nodes()
    if at.machine.number("/proc/sys/kernel/numa_balancing") and nodes > 1:
        return Finding("numa_balancing", "hard", f"on, with {nodes} nodes", "sudo sysctl kernel.numa_balancing=0")
    if at.machine.number("/proc/sys/kernel/numa_balancing") is None:
        return Finding("numa_balancing", "ok", "absent from this kernel")
    return Finding("numa_balancing", "ok", "off" if nodes > 1 else "one node, so it does nothing")


def same_page_merging(at: Situation) -> Finding:
    """The merging daemon write-protects pages behind our back."""
    if at.machine.number("/sys/kernel/mm/ksm/run") == 1:
        return Finding("same_page_merging", "soft", "on", "echo 0 | sudo tee /sys/kernel/mm/ksm/run")
    return Finding("same_page_merging", "ok", "off" if at.machine.exists("/sys/kernel/mm/ksm/run") else "absent from this kernel")


def max_map_count(at: Situation) -> Finding:
    """Revoking single pages splits mappings; each part counts."""
    limit = at.machine.number("/proc/sys/vm/max_map_count")
    if limit is None or limit >= 65530:
        return Finding("max_map_count", "ok", str(limit))
    return Finding("max_map_count", "soft", str(limit), "sudo sysctl vm.max_map_count=1048576")


def swap(at: Situation) -> Finding:
    """A page that was swapped out is a disk access inside a measurement."""
    total = at.machine.meminfo_kib("SwapTotal")
    if total:
        return Finding("swap", "soft", f"{total // 1024} MiB", "sudo swapoff -a")
    return Finding("swap", "ok", "none")


def free_memory(at: Situation) -> Finding:
    """The real sizes hold some gigabytes."""
    free = at.machine.meminfo_kib("MemAvailable")
    if free is None:
        return Finding("free_memory", "info", "/proc/meminfo does not say")
    if free < 2 * 1024 * 1024:
        return Finding("free_memory", "soft", f"{free // 1024} MiB", "stay with the quick matrix, or free some memory")
    return Finding("free_memory", "ok", f"{free // 1024} MiB")


def disk_space(at: Situation) -> Finding:
    """A run that cannot write its records is time lost."""
    free = at.machine.free_bytes(at.results)
    if free is None:
        return Finding("disk_space", "info", "cannot be told")
    found = f"{free // (1 << 20)} MiB free for results"
    if free < GIB // 16:
        return Finding("disk_space", "hard", found, "free some space, or name another place with --out")
    return Finding("disk_space", "soft" if free < GIB else "ok", found, "free some space" if free < GIB else "")
