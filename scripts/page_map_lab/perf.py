"""Calls `perf`: which event it can sample here, and its reports as text."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from page_map_lab.machine import Machine

HOTTEST = 3
WIDEST = 120
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Profile:
    """What perf says of one variant."""

    variant: str
    functions: str  # by own time
    callers: str  # by call graph
    annotated: list[tuple[str, str]]  # the hottest functions and their instructions


def why_absent() -> str | None:
    """Why perf cannot be used here; None when it can."""
    if shutil.which("perf") is None:
        return "perf is not installed: sudo apt-get install linux-perf"
    tried = subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "--", "true"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if tried.returncode:
        return "perf may not sample: sudo sysctl kernel.perf_event_paranoid=-1, or run as root"
    return None


def event(machine: Machine) -> str:
    """Cycles with a PMU, else the clock."""
    return "cycles" if machine.has_pmu() else "cpu-clock"


def record_command(folder: Path, sampled: str, frequency: int, command: list[str]) -> list[str]:
    """The command line that runs another under perf, with call graphs by frame pointer."""
    options = ["-e", sampled, "-F", str(frequency), "--call-graph", "fp", "-o", str(folder / "perf.data")]
    return ["perf", "record", "-q", *options, "--", *command]


def _say(folder: Path, name: str, *arguments: str) -> str:
    command = ["perf", *arguments, "-i", str(folder / "perf.data"), "--stdio"]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False)
    text = said.stdout if said.returncode == 0 else f"perf failed: {said.stderr.strip()}\n"
    lines = [line.rstrip() for line in text.splitlines() if line.strip(" #")]
    # perf rules its columns as wide as the longest C++ name.
    text = "\n".join(line[:WIDEST] if line.startswith("#") else line for line in lines) + "\n"
    (folder / name).write_text(text, encoding="utf-8")
    return text


def hottest(functions: str) -> list[str]:
    """The user functions with the most own time, of perf's list."""
    found = re.findall(r"^\s*\d+\.\d+%\s+\[\.\]\s+(\S.*)$", functions, re.MULTILINE)
    return [name.strip() for name in found[:HOTTEST]]


def texts(folder: Path, variant: str) -> Profile:
    """The reports of a folder that holds perf.data; each is also kept as a text file there."""
    functions = _say(folder, "functions.txt", "report", "--no-children", "-g", "none", "-F", "overhead,sym", "--percent-limit", "0.5")
    callers = _say(folder, "callers.txt", "report", "--children", "-g", "caller,0.5,callee,function,percent", "--percent-limit", "2")
    annotated = [
        (symbol, _say(folder, f"annotated-{number}.txt", "annotate", "-s", symbol))
        for number, symbol in enumerate(hottest(functions), 1)
    ]
    return Profile(variant, functions, callers, annotated)
