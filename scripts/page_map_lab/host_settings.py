"""The settings of a host that `lab tune-host` changes for the time of a command, and those that it leaves alone, and why."""

from dataclasses import dataclass
from pathlib import Path

from page_map_lab.machine import IRQ_AFFINITY, Machine, chosen, ranges_text

# The checks of the gate whose findings it mends.
TUNED = {
    "governor", "boost", "numa_balancing", "transparent_huge_pages", "shared_memory_huge_pages", "same_page_merging",
    "nmi_watchdog", "perf_event_paranoid", "kptr_restrict", "max_map_count", "irq_affinity",
}  # fmt: skip

LEFT_ALONE = {
    "swap": "emptying it can end programs for want of memory, and swappiness does not keep pages in: `sudo swapoff -a` where all fits",
    "address space layout": "stays random: luck with it has to show as variance, not as a result",
    "smt": "taking processors away disturbs what runs: `echo off | sudo tee /sys/devices/system/cpu/smt/control`",
    "isolated_cpus, tickless": "decided when the kernel boots: `lab doctor` names the parameters",
}

ENOUGH_MAPPINGS = 65530


@dataclass(frozen=True)
class Change:
    """One file, what it says, and what it is to say. `path` is below the root."""

    name: str
    path: str
    before: str
    wanted: str


@dataclass(frozen=True)
class Remark:
    """A setting that needs no change or cannot have one."""

    name: str
    found: str


@dataclass(frozen=True)
class TuningPlan:
    """What would be changed, and what would not."""

    changes: list[Change]
    remarks: list[Remark]


def value_at(root: Path, path: str) -> str | None:
    """What the file says now; None where it cannot be read."""
    text = Machine(root).read(path)
    return None if text is None else chosen(text)


def _single(machine: Machine, plan: TuningPlan, name: str, path: str, wanted: str, unless: set[str] | None = None) -> None:
    """One file; values in `unless` are as good as the wanted one."""
    text = machine.read(path)
    if text is None:
        plan.remarks.append(Remark(name, "absent from this kernel"))
    elif chosen(text) in {wanted, *(unless or set())}:
        plan.remarks.append(Remark(name, f"already {chosen(text)}"))
    else:
        plan.changes.append(Change(name, path, chosen(text), wanted))


def _files(machine: Machine, plan: TuningPlan, name: str, pattern: str, wanted: str, absent: str) -> None:
    """Many files of one kind."""
    paths = ["/" + str(path.relative_to(machine.root)) for path in machine.glob(pattern)]
    values = {path: chosen(machine.read(path) or "") for path in paths}
    if not paths:
        plan.remarks.append(Remark(name, absent))
    elif set(values.values()) == {wanted}:
        plan.remarks.append(Remark(name, f"already {wanted}"))
    plan.changes.extend(Change(name, path, value, wanted) for path, value in values.items() if value and value != wanted)


def _interrupts(machine: Machine, plan: TuningPlan, measured: list[int]) -> None:
    if not measured:
        plan.remarks.append(Remark("irq_affinity", "left as it is: --cpus LIST names the processors to keep device interrupts from"))
        return
    rest = [cpu for cpu in machine.online_cpus() if cpu not in measured]
    if not rest:
        plan.remarks.append(Remark("irq_affinity", "left as it is: every processor is measured, so that none is left to serve interrupts"))
        return
    served = machine.interrupt_cpus()
    touching = {name: cpus for name, cpus in served.items() if set(cpus) & set(measured)}
    if not touching:
        plan.remarks.append(Remark("irq_affinity", f"no device interrupt comes to CPUs {ranges_text(measured)}"))
    for name, cpus in sorted(touching.items(), key=lambda item: int(item[0])):
        wanted = [cpu for cpu in cpus if cpu in rest] or rest
        path = IRQ_AFFINITY.replace("[0-9]*", name)
        plan.changes.append(Change("irq_affinity", path, machine.read(path) or "", ranges_text(wanted)))


def make_plan(root: Path, measured: list[int]) -> TuningPlan:
    """What `lab tune-host` would do on this machine. `measured`: processors to keep device interrupts from."""
    machine = Machine(root)
    plan = TuningPlan([], [])
    cpufreq = "/sys/devices/system/cpu/cpufreq"
    governors = f"{cpufreq}/policy[0-9]*/scaling_governor"
    if not machine.glob(governors):
        governors = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"
    _files(machine, plan, "governor", governors, "performance", "absent: nobody in this system sets the clock")
    # Intel's switch is the other way round; amd_pstate has one for each policy, older drivers one for all.
    if machine.exists("/sys/devices/system/cpu/intel_pstate/no_turbo"):
        _single(machine, plan, "boost", "/sys/devices/system/cpu/intel_pstate/no_turbo", "1")
    elif machine.exists(f"{cpufreq}/boost"):
        _single(machine, plan, "boost", f"{cpufreq}/boost", "0")
    else:
        _files(machine, plan, "boost", f"{cpufreq}/policy[0-9]*/boost", "0", "absent: no switch for it here")
    _single(machine, plan, "numa_balancing", "/proc/sys/kernel/numa_balancing", "0")
    _single(machine, plan, "transparent_huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled", "madvise", {"never"})
    shared = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
    _single(machine, plan, "shared_memory_huge_pages", shared, "advise", {"never", "deny"})
    _single(machine, plan, "same_page_merging", "/sys/kernel/mm/ksm/run", "0")
    _single(machine, plan, "nmi_watchdog", "/proc/sys/kernel/nmi_watchdog", "0")
    _single(machine, plan, "perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid", "-1")
    _single(machine, plan, "kptr_restrict", "/proc/sys/kernel/kptr_restrict", "0")
    mappings = machine.number("/proc/sys/vm/max_map_count")
    if mappings is None or mappings < ENOUGH_MAPPINGS:
        _single(machine, plan, "max_map_count", "/proc/sys/vm/max_map_count", "1048576")
    else:
        plan.remarks.append(Remark("max_map_count", f"already {mappings}"))
    _interrupts(machine, plan, measured)
    return plan
