"""The gate's checks of what can be counted."""

import os

from page_map_lab.finding import Finding, Situation


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


def kptr_restrict(at: Situation) -> Finding:
    """A profile names the kernel's functions only where their addresses may be read."""
    level = at.machine.number("/proc/sys/kernel/kptr_restrict")
    if level == 2 or (level == 1 and not (at.machine.is_live and os.geteuid() == 0)):
        return Finding(
            "kptr_restrict", "soft", f"{level}: a profile cannot name the kernel's functions", "sudo sysctl kernel.kptr_restrict=0"
        )
    return Finding("kptr_restrict", "ok", "absent from this kernel" if level is None else str(level))


def tracefs(at: Situation) -> Finding:
    """The ids of tracepoints are read from here."""
    if at.machine.read("/sys/kernel/tracing/events/tlb/tlb_flush/id"):
        return Finding("tracefs", "ok", "mounted and readable")
    if at.machine.exists("/sys/kernel/tracing/events"):
        return Finding("tracefs", "soft", "not readable, so no tracepoints", "sudo mount -o remount,mode=755 /sys/kernel/tracing")
    return Finding("tracefs", "soft", "not mounted, so no tracepoints", "sudo mount -t tracefs nodev /sys/kernel/tracing")


def nmi_watchdog(at: Situation) -> Finding:
    """The watchdog takes one hardware counter away."""
    if at.machine.number("/proc/sys/kernel/nmi_watchdog") == 1 and at.machine.has_pmu():
        return Finding("nmi_watchdog", "soft", "on, and holds a hardware counter", "sudo sysctl kernel.nmi_watchdog=0")
    return Finding("nmi_watchdog", "ok", "off, or there is no counter to take")


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
