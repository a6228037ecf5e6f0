"""Noise of a real machine, recorded: a variant and its twin of 0 percent, which differ in nothing but their memory.

A file holds, for each cell and launch, the scores of both in every repetition. Launches are drawn from it without replacement.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from page_map_lab import atomic_file, design, hierarchical, paths
from page_map_lab.cli_errors import UsageError
from page_map_lab.design import PILOT_LAUNCHES, CellNoise, Pilot
from page_map_lab.progress import Progress
from page_map_lab.selftest_live import Subject
from page_map_lab.statistics import RatioEstimate, paired_ratio, unpaired_ratio

FOLDER = paths.ROOT / "results" / "noise"
VERSION = 1
FEWEST_LAUNCHES = 2 * PILOT_LAUNCHES


@dataclass(frozen=True)
class Pool:
    """The recorded launches of one cell: arrays of launches by repetitions."""

    name: str
    scores: np.ndarray
    twin_scores: np.ndarray


@dataclass(frozen=True)
class Draw:
    """One try's order of a pool's launches."""

    pool: Pool
    order: Sequence[int]

    def launches_for(self, width_percent: float) -> int:
        """What `lab run` would take after a pilot of the first launches, as far as there are any."""
        pilot = list(self.order[:PILOT_LAUNCHES])
        found = hierarchical.estimate(np.log(self.pool.twin_scores[pilot] / self.pool.scores[pilot]))
        repetitions = self.pool.scores.shape[1]
        noise = CellNoise.of(self.pool.name, found, repetitions)
        choice = design.choose(Pilot(self.pool.name, (noise,), 0.0, 0.0, repetitions, repetitions), width_percent)
        return min(choice.launches, len(self.order))

    def within_one_run(self, width_percent: float, factor: float = 1.0) -> RatioEstimate:
        """The twin, made slower by the factor, against the variant in the same launches."""
        taken = list(self.order[: self.launches_for(width_percent)])
        return paired_ratio(factor * self.pool.twin_scores[taken] / self.pool.scores[taken])

    def of_two_runs(self, width_percent: float) -> RatioEstimate:
        """The variant in some launches against itself in others."""
        each = min(self.launches_for(width_percent), len(self.order) // 2)
        before, after = list(self.order[:each]), list(self.order[each : 2 * each])
        return unpaired_ratio(self.pool.scores[after], self.pool.scores[before], "lower_is_better")


def draws(pools: Sequence[Pool], tries: int, seed: int) -> Iterator[Draw]:
    """So many tries, the pools taking turns in pairs."""
    chance = random.Random(seed)
    for number in range(tries):
        pool = pools[number // 2 % len(pools)]
        yield Draw(pool, chance.sample(range(len(pool.scores)), len(pool.scores)))


def load(path: Path) -> list[Pool]:
    """The pools of a file, or of every file of a folder. Errors: usage, naming the file."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise UsageError(f"{path}: no recorded noise there: record this machine's with `lab selftest --record`")
    return [pool for file in files for pool in _pools(file)]


def _pools(file: Path) -> list[Pool]:
    value = atomic_file.read_json(file, "the recorded noise")
    try:
        if value["noise_version"] != VERSION:
            raise UsageError(f"{file}: recorded noise of version {value['noise_version']}: record it anew")
        pools = [
            Pool(cell["name"], np.asarray(cell["scores"], dtype=float), np.asarray(cell["twin_scores"], dtype=float))
            for cell in value["cells"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file}: not recorded noise ({error!r}): record it anew with `lab selftest --record`") from error
    for pool in pools:
        shape = pool.scores.shape
        is_whole = len(shape) == 2 and shape == pool.twin_scores.shape and shape[1] > 0
        if not is_whole or shape[0] < FEWEST_LAUNCHES or not (pool.scores > 0).all() or not (pool.twin_scores > 0).all():
            raise UsageError(
                f"{file}: {pool.name}: needs at least {FEWEST_LAUNCHES} launches of equally many scores above 0 on both sides: "
                "record it anew with `lab selftest --record`"
            )
    return pools


def record(subject: Subject, launches: int, noise: Path, quiet: bool) -> Path:
    """Measures so many launches and writes their scores; returns the file. Errors: usage, for too few launches."""
    if launches < FEWEST_LAUNCHES:
        raise UsageError(f"--launches {launches}: a try draws many at a time: record at least {FEWEST_LAUNCHES}")
    scores: dict[str, tuple[list[list[float]], list[list[float]]]] = {}
    host = ""
    progress = Progress([1.0] * launches, quiet)
    try:
        for number in range(launches):
            progress.show("recording noise")
            found = subject.launch(number, 0, patterns=("uniform", "zipf"), planted=(0,))
            host = found.host_name
            for name, sides in subject.scores(found).items():
                for kept, side in zip(scores.setdefault(name, ([], [])), (sides[subject.base], sides[subject.twin(0)])):
                    kept.append([float(f"{score:.5g}") for score in side])
            progress.step_done()
    finally:
        progress.clear()
    path = noise if noise.suffix == ".json" else noise / f"{host}.json"
    cells = [{"name": name, "scores": ours, "twin_scores": twins} for name, (ours, twins) in scores.items()]
    value = {
        "noise_version": VERSION,
        "host": host,
        "recorded": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cells": cells,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(path, json.dumps(value, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
    return path
