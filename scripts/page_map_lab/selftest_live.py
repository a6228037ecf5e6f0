"""Launches of `lab selftest`: a variant, its twin and a slowed twin (bench/harness/planted.hpp), interleaved in one process."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from page_map_lab import design, hierarchical
from page_map_lab.cli_errors import CheckFailedError, ExitCode, LabError
from page_map_lab.design import PILOT_LAUNCHES, CellNoise, Pilot
from page_map_lab.launch import command_of, environment_padding_bytes, heap_padding_bytes, run_process
from page_map_lab.plan import EFFORTS, INTERVAL
from page_map_lab.records import Record, load_record
from page_map_lab.statistics import RatioEstimate, paired_ratio

LAUNCH_TIMEOUT_S = 300
RECORDED_REPETITIONS = 5


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

    def launch(
        self, number: int, attempt: int, patterns: Sequence[str], planted: Sequence[int], repetitions: int = RECORDED_REPETITIONS
    ) -> Record:
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
            name = f"{cell.key.workload} {cell.key.text()}"
            found.setdefault(name, {})[cell.variant] = {r.index: r.score for r in cell.usable_repetitions if r.score}
        aligned = {}
        for name, variants in found.items():
            common = sorted(set.intersection(*(set(scores) for scores in variants.values())))
            aligned[name] = {variant: [scores[index] for index in common] for variant, scores in variants.items()}
        return aligned

    def one_try(self, attempt: int, width_percent: float) -> tuple[RatioEstimate, RatioEstimate]:
        """The twin, and the slowed twin, against the variant: over as many launches as a pilot calls for."""
        names = self.twin(0), self.twin(self.planted_percent)
        ratios: dict[str, list[np.ndarray]] = {name: [] for name in names}
        seconds: list[float] = []
        busy: list[float] = []

        def measure(number: int, repetitions: int) -> None:
            record = self.launch(number, attempt, ("uniform",), (0, self.planted_percent), repetitions)
            (sides,) = self.scores(record).values()
            for name in names:
                ratios[name].append(np.asarray(sides[name]) / np.asarray(sides[self.base]))
            seconds.append(record.launch["seconds"])
            busy.append(sum(t["duration_ns"] for c in record.cells for r in c.repetitions[:1] for t in r.threads) / 1e9)

        first = EFFORTS["quick", INTERVAL].repetitions
        for number in range(PILOT_LAUNCHES):
            measure(number, first)
        noise = [CellNoise.of(name, hierarchical.estimate([np.log(x) for x in ratios[name]]), first) for name in names]
        repetition_s = statistics.mean(busy)
        launch_s = max(0.0, statistics.mean(seconds) - first * repetition_s)
        pilot = Pilot(self.WORKLOAD, tuple(noise), launch_s, repetition_s, first)
        choice = design.choose(pilot, width_percent)
        for number in range(PILOT_LAUNCHES, choice.launches):
            measure(number, choice.repetitions)
        return paired_ratio(ratios[names[0]]), paired_ratio(ratios[names[1]])
