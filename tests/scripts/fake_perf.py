#!/usr/bin/env python3
"""A `perf` that a test puts on the PATH: it keeps its arguments, writes the file that it was asked for, and says what it is told to.

FAKE_PERF_FOLDER holds `calls`, one JSON list a line, and what `perf script` prints of a file, as `script-STEM`. Whatever has a word of
FAKE_PERF_REFUSES among its arguments fails, as perf does where the processor or the kernel does not let it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each call is a process of its own, and loading pytest takes a second
    import pytest


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, refuses: str = "") -> Path:
    """Puts it first on the PATH, and returns the folder in which it keeps its calls."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    perf = tools / "perf"
    perf.write_text(f"#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} \"$@\"\n", encoding="utf-8")
    perf.chmod(perf.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_PERF_FOLDER", str(tools))
    monkeypatch.setenv("FAKE_PERF_REFUSES", refuses)
    return tools


def calls(tools: Path) -> list[list[str]]:
    """The arguments of each call so far."""
    return [json.loads(line) for line in (tools / "calls").read_text(encoding="utf-8").splitlines()]


def main(arguments: list[str]) -> int:
    """One call."""
    folder = Path(os.environ["FAKE_PERF_FOLDER"])
    with (folder / "calls").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(arguments) + "\n")
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if any(word in " ".join(own) for word in os.environ["FAKE_PERF_REFUSES"].split()):
        sys.stderr.write("Error:\nNo permission to enable this event.\n")
        return 255
    for word in own:
        if word.startswith("--output="):
            Path(word.removeprefix("--output=")).write_text(f"recorded by perf {own[0]}\n", encoding="utf-8")
        if word.startswith("--control=fifo:"):
            assert all(Path(fifo).is_fifo() for fifo in word.removeprefix("--control=fifo:").split(","))
    if own[0] == "script":
        said = folder / f"script-{Path(own[own.index('-i') + 1]).stem}"
        sys.stdout.write(said.read_text(encoding="utf-8") if said.exists() else "")
    elif "report" in own:
        sys.stdout.write(f"what perf {own[0]} found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
