"""Runs `scripts/lab` as a user does, with fake binaries unless told otherwise."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "scripts" / "lab"


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
    return {**kept, "PAGE_MAP_LAB_BINARIES": str(binaries), **more}


def lab(binaries: Path, *arguments: str, **more: str) -> Finished:
    """Runs the lab to its end."""
    finished = subprocess.run(
        [LAB, *arguments], capture_output=True, text=True, env=environment(binaries, **more), timeout=120, check=False
    )
    return Finished(finished.returncode, finished.stdout, finished.stderr)
