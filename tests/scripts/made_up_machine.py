"""Made-up machines: the files of /proc and /sys that the gate reads, below a folder of their own."""

from collections.abc import Callable
from pathlib import Path

from page_map_lab import calibration, checks
from page_map_lab.machine import Machine

QUIET = {
    "proc/cpuinfo": "flags : fpu vme",
    "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
    "proc/loadavg": "0.00 0.00 0.00 0/100 1",
    "proc/meminfo": "MemAvailable: 8000000 kB\nSwapTotal: 0 kB",
    "proc/interrupts": "TLB: 1 2\nCAL: 1 2\nRES: 1 2",
    "proc/sys/kernel/numa_balancing": "0",
    "proc/sys/kernel/perf_event_paranoid": "-1",
    "proc/sys/kernel/nmi_watchdog": "0",
    "proc/sys/vm/max_map_count": "65530",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/cpufreq/boost": "0",
    "sys/devices/system/cpu/smt/active": "0",
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/cpu/isolated": "2-3",
    "sys/devices/system/cpu/nohz_full": "2-3",
    **{f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": str(cpu) for cpu in range(4)},
    **{f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count": "0" for cpu in range(4)},
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
    "sys/class/thermal/thermal_zone0/temp": "45000",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "100000",
    "proc/irq/24/smp_affinity_list": "0-1",
    "proc/irq/25/smp_affinity_list": "1",
    "proc/sys/kernel/kptr_restrict": "0",
    "sys/devices/system/node/node0/meminfo": "",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force",
    "sys/kernel/mm/ksm/run": "0",
    "sys/kernel/tracing/events/tlb/tlb_flush/id": "300",
    "sys/bus/event_source/devices/cpu/type": "4",
}


def machine(root: Path, **changes: str | None) -> Path:
    """A quiet machine's files with some changed; `__` stands for `/`, None takes the file away."""
    files: dict[str, str | None] = {**QUIET, **{name.replace("__", "/"): text for name, text in changes.items()}}
    for name, text in files.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
    return root


def show_to_the_gate(root: Path, replace: Callable[[object, str, object], None] = setattr) -> None:
    """From now on the gate of this process judges the machine below `root` instead of the one that we run on, whatever that one
    is busy with; only what `calibrate` says, which in tests is no program of ours, is still asked for."""
    situation, measure = checks.situation, calibration.measure
    replace(checks, "situation", lambda at=Path("/"), **more: situation(root if at == Path("/") else at, **more))
    replace(calibration, "measure", lambda binaries, _, drift_only=False: measure(binaries, Machine(), drift_only))
