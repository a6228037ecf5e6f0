"""The folder of one run: its plan, its records, and what is still missing from it."""

import hashlib
import json
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file, build, paths
from page_map_lab.cli_errors import NotComparableError, UsageError
from page_map_lab.plan import Launch, Plan

PLAN_FILE = "plan.json"


def now() -> str:
    """The time now, as records write it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def hash_of(binary: Path) -> str:
    """What tells one build of a binary from another."""
    return hashlib.sha256(binary.read_bytes()).hexdigest()[:16]


class RunFolder:
    """One run on the disk. Every file in it is whole: written beside its place and renamed."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan

    def replan(self, plan: Plan) -> None:
        """Replaces the plan, on the disk first."""
        atomic_file.write_json(self.folder / PLAN_FILE, plan.as_json())
        self.plan = plan

    def spend(self, seconds: float) -> None:
        """Counts time towards a designed run's budget, and keeps the sum for when the run is resumed."""
        if self.plan.request.is_designed:
            self.replan(replace(self.plan, seconds_used=round(self.plan.seconds_used + seconds, 3)))

    @staticmethod
    def create(folder: Path, plan: Plan) -> "RunFolder":
        """A new run; refuses a folder that already holds one."""
        if (folder / PLAN_FILE).exists():
            raise UsageError(f"{paths.shown(folder)}: already holds a run: add --resume, or name another --out")
        atomic_file.write_json(folder / PLAN_FILE, plan.as_json())
        return RunFolder(folder, plan)

    @staticmethod
    def open(folder: Path) -> "RunFolder":
        """The run that is there."""
        path = folder / PLAN_FILE
        return RunFolder(folder, Plan.from_json(atomic_file.read_json(path, "the plan of the run"), path))

    @staticmethod
    def newest_unfinished(results: Path) -> "RunFolder":
        """The run that --resume without --out means."""
        plans = sorted(results.glob(f"*/*/{PLAN_FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in plans:
            run = RunFolder.open(path.parent)
            if run.missing():
                return run
        raise UsageError(f"no unfinished run below {paths.shown(results)}: leave --resume out, or name the run with --out")

    def record_path(self, launch: Launch) -> Path:
        """Where the record of a launch is, or will be."""
        return self.folder / f"{launch.name}.json"

    def log_path(self, launch: Launch) -> Path:
        """Where a launch's output goes while it runs, and stays when it fails."""
        return self.folder / "logs" / f"{launch.name}.log"

    def missing(self) -> list[Launch]:
        """The launches without a record."""
        return [launch for launch in self.plan.launches if not self.record_path(launch).exists()]

    def failed_checks(self) -> list[str]:
        """What the records say of checks that failed, one line each."""
        lines = []
        for launch in self.plan.launches:
            path = self.record_path(launch)
            if path.exists():
                record = atomic_file.read_json(path, "the record")
                cells = record.get("cells", []) if isinstance(record, dict) else None
                if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
                    raise UsageError(f"{path}: not a record: delete it and resume, and its launch is measured again")
                for cell in cells:
                    check = cell.get("check")
                    if isinstance(check, dict) and not check.get("passed", True):
                        lines.append(f"{path.name}: {cell.get('name')}: {check.get('message', '')}")
        return lines

    def check_same_binaries(self, current: dict[str, str]) -> None:
        """A run goes on only with the binaries it began with: records of two builds are not one run."""
        for workload, known in self.plan.binaries.items():
            if current.get(workload) != known:
                raise NotComparableError(
                    f"bench_{workload} was built anew since this run began: start a new run, or check out what it began with"
                )

    def amend(
        self, launch: Launch, gate: dict[str, Any], command: list[str], started: str, seconds: float
    ) -> dict[str, Any]:
        """Adds what only the lab knows to a record that a binary wrote, and returns the record."""
        path = self.record_path(launch)
        record = atomic_file.read_json(path, "the record")
        about = record.setdefault("launch", {}) or {}
        about.setdefault("command", [os.path.basename(command[0]), *command[1:]])
        about.setdefault("started", started)
        about.setdefault("finished", now())
        about["seconds"] = round(seconds, 4)
        record["launch"] = about
        record["gate"] = gate
        refuse_other_builds(record, path)
        # Records are many and large, and read by programs: no indentation.
        atomic_file.write_text(path, json.dumps(record, separators=(",", ":")) + "\n")
        return record


def refuse_other_builds(record: dict[str, Any], path: Path) -> None:
    """Numbers of any other build than the bench preset's do not become part of a run: the record is set aside."""
    made = record.get("build") or {}
    preset, sanitizer = made.get("preset"), made.get("sanitizer")
    if preset == build.PRESET and made.get("build_type", "Release") == "Release" and not sanitizer:
        return
    path.rename(path.with_suffix(".refused"))
    raise UsageError(
        f"the binaries are of the build {preset or 'none'}{f' with {sanitizer} sanitizer' if sanitizer else ''}: "
        "only the preset bench may produce numbers: unset PAGE_MAP_LAB_BINARIES, or build that preset"
    )
