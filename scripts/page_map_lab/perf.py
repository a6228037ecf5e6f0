"""Calls `perf`: which event it can sample here, and its reports as text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from page_map_lab.machine import Machine
from page_map_lab.perf_script import TraceEvent, read_events

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


class Control:
    """The two FIFOs through which a benchmark switches perf on at the start of what it measures and off at its end."""

    def __init__(self, folder: Path) -> None:
        self.commands, self.answers = folder / "control.fifo", folder / "answers.fifo"

    def __enter__(self) -> Control:
        for path in (self.commands, self.answers):
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        return self

    def __exit__(self, *_: object) -> None:
        for path in (self.commands, self.answers):
            path.unlink(missing_ok=True)

    @property
    def of_perf(self) -> list[str]:
        """perf's options: begin switched off. In one word each, since `perf mem` and `perf c2c` pass on only such as they are."""
        return ["--delay=-1", f"--control=fifo:{self.commands},{self.answers}"]

    @property
    def of_benchmark(self) -> list[str]:
        """The benchmark's option."""
        return ["--profiler-control", f"{self.commands},{self.answers}"]


def record_command(data: Path, events: list[str], control: Control, command: list[str]) -> list[str]:
    """The command line that runs a benchmark under perf; `events` are perf's options for what to record."""
    # By the clock of the benchmark's own marks.
    return switched_command(["record", "-q", "--clockid=CLOCK_MONOTONIC", *events], data, control, command)


def switched_command(words: list[str], target: Path, control: Control, command: list[str]) -> list[str]:
    """The command line that runs a benchmark under any of perf's commands that record: its steady state goes into the target."""
    return ["perf", *words, *control.of_perf, f"--output={target}", "--", *command, *control.of_benchmark]


def sampling(event: str, frequency: int) -> list[str]:
    """Samples of an event with call graphs by frame pointer: so many a second, or every one of a tracepoint."""
    every = ["-c", "1"] if ":" in event else ["-F", str(frequency)]
    return ["-e", event, *every, "--sample-cpu", "--call-graph", "fp"]


def why_not_event(event: str) -> str | None:
    """Why perf cannot record an event here; None when it can."""
    return why_not(["record", "-q", "-e", event])


def why_not(words: list[str]) -> str | None:
    """Why a command of perf's cannot record here; None when it can."""
    tried = subprocess.run(
        ["perf", *words, "--output=/dev/null", "--", "true"], capture_output=True, text=True, timeout=60, check=False
    )
    if tried.returncode == 0:
        return None
    lines = [line.strip() for line in tried.stderr.splitlines()]
    said = (line for line in lines if line and line != "Error:" and not line.startswith(("Run 'perf", "Usage", "event syntax")))
    return next(said, f"perf {' '.join(words)} fails")[:160]


def report(name: str, data: Path) -> str:
    """What `perf NAME report` says of a file that `perf NAME record` wrote."""
    command = ["perf", name, "report", "--stdio", "-i", str(data)]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False)
    return said.stdout if said.returncode == 0 else f"perf failed: {said.stderr.strip()}\n"


def events_of(data: Path, fields: str, more: Iterable[str] = ()) -> list[TraceEvent]:
    """What a perf.data holds."""
    command = ["perf", "script", "-i", str(data), "--ns", *more, "-F", fields]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False)
    return list(read_events(said.stdout.splitlines()))


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
