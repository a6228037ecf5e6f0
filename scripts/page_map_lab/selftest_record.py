"""`lab selftest --record`: measures this machine's noise, and keeps every launch as soon as it is measured."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file
from page_map_lab.cli_errors import UsageError
from page_map_lab.design import MOST_REPETITIONS
from page_map_lab.progress import Progress
from page_map_lab.records import Record
from page_map_lab.run_noise import repetition_seconds
from page_map_lab.selftest_live import Subject, place_of
from page_map_lab.selftest_noise import FEWEST_LAUNCHES, VERSION

PATTERNS = ("uniform", "zipf")
UNFINISHED = ".unfinished"


def record(subject: Subject, launches: int, noise: Path, quiet: bool) -> Path:
    """Measures until there are so many launches, and returns the file with their scores.

    What an earlier call measured before it was cut short lies in a file beside it, and counts. Errors: usage, for too few launches.
    """
    if launches < FEWEST_LAUNCHES:
        raise UsageError(f"--launches {launches}: a try draws many at a time: record at least {FEWEST_LAUNCHES}")
    progress = Progress([1.0] * launches, quiet)

    def measured(number: int) -> Record:
        progress.show("recording noise")
        return subject.launch(number, 0, PATTERNS, (0,), MOST_REPETITIONS)

    try:
        host = measured(0).host_name  # Only a record says who the host is.
        path = noise if noise.suffix == ".json" else noise / f"{host}.json"
        unfinished = path.with_name(path.name + UNFINISHED)
        kept = _kept(unfinished, subject.base, host)
        for _ in kept["launch_s"][:launches]:
            progress.step_done()
        for number in range(len(kept["launch_s"]), launches):
            _add(kept, subject, measured(number + 1))
            _write(unfinished, kept)
            progress.step_done()
    finally:
        progress.clear()
    _write(unfinished, {**kept, "recorded": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")})
    unfinished.replace(path)
    return path


def _kept(unfinished: Path, base: str, host: str) -> dict[str, Any]:
    """What there is of an unfinished recording of the same things on the same host; else an empty one."""
    about = {"noise_version": VERSION, "host": host, "variant": base}
    if unfinished.exists():
        value = atomic_file.read_json(unfinished, "the unfinished recording")
        if isinstance(value, dict) and all(value.get(name) == known for name, known in about.items()):
            return value
    return {**about, "recorded": "", "launch_s": [], "cells": []}


def _add(kept: dict[str, Any], subject: Subject, found: Record) -> None:
    """Appends one launch."""
    scores = subject.scores(found)
    busy = {name: repetition_seconds([cell for cell in found.cells if place_of(cell) == name]) for name in scores}
    kept["cells"] = kept["cells"] or [{"name": name, "repetition_s": [], "scores": [], "twin_scores": []} for name in scores]
    for cell in kept["cells"]:
        sides = scores[cell["name"]]
        cell["repetition_s"].append(_short(busy[cell["name"]]))
        for side, variant in (("scores", subject.base), ("twin_scores", subject.twin(0))):
            cell[side].append([_short(score) for score in sides[variant]])
    kept["launch_s"].append(_short(max(0.0, found.launch["seconds"] - MOST_REPETITIONS * sum(busy.values()))))


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(path, json.dumps(value, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
