"""What `calibrate` measured of this machine: how steady a processor is, and which processors share a core."""

import json
import os
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page_map_lab.machine import Machine

PROGRAM = "calibrate"
TIMEOUT_S = 20
SHARES_BELOW = 1.6  # times the work of one processor: two cores do 2, siblings hardly more than 1
MEANING = "scaling beyond {} is not visible here"


@dataclass(frozen=True)
class Drift:
    """The times of equal rounds of work, one after the other."""

    round_ns: tuple[float, ...]

    @property
    def typical_ns(self) -> float:
        """The median."""
        return statistics.median(self.round_ns)

    @property
    def spread_percent(self) -> float:
        """From the tenth to the ninetieth percentile, of the median."""
        tenths = statistics.quantiles(self.round_ns, n=10)
        return 100 * (tenths[-1] - tenths[0]) / self.typical_ns

    @property
    def trend_percent(self) -> float:
        """How much slower the last third was than the first."""
        third = max(1, len(self.round_ns) // 3)
        first, last = statistics.median(self.round_ns[:third]), statistics.median(self.round_ns[-third:])
        return 100 * (last - first) / first


@dataclass(frozen=True)
class Sharing:
    """What pairs of processors did together, in processors' worth, over several looks; empty where none was proven."""

    cpus: tuple[int, ...]
    pairs: dict[tuple[int, int], tuple[float, ...]]
    pairs_left_out: int = 0  # suspects for which there was no time

    def shared_pairs(self) -> list[tuple[int, int]]:
        """The pairs that are siblings: typically they do hardly more than one."""
        return [pair for pair, looks in self.pairs.items() if looks and statistics.median(looks) < SHARES_BELOW]

    def sometimes_shared_pairs(self) -> list[tuple[int, int]]:
        """The pairs that were siblings in some looks only: a hypervisor moves its processors about."""
        shared = self.shared_pairs()
        return [pair for pair, looks in self.pairs.items() if pair not in shared and looks and min(looks) < SHARES_BELOW]

    def cores(self) -> list[list[int]]:
        """The processors, those that share a core together."""
        groups = [{cpu} for cpu in self.cpus]
        for pair in self.shared_pairs():
            touched = [group for group in groups if group & set(pair)]
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
        return sorted(sorted(group) for group in groups)

    def sentence(self) -> str | None:
        """What the report says where processors share a core although the topology does not say so."""
        shared = self.shared_pairs()
        if not shared:
            return None
        groups = [group for group in self.cores() if len(group) > 1]
        together = statistics.median(look for pair in shared for look in self.pairs[pair])
        names = "; ".join(", ".join(map(str, group)) for group in groups)
        count = len(self.cores())
        return (
            f"CPUs {names} share a core by measurement ({together:.2f} times the work of one when two run at once), "
            f"although the topology does not say so: {MEANING.format('one core' if count == 1 else f'{count} cores')}"
        )


@dataclass(frozen=True)
class Calibration:
    """One run of `calibrate`; a part that was not measured is None."""

    drift: Drift | None
    sharing: Sharing | None = None

    def as_record(self) -> dict[str, Any]:
        """The facts as the gate's block of a record keeps them."""
        sharing = self.sharing
        return {
            "round_ns": self.drift.typical_ns if self.drift else None,
            "core_sharing": None if sharing is None else {
                "cpus": list(sharing.cpus),
                "pairs": [{"cpus": list(pair), "throughputs": list(looks)} for pair, looks in sharing.pairs.items()],
                "pairs_left_out": sharing.pairs_left_out,
                "cores": sharing.cores(),
                "sentence": sharing.sentence(),
            },
        }  # fmt: skip


def parse(text: str) -> Calibration:
    """What the program printed. Raises ValueError or KeyError for anything else."""
    said = json.loads(text)
    rounds = tuple(float(value) for value in said["drift"]["round_ns"])
    found = said.get("sharing")
    sharing = found and Sharing(
        tuple(found["cpus"]),
        {(entry["cpus"][0], entry["cpus"][1]): tuple(entry["throughputs"]) for entry in found["pairs"]},
        found["pairs_left_out"],
    )
    return Calibration(Drift(rounds) if len(rounds) > 5 else None, sharing or None)


def measure(binaries: Path, machine: Machine, drift_only: bool = False) -> Calibration | None:
    """Runs the program; None where it is not built, or cannot measure here."""
    program = binaries / PROGRAM
    if not machine.is_live or not program.is_file():
        return None
    # One processor of each core that the topology declares: declared siblings need no measurement.
    cpus = machine.one_cpu_a_core(os.sched_getaffinity(0))
    command = [str(program), "--cpus", ",".join(map(str, cpus)), *(["--drift-only"] if drift_only else [])]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return parse(finished.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
