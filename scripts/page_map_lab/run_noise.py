"""What the records of some launches of a run say of their noise: how wide their intervals are, and what a pilot is to be made of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from page_map_lab import hierarchical
from page_map_lab.compare_cells import base_for, group_cells, paired_launch_ratios, repetition_scores
from page_map_lab.design import CellNoise, Pilot
from page_map_lab.plan import Launch
from page_map_lab.records import Cell, Record, load_record
from page_map_lab.report_model import DEFAULT_BASE
from page_map_lab.run_folder import RunFolder


def records_of(run: RunFolder, launches: Sequence[Launch]) -> list[Record]:
    """The records of these launches, as far as they are there."""
    paths = [run.record_path(launch) for launch in launches]
    return [record for path in paths if path.exists() and (record := load_record(path)) is not None]


def estimates(records: Sequence[Record]) -> dict[str, hierarchical.Estimate]:
    """By cell: the logarithm of its ratio to the base of `lab compare` and `lab report`, or of its own score where it is alone.

    Where that base was not measured, it is to the first variant there.
    """
    found: dict[str, hierarchical.Estimate] = {}
    for variants in group_cells(records).values():
        base = base_for(DEFAULT_BASE, variants) or next(iter(variants))
        for variant in [name for name in variants if name != base] or [base]:
            cells = variants[variant]
            launches = repetition_scores(cells) if variant == base else _ratios(cells, base, variants.get(base, []))
            if len(launches) > 1:
                found[cells[0].name] = hierarchical.estimate([np.log(values) for values in launches])
    return found


def _ratios(cells: Sequence[Cell], base: str, base_cells: Sequence[Cell]) -> list[list[float]]:
    return [pair[0] for cell in cells if (pair := paired_launch_ratios(cell, base, base_cells)) is not None]


def pilot_of(run: RunFolder, name: str, launches: Sequence[Launch]) -> Pilot | None:
    """What the group's launches say; None where too few of them succeeded."""
    records = records_of(run, launches)
    known = estimates(records)
    if not known:
        return None
    repetitions = _option(launches[0], "--repetitions")
    seconds = statistics.mean(float(record.launch.get("seconds") or 0) for record in records)
    repetition_s = statistics.mean(repetition_seconds(record.cells) for record in records)
    noise = (CellNoise.of(cell, found, repetitions) for cell, found in known.items())
    return Pilot(
        name, tuple(noise), max(0.0, seconds - repetitions * repetition_s), repetition_s, repetitions,
        run.plan.request.repetitions, len(launches),
    )  # fmt: skip


def repetition_seconds(cells: Iterable[Cell]) -> float:
    """What one repetition of each of these cells of a launch takes."""
    total = 0.0
    for cell in cells:
        longest = [max((t.get("duration_ns") or 0 for t in r.threads), default=0) for r in cell.repetitions]
        total += statistics.mean(longest) if longest else 0
    return total / 1e9


def _option(launch: Launch, name: str) -> int:
    return int(launch.arguments[launch.arguments.index(name) + 1])
