"""Runs the lab as a user does, with fake binaries unless told otherwise, and with a gate that finds nothing to object to."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from made_up_machine import machine

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 900  # ends what hangs; a busy machine takes minutes for a profiling session
LAB = ROOT / "scripts" / "lab"  # the user's own command, whose gate sees this machine

_quiet = tempfile.TemporaryDirectory(prefix="page_map_lab-quiet-")
QUIET_LAB = [sys.executable, str(Path(__file__).with_name("quiet_lab.py")), str(machine(Path(_quiet.name)))]


@dataclass(frozen=True)
class Finished:
    """How a run of the lab ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    def failed_with(self, code: int, *words: str) -> bool:
        """Whether it failed as it should: that exit code, and one line on stderr that says all the words."""
        one_line = self.err.count("\n") == 1 and "Traceback" not in self.err
        return self.code == code and one_line and all(word in self.err for word in words)


def environment(binaries: Path, **more: str) -> dict[str, str]:
    """The environment that the lab is run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAKE_", "PAGE_MAP_LAB_"))}
    # What a killed tune-host left on this machine is its user's to find, not a test's.
    return {**kept, "PAGE_MAP_LAB_BINARIES": str(binaries), "PAGE_MAP_LAB_STATE": _quiet.name, **more}


def lab(binaries: Path, *arguments: str, **more: str) -> Finished:
    """Runs the lab to its end."""
    finished = subprocess.run(
        [*QUIET_LAB, *arguments], capture_output=True, text=True, env=environment(binaries, **more), timeout=PATIENCE_S, check=False
    )
    return Finished(finished.returncode, finished.stdout, finished.stderr)
