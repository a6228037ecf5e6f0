"""Noise of a real machine, recorded: a variant and its twin of 0 percent, which differ in nothing but their memory.

A file (selftest_record.py writes it) holds, for each cell and launch, the scores of both in as many repetitions as a design may
ask for, and what the launch and a repetition took. A try draws launches without replacement, and takes of each the repetitions
that a run would have made.

Some hundred launches of two equal things have not quite the same mean, and every try of a file would inherit that chance. So a coin
decides for each launch which of the two is called the twin; unless the two surely differ, which is what a self-test has to find.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from page_map_lab import atomic_file, design, hierarchical, paths
from page_map_lab.cli_errors import UsageError
from page_map_lab.design import MOST_REPETITIONS, PILOT_LAUNCHES, CellNoise, Choice, Design, Pilot
from page_map_lab.plan import EFFORTS, INTERVAL, MOST_LAUNCHES_QUICK
from page_map_lab.run_request import QUICK_BUDGET_MINUTES
from page_map_lab.statistics import RatioEstimate, paired_ratio, unpaired_ratio

FOLDER = paths.ROOT / "results" / "noise"
VERSION = 2
FEWEST_LAUNCHES = 2 * PILOT_LAUNCHES
SURELY_DIFFERENT = 0.001  # the p-value, over all launches of a pool


def designed(pilot: Pilot, width_percent: float) -> Design:
    """What `lab run quick` would take after the pilot: with its budget of time, and its number of launches."""
    spent = pilot.launches * (pilot.launch_s + pilot.pilot_repetitions * pilot.repetition_s)
    return design.design([pilot], width_percent, 60 * QUICK_BUDGET_MINUTES - spent, MOST_LAUNCHES_QUICK - pilot.launches)


@dataclass(frozen=True)
class Pool:
    """The recorded launches of one cell: arrays of launches by repetitions, and what they cost."""

    name: str
    scores: np.ndarray
    twin_scores: np.ndarray
    launch_s: float
    repetition_s: float

    @property
    def is_even(self) -> bool:
        """Whether the recorded launches leave it open that the two sides are equal."""
        return hierarchical.estimate(np.log(self.twin_scores / self.scores)).p_value >= SURELY_DIFFERENT

    def exchanged(self, coins: Sequence[bool]) -> Pool:
        """The same launches, the two sides exchanged where the coin of the launch says so."""
        where = np.asarray(coins)[:, None]
        sides = np.where(where, self.twin_scores, self.scores), np.where(where, self.scores, self.twin_scores)
        return replace(self, scores=sides[0], twin_scores=sides[1])

    def ratios(self, launches: Sequence[int], repetitions: int) -> list[np.ndarray]:
        """The twin over the variant, in the first repetitions of these launches."""
        return [self.twin_scores[each, :repetitions] / self.scores[each, :repetitions] for each in launches]


@dataclass(frozen=True)
class Run:
    """Some of a pool's launches, in an order, as if `lab run` had just measured them: a pilot, and what its noise calls for."""

    pool: Pool
    order: Sequence[int]
    choice: Choice
    stopped_by: str

    @staticmethod
    def of(pool: Pool, order: Sequence[int], width_percent: float) -> Run:
        """The run that the first launches of the order call for, as far as there are any."""
        first = EFFORTS["quick", INTERVAL].repetitions
        found = hierarchical.estimate([np.log(ratios) for ratios in pool.ratios(order[:PILOT_LAUNCHES], first)])
        noise = CellNoise.of(pool.name, found, first)
        made = designed(Pilot(pool.name, (noise,), pool.launch_s, pool.repetition_s, first), width_percent)
        return Run(pool, order[: made.choices[0].launches], made.choices[0], made.stopped_by)

    def of_each(self, scores: np.ndarray) -> list[np.ndarray]:
        """The repetitions that the run made of each launch: the pilot's, and the design's."""
        first = EFFORTS["quick", INTERVAL].repetitions
        counts = [first] * PILOT_LAUNCHES + [self.choice.repetitions] * (len(self.order) - PILOT_LAUNCHES)
        return [scores[launch, :count] for launch, count in zip(self.order, counts, strict=True)]

    def against_its_twin(self, factor: float = 1.0) -> RatioEstimate:
        """The twin, made slower by the factor, against the variant in the same launches."""
        sides = zip(self.of_each(self.pool.twin_scores), self.of_each(self.pool.scores), strict=True)
        return paired_ratio([factor * twin / variant for twin, variant in sides])

    def against(self, before: Run) -> RatioEstimate:
        """The variant in this run against itself in another."""
        return unpaired_ratio(self.of_each(self.pool.scores), before.of_each(before.pool.scores), "lower_is_better")


def draws(pools: Sequence[Pool], tries: int, seed: int) -> Iterator[tuple[Pool, list[int]]]:
    """So many tries, the pools taking turns in pairs: each a pool and an order of its launches."""
    chance = random.Random(seed)
    are_even = [pool.is_even for pool in pools]
    for number in range(tries):
        turn = number // 2 % len(pools)
        pool, launches = pools[turn], range(len(pools[turn].scores))
        order, coins = chance.sample(launches, len(launches)), [chance.random() < 0.5 for _ in launches]
        yield (pool.exchanged(coins) if are_even[turn] else pool), order


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
        launch_s = float(statistics.mean(value["launch_s"]))
        pools = [
            Pool(
                cell["name"], *(np.asarray(cell[side], dtype=float) for side in ("scores", "twin_scores")),
                launch_s, float(statistics.mean(cell["repetition_s"])),
            )
            for cell in value["cells"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file}: not recorded noise ({error!r}): record it anew with `lab selftest --record`") from error
    for pool in pools:
        shape = pool.scores.shape
        is_whole = len(shape) == 2 and shape == pool.twin_scores.shape and shape[1] == MOST_REPETITIONS
        has_costs = pool.launch_s >= 0 and pool.repetition_s > 0
        if not is_whole or shape[0] < FEWEST_LAUNCHES or not has_costs or not (pool.scores > 0).all() or not (pool.twin_scores > 0).all():
            raise UsageError(
                f"{file}: {pool.name}: needs at least {FEWEST_LAUNCHES} launches of {MOST_REPETITIONS} scores above 0 on both "
                "sides, and what they took: record it anew with `lab selftest --record`"
            )
    return pools
