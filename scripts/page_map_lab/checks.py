"""The gate's checks of a machine: each says what was found, how bad it is, and the command that mends it.

Severities: `hard` stops a measurement unless waived, `soft` goes into the record and the report, `info` only into
`lab doctor`, `ok` is fine. On a shared virtual machine nobody can mend noise, so there a hard noise finding is soft.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from page_map_lab import build, paths
from page_map_lab.machine import CpuTicks, Machine

GIB = 1 << 30
GOVERNORS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    severity: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Situation:
    """What the checks may look at besides the machine."""

    machine: Machine
    binaries: Path
    results: Path
    ticks_before: CpuTicks | None = None  # to judge the time since, rather than this moment


def build_type(at: Situation) -> Finding:
    """Only the bench preset may produce numbers."""
    preset = build.preset_of(at.binaries)
    if preset == build.PRESET:
        return Finding("build_type", "ok", "preset bench")
    if preset is None:
        return Finding("build_type", "info", "not built yet, or built elsewhere", "nothing to do: `scripts/lab run` builds the bench preset")
    return Finding("build_type", "hard", f"preset {preset}", "unset PAGE_MAP_LAB_BINARIES, so that the bench preset is used")


def governor(at: Situation) -> Finding:
    """A governor that changes the clock makes time a matter of history."""
    names = {path.read_text().strip() for path in at.machine.glob(GOVERNORS)}
    if not names:
        return Finding("governor", "info", "no cpufreq here: nobody in this system sets the clock")
    if names == {"performance"}:
        return Finding("governor", "ok", "performance")
    return Finding(
        "governor", "hard", ", ".join(sorted(names)),
        "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )


def boost(at: Situation) -> Finding:
    """Boost makes the clock depend on the neighbours' load and on heat."""
    if at.machine.number("/sys/devices/system/cpu/cpufreq/boost") == 1:
        return Finding("boost", "soft", "on", "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost")
    if at.machine.number("/sys/devices/system/cpu/intel_pstate/no_turbo") == 0:
        return Finding("boost", "soft", "turbo on", "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo")
    if at.machine.exists("/sys/devices/system/cpu/cpufreq/boost") or at.machine.exists("/sys/devices/system/cpu/intel_pstate"):
        return Finding("boost", "ok", "off")
    return Finding("boost", "info", "no switch for it here")


def smt(at: Situation) -> Finding:
    """Siblings share a core, so that two threads may have one core's worth."""
    if at.machine.number("/sys/devices/system/cpu/smt/active") == 1:
        return Finding("smt", "soft", "siblings share cores", "echo off | sudo tee /sys/devices/system/cpu/smt/control")
    return Finding("smt", "ok", "no siblings shown")


def hypervisor(at: Situation) -> Finding:
    """Absolute figures of a shared machine belong to nobody."""
    if not at.machine.is_virtual():
        return Finding("hypervisor", "ok", "none")
    return Finding(
        "hypervisor", "soft", "a virtual machine that may share its cores",
        "trust ratios taken in one process; take absolute figures on bare metal",
    )


def steal(at: Situation) -> Finding:
    """Time that the hypervisor gave to others."""
    now, before = at.machine.cpu_ticks(), at.ticks_before or CpuTicks(0, 0)
    if now is None or now.total <= before.total:
        return Finding("steal", "info", "too little time has passed to say" if now else "/proc/stat does not say")
    percent = 100 * (now.steal - before.steal) / (now.total - before.total)
    span = "meanwhile" if at.ticks_before else "since boot"
    if percent > 1:
        return Finding("steal", "hard", f"{percent:.1f} % of the time {span}", "measure when the host is quiet, or on bare metal")
    return Finding("steal", "ok", f"{percent:.1f} % {span}")


def load(at: Situation) -> Finding:
    """Other programs that run now."""
    others = at.machine.others_running()
    if others is None:
        return Finding("load", "info", "/proc/loadavg does not say")
    if others >= 1:
        return Finding("load", "hard", f"{others} other threads want to run", "end them first: `top -o %CPU` shows which")
    return Finding("load", "ok", "nobody else runs")


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


def numa_balancing(at: Situation) -> Finding:
    """NUMA balancing unmaps pages to see who touches them: the very operation under test."""
    nodes = at.machine.numa_nodes()
    if at.machine.number("/proc/sys/kernel/numa_balancing") and nodes > 1:
        return Finding("numa_balancing", "hard", f"on, with {nodes} nodes", "sudo sysctl kernel.numa_balancing=0")
    return Finding("numa_balancing", "ok", "off" if nodes > 1 else "one node, so it does nothing")


def same_page_merging(at: Situation) -> Finding:
    """The merging daemon write-protects pages behind our back."""
    if at.machine.number("/sys/kernel/mm/ksm/run") == 1:
        return Finding("same_page_merging", "soft", "on", "echo 0 | sudo tee /sys/kernel/mm/ksm/run")
    return Finding("same_page_merging", "ok", "off")


def perf_event_paranoid(at: Situation) -> Finding:
    """What an ordinary user may count."""
    level = at.machine.number("/proc/sys/kernel/perf_event_paranoid")
    if level is None:
        return Finding("perf_event_paranoid", "soft", "no perf events in this kernel", "boot a kernel with CONFIG_PERF_EVENTS")
    if level > 1 and at.machine.is_live and os.geteuid() == 0:
        return Finding("perf_event_paranoid", "ok", f"{level}, which does not bind root")
    if level > 1:
        return Finding(
            "perf_event_paranoid", "soft", f"{level}: without root no kernel events, so no flushes and no interrupts",
            "sudo sysctl kernel.perf_event_paranoid=-1",
        )
    return Finding("perf_event_paranoid", "ok", str(level))


def tracefs(at: Situation) -> Finding:
    """The ids of tracepoints are read from here."""
    if at.machine.read("/sys/kernel/tracing/events/tlb/tlb_flush/id"):
        return Finding("tracefs", "ok", "mounted and readable")
    if at.machine.exists("/sys/kernel/tracing/events"):
        return Finding("tracefs", "soft", "not readable, so no tracepoints", "sudo mount -o remount,mode=755 /sys/kernel/tracing")
    return Finding("tracefs", "soft", "not mounted, so no tracepoints", "sudo mount -t tracefs nodev /sys/kernel/tracing")


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


def nmi_watchdog(at: Situation) -> Finding:
    """The watchdog takes one hardware counter away."""
    if at.machine.number("/proc/sys/kernel/nmi_watchdog") == 1 and at.machine.has_pmu():
        return Finding("nmi_watchdog", "soft", "on, and holds a hardware counter", "sudo sysctl kernel.nmi_watchdog=0")
    return Finding("nmi_watchdog", "ok", "off, or there is no counter to take")


def disk_space(at: Situation) -> Finding:
    """A run that cannot write its records is time lost."""
    free = at.machine.free_bytes(at.results)
    if free is None:
        return Finding("disk_space", "info", "cannot be told")
    found = f"{free // (1 << 20)} MiB free for results"
    if free < GIB // 16:
        return Finding("disk_space", "hard", found, "free some space, or name another place with --out")
    return Finding("disk_space", "soft" if free < GIB else "ok", found, "free some space" if free < GIB else "")


def hardware_counters(at: Situation) -> Finding:
    """Cycles, TLB and cache events."""
    if not at.machine.has_pmu():
        return Finding(
            "hardware_counters", "soft", "no PMU here: cycles, TLB and cache counters are absent",
            "use a machine, or a virtual machine type, that shows its PMU",
        )
    why = at.machine.counter_error(0, 0, with_kernel=False) if at.machine.is_live else None
    if why:
        return Finding("hardware_counters", "soft", f"denied: {why}", "sudo sysctl kernel.perf_event_paranoid=-1")
    return Finding("hardware_counters", "ok", "usable")


def software_counters(at: Situation) -> Finding:
    """Page faults and context switches, of the kernel's own counting."""
    why = at.machine.counter_error(1, 2, with_kernel=True) if at.machine.is_live else None
    if why:
        return Finding("software_counters", "soft", f"denied: {why}", "sudo sysctl kernel.perf_event_paranoid=-1")
    return Finding("software_counters", "ok", "usable")


def tracepoint_counters(at: Situation) -> Finding:
    """Flushes and interrupts, by tracepoint."""
    event = at.machine.number("/sys/kernel/tracing/events/tlb/tlb_flush/id")
    if event is None:
        return Finding("tracepoint_counters", "soft", "absent: the id of tlb_flush cannot be read", "see tracefs")
    why = at.machine.counter_error(2, event, with_kernel=True) if at.machine.is_live else None
    if why:
        return Finding("tracepoint_counters", "soft", f"denied: {why}", "sudo sysctl kernel.perf_event_paranoid=-1")
    return Finding("tracepoint_counters", "ok", "usable")


def interrupt_counters(at: Situation) -> Finding:
    """The rows of /proc/interrupts that prove a shootdown."""
    text = at.machine.read("/proc/interrupts") or ""
    rows = [name for name in ("TLB", "CAL", "RES") if f"{name}:" in text]
    if "TLB" in rows:
        return Finding("interrupt_counters", "ok", "rows " + ", ".join(rows))
    return Finding("interrupt_counters", "soft", "no TLB row in /proc/interrupts", "tracepoints say it instead, where usable")


CHECKS: tuple[Callable[[Situation], Finding], ...] = (
    build_type, governor, boost, smt, hypervisor, steal, load, transparent_huge_pages, numa_balancing,
    same_page_merging, perf_event_paranoid, tracefs, max_map_count, swap, free_memory, nmi_watchdog, disk_space,
    hardware_counters, software_counters, tracepoint_counters, interrupt_counters,
)  # fmt: skip
NAMES = tuple(check.__name__ for check in CHECKS)
# Hard whoever owns the machine: they are not noise.
_ALWAYS_HARD = {"build_type", "disk_space"}


def examine(at: Situation) -> list[Finding]:
    """The findings of every check."""
    findings = [check(at) for check in CHECKS]
    if not at.machine.is_virtual():
        return findings
    return [
        Finding(finding.check, "soft", finding.found + " (shared virtual machine)", finding.advice)
        if finding.severity == "hard" and finding.check not in _ALWAYS_HARD
        else finding
        for finding in findings
    ]


def situation(root: Path = Path("/"), results: Path | None = None, ticks_before: CpuTicks | None = None) -> Situation:
    """The situation as it is now."""
    return Situation(Machine(root), paths.binaries_folder(), results or paths.RESULTS, ticks_before)


def verdict(findings: list[Finding], waived: list[str]) -> str:
    """`hard`, `soft` or `pass`: the worst that was not waived."""
    severities = {
        "soft" if finding.check in waived or "all" in waived else finding.severity
        for finding in findings
        if finding.severity in ("hard", "soft")
    }
    return "hard" if "hard" in severities else "soft" if severities else "pass"


def as_gate(findings: list[Finding], waived: list[str]) -> dict:
    """The findings as a record keeps them: only what is not fine; what was waived says so."""
    kept = []
    for finding in findings:
        if finding.severity in ("hard", "soft"):
            entry = asdict(finding)
            if finding.severity == "hard" and (finding.check in waived or "all" in waived):
                entry["severity"] = "soft"
                entry["found"] += " (hard, but waived)"
            kept.append(entry)
    return {"verdict": verdict(findings, waived), "findings": kept}
