"""The facts of a machine that the gate judges, read below a root that tests replace with a made-up one."""

import ctypes
import os
import re
import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path

IRQ_AFFINITY = "/proc/irq/[0-9]*/smp_affinity_list"
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}


@dataclass(frozen=True)
class CpuTicks:
    """Ticks of all processors since boot, from the first line of /proc/stat."""

    total: int
    steal: int


_HOT_CPU_SENSORS = ("coretemp", "k10temp", "zenpower")
_USUAL_LIMIT_CELSIUS = 100.0


def _numbers(text: str) -> list[int]:
    """The numbers of a list as the kernel writes it: `0-3,8`."""
    ends = [part.partition("-") for part in text.split(",") if part]
    return [number for low, _, high in ends for number in range(int(low), int(high or low) + 1)]


def ranges_text(numbers: list[int]) -> str:
    """Rising numbers as the kernel writes them."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def chosen(text: str) -> str:
    """The value of a setting: of `always [madvise] never` the one in brackets."""
    return text.partition("[")[2].partition("]")[0] if "[" in text else text.strip()


def _is_heat(text: str) -> bool:
    return text.isdigit() and int(text) > 0


class Machine:
    """One machine, live when the root is `/`."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        """The folder that stands for `/`."""
        return self._root

    @property
    def is_live(self) -> bool:
        """Whether this is the machine we run on, so that probing it by system calls means something."""
        return self._root == Path("/")

    def read(self, path: str) -> str | None:
        """The text of a file below the root, without the white space around it; None when it cannot be read."""
        try:
            return (self._root / path.lstrip("/")).read_text(errors="replace").strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        """The number in a file below the root."""
        text = self.read(path)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def glob(self, pattern: str) -> list[Path]:
        """The paths below the root that match."""
        return sorted(self._root.glob(pattern.lstrip("/")))

    def exists(self, path: str) -> bool:
        """Whether the path is there."""
        try:
            return (self._root / path.lstrip("/")).exists()
        except OSError:
            return False

    def meminfo_kib(self, field: str) -> int | None:
        """One field of /proc/meminfo, in KiB."""
        for line in (self.read("/proc/meminfo") or "").splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return None

    def is_virtual(self) -> bool:
        """Whether a hypervisor is below this system."""
        return " hypervisor" in (self.read("/proc/cpuinfo") or "") or self.exists("/sys/hypervisor/type")

    def numa_nodes(self) -> int:
        """The number of memory nodes, at least one."""
        return max(1, len(self.glob("/sys/devices/system/node/node[0-9]*")))

    def places(self, allowed: set[int]) -> list[tuple[str, str]]:
        """Pairs of a processor and of memory, as --plan and --memory take them, that tell what remote memory costs: from each
        node its own memory, interleaved, and that of each other node. None where there is one node."""
        nodes = "/sys/devices/system/node"
        with_memory = _numbers(self.read(f"{nodes}/has_memory") or "")
        found = []
        for node in sorted(int(path.name.removeprefix("node")) for path in self.glob(f"{nodes}/node[0-9]*")):
            processors = [cpu for cpu in _numbers(self.read(f"{nodes}/node{node}/cpulist") or "") if cpu in allowed]
            if processors and len(with_memory) > 1:
                memories = ["local", "interleave", *(f"node:{other}" for other in with_memory if other != node)]
                found += [(f"list:{processors[0]}", memory) for memory in memories]
        return found

    def cpu_list(self, path: str) -> list[int]:
        """The processors that a file lists; none where it is absent, empty or no list."""
        text = self.read(path) or ""
        return _numbers(text) if re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text) else []

    def online_cpus(self) -> list[int]:
        """The processors that run."""
        return self.cpu_list("/sys/devices/system/cpu/online")

    def sibling_groups(self) -> list[list[int]]:
        """The processors of each core as the topology declares them."""
        pattern = "/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list"
        groups = {tuple(self.cpu_list(str(path.relative_to(self._root)))) for path in self.glob(pattern)}
        return sorted(list(group) for group in groups if group)

    def one_cpu_a_core(self, allowed: set[int]) -> list[int]:
        """The first allowed processor of each declared core."""
        groups = self.sibling_groups()
        known = {cpu for group in groups for cpu in group}
        groups += [[cpu] for cpu in allowed - known]
        return sorted(min(set(group) & allowed) for group in groups if set(group) & allowed)

    def interrupt_cpus(self) -> dict[str, list[int]]:
        """The processors to which each device interrupt may come."""
        found = {path.parent.name: self.cpu_list(str(path.relative_to(self._root))) for path in self.glob(IRQ_AFFINITY)}
        return {name: cpus for name, cpus in found.items() if cpus}

    def temperatures(self) -> list[tuple[str, float, float]]:
        """The processors' sensors: name, temperature, and the limit, in degrees Celsius."""
        found = []
        for zone in self.glob("/sys/class/thermal/thermal_zone*"):
            kind = self._text_in(zone / "type")
            if re.search(r"cpu|pkg|acpitz|soc", kind, re.IGNORECASE):
                limits = [
                    self._text_in(trip.with_name(trip.name.replace("_type", "_temp")))
                    for trip in zone.glob("trip_point_*_type")
                    if self._text_in(trip) in ("critical", "hot", "passive")
                ]
                found.append((kind, self._text_in(zone / "temp"), limits))
        for sensor in self.glob("/sys/class/hwmon/hwmon*"):
            name = self._text_in(sensor / "name")
            if name in _HOT_CPU_SENSORS:
                for reading in sensor.glob("temp*_input"):
                    limits = [self._text_in(reading.with_name(reading.name.replace("_input", end))) for end in ("_crit", "_max")]
                    found.append((name, self._text_in(reading), limits))
        return [
            (name, int(temperature) / 1000, min([int(limit) / 1000 for limit in limits if _is_heat(limit)], default=_USUAL_LIMIT_CELSIUS))
            for name, temperature, limits in found
            if _is_heat(temperature)
        ]

    def throttle_count(self) -> int | None:
        """How often processors were slowed down for their heat since boot; None where nobody counts."""
        counts = [
            self._text_in(path)
            for path in self.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
        ]
        return sum(int(count) for count in counts if count.isdigit()) if counts else None

    def _text_in(self, path: Path) -> str:
        return self.read(str(path.relative_to(self._root))) or ""

    def has_pmu(self) -> bool:
        """Whether the kernel offers hardware counters."""
        devices = "/sys/bus/event_source/devices"
        return any(self.exists(f"{devices}/{name}") for name in ("cpu", "cpu_core")) or bool(
            self.glob(f"{devices}/armv8*")
        )

    def cpu_ticks(self) -> CpuTicks | None:
        """The ticks so far."""
        words = (self.read("/proc/stat") or "").split("\n")[0].split()
        if len(words) < 9 or words[0] != "cpu":
            return None
        ticks = [int(word) for word in words[1:9]]
        return CpuTicks(sum(ticks), ticks[7])

    def others_running(self, samples: int = 7, pause_s: float = 0.01) -> int | None:
        """How many threads other than ours run or want to: the median of a few looks."""
        seen = []
        for _ in range(samples if self.is_live else 1):
            words = (self.read("/proc/loadavg") or "").split()
            if len(words) < 4 or "/" not in words[3]:
                return None
            seen.append(int(words[3].split("/")[0]) - (1 if self.is_live else 0))
            if self.is_live:
                time.sleep(pause_s)
        return max(0, sorted(seen)[len(seen) // 2])

    def free_bytes(self, folder: Path) -> int | None:
        """Free space where the folder is, or will be."""
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    def counter_error(self, kind: int, event: int, with_kernel: bool) -> str | None:
        """Why an event of perf's kind cannot be opened for this thread; None when it can."""
        number = _PERF_EVENT_OPEN.get(os.uname().machine)
        if number is None:
            return "unknown architecture"
        exclude_kernel = 0 if with_kernel else 1 << 5
        attribute = struct.pack("IIQQQQQ", kind, 128, event, 0, 0, 0, 1 | exclude_kernel).ljust(128, b"\0")
        system = ctypes.CDLL(None, use_errno=True)
        descriptor = system.syscall(number, ctypes.create_string_buffer(attribute, 128), 0, -1, -1, 8)
        if descriptor < 0:
            return os.strerror(ctypes.get_errno())
        os.close(descriptor)
        return None
