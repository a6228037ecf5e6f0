"""What one check of the gate found, and what the checks may look at."""

from dataclasses import dataclass
from pathlib import Path

from page_map_lab.calibration import Calibration
from page_map_lab.machine import CpuTicks, Machine


@dataclass(frozen=True)
class Finding:
    """What one check found. `softened` says why a hard finding does not stop a measurement: those stay flagged."""

    check: str
    severity: str
    found: str
    advice: str = ""
    softened: str = ""


@dataclass(frozen=True)
class Situation:
    """What the checks may look at besides the machine; with what was so before a launch they judge the time since."""

    machine: Machine
    binaries: Path
    results: Path
    ticks_before: CpuTicks | None = None
    throttled_before: int | None = None
    calibration: Calibration | None = None  # None: nobody measured
    round_ns_before: float | None = None
