"""Launches of `lab selftest`: a variant, its twin and a slowed twin (bench/harness/planted.hpp), interleaved in one process."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from page_map_lab import hierarchical
from page_map_lab.cli_errors import CheckFailedError, ExitCode, LabError
from page_map_lab.design import PILOT_LAUNCHES, CellNoise, Pilot
from page_map_lab.launch import command_of, environment_padding_bytes, heap_padding_bytes, run_process
from page_map_lab.plan import EFFORTS, INTERVAL
from page_map_lab.records import Cell, Record, load_record
from page_map_lab.run_noise import repetition_seconds
from page_map_lab.selftest_noise import designed
from page_map_lab.statistics import RatioEstimate, paired_ratio

LAUNCH_TIMEOUT_S = 300
# A run measures a cell of each in every launch, as `lab run` does: what a launch costs besides is paid once for four tries.
PATTERNS = ("uniform", "zipf", "sequential", "one_hot")


@dataclass(frozen=True)
class Subject:
    """What is measured, and where its records go."""

    WORKLOAD: ClassVar[str] = "lookup"

    binary: Path
    base: str
    planted_percent: int
    seed: int
    folder: Path

    def twin(self, percent: int) -> str:
        """The name of a planted twin."""
        return f"{self.base}/planted:{percent}"

    def launch(self, number: int, attempt: int, patterns: Sequence[str], planted: Sequence[int], repetitions: int) -> Record:
        """One fresh process. Errors: what the binary says."""
        seed = random.Random(f"{self.seed} {attempt} {number}").randrange(1, 1 << 31)
        path = self.folder / f"{attempt}-{number}.json"
        arguments = [
            "--size", "smoke", "--variant", self.base, "--plant", ",".join(map(str, planted)), "--pages", "4096",
            "--pattern", ",".join(patterns), "--threads", "1", "--repetitions", str(repetitions),
            "--min-time-ms", str(EFFORTS["quick", INTERVAL].min_time_ms),
            "--heap-padding", str(heap_padding_bytes(seed)), "--seed", str(seed),
        ]  # fmt: skip
        outcome = run_process(
            command_of(self.binary, arguments, path), LAUNCH_TIMEOUT_S, path.with_suffix(".log"), environment_padding_bytes(seed)
        )
        if outcome.exit_code == ExitCode.CHECK_FAILED:
            raise CheckFailedError(outcome.message)
        if outcome.exit_code or not path.exists():
            raise LabError(f"a launch cannot be measured: {outcome.message or 'no record was written'}")
        record = load_record(path)
        if record is None:
            raise LabError(f"{path}: the launch wrote no record: build the bench preset anew")
        record.launch["seconds"] = outcome.seconds
        path.unlink()
        return record

    def scores(self, record: Record) -> dict[str, dict[str, list[float]]]:
        """By cell and variant, the score of each repetition that counts for every variant of the cell."""
        found: dict[str, dict[str, dict[int, float]]] = {}
        for cell in record.cells:
            found.setdefault(place_of(cell), {})[cell.variant] = {r.index: r.score for r in cell.usable_repetitions if r.score}
        aligned = {}
        for name, variants in found.items():
            common = sorted(set.intersection(*(set(scores) for scores in variants.values())))
            aligned[name] = {variant: [scores[index] for index in common] for variant, scores in variants.items()}
        return aligned

    def one_run(
        self, attempt: int, tries: int, width_percent: float, show: Callable[[str], None]
    ) -> tuple[str, list[tuple[RatioEstimate, RatioEstimate]]]:
        """A designed run of so many cells, at most one a pattern: what stopped it, and for each cell the twin and the slowed twin
        against the variant. `show` is told each launch, since a run takes a minute."""
        planted = (0, self.planted_percent)
        ratios: dict[tuple[str, int], list[np.ndarray]] = {}
        seconds: list[float] = []
        busy: list[float] = []

        def measure(number: int, repetitions: int) -> None:
            show(f"live, launch {number + 1} of a run")
            record = self.launch(number, attempt, PATTERNS[:tries], planted, repetitions)
            for name, sides in self.scores(record).items():
                for percent in planted:
                    found = np.asarray(sides[self.twin(percent)]) / np.asarray(sides[self.base])
                    ratios.setdefault((name, percent), []).append(found)
            seconds.append(record.launch["seconds"])
            busy.append(repetition_seconds(record.cells))

        first = EFFORTS["quick", INTERVAL].repetitions
        for number in range(PILOT_LAUNCHES):
            measure(number, first)
        noise = [CellNoise.of(str(of), hierarchical.estimate([np.log(x) for x in found]), first) for of, found in ratios.items()]
        repetition_s = statistics.mean(busy)
        launch_s = max(0.0, statistics.mean(seconds) - first * repetition_s)
        made = designed(Pilot(self.WORKLOAD, tuple(noise), launch_s, repetition_s, first), width_percent)
        for number in range(PILOT_LAUNCHES, made.choices[0].launches):
            measure(number, made.choices[0].repetitions)
        cells = dict.fromkeys(name for name, _ in ratios)
        same, slowed = ([paired_ratio(ratios[name, percent]) for name in cells] for percent in planted)
        return made.stopped_by, list(zip(same, slowed, strict=True))


def place_of(cell: Cell) -> str:
    """What a cell is of, variant apart."""
    return f"{cell.key.workload} {cell.key.text()}"
