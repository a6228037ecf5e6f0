"""What a report states, the launches that it came from, and whether a ratio that was measured again agrees."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from page_map_lab import report_model, tables
from page_map_lab.cli_errors import UsageError
from page_map_lab.compare_cells import Comparison
from page_map_lab.launch import heap_padding_bytes
from page_map_lab.plan import INTERVAL, Launch
from page_map_lab.records import CellKey, Record
from page_map_lab.statistics import FASTER, INDISTINGUISHABLE, SLOWER

HELD, NOT_CONTRADICTED, NOT_HELD, NOT_MEASURED = "held", "not contradicted", "not held", "not measured"
OUTCOMES = (HELD, NOT_CONTRADICTED, NOT_HELD, NOT_MEASURED)
LAUNCH_TIMEOUT_S = 3600.0
_ADDED_BY_THE_LAB = ("--record", "--launch", "--seed", "--heap-padding")


@dataclass(frozen=True)
class StatedRatio:
    """One ratio with an interval, as a report states it."""

    workload: str
    variant: str
    base: str
    parameters: str
    size: str
    plan: str
    memory: str
    ratio: float
    low: float
    high: float
    verdict: str
    records: tuple[str, ...]  # places of raw records, as seen from the report

    @property
    def question(self) -> tuple[str, ...]:
        """What tells its cell from others, variant apart."""
        return self.workload, self.parameters, self.size, self.plan, self.memory


@dataclass(frozen=True)
class Outcome:
    """What became of one stated ratio."""

    claim: StatedRatio
    outcome: str
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str | None
    why: str


def question_of(key: CellKey) -> tuple[str, ...]:
    """The same, of a cell that was measured."""
    parameters = " ".join(f"{name}={value}" for name, value in key.parameters)
    return key.workload, parameters, key.size, key.plan, key.memory


def of_report(path: Path) -> list[StatedRatio]:
    """The ratios that a report.csv states."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            text = stream.read()
        if "\0" in text:
            raise ValueError("a NUL is in it")
        return _stated(csv.DictReader(io.StringIO(text, newline="")))
    except (KeyError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: not a report's table ({error}): make the report again with `lab report`") from error


def of_records(records: Sequence[Record], folder: Path) -> list[StatedRatio]:
    """The ratios that a report of these records would state."""
    hosts = report_model.build(records)
    index = tables.RecordIndex(folder)
    for host in hosts:
        index.add(host)
    return _stated(tables.cell_rows(hosts, index))


def _stated(rows: Iterable[dict[str, Any]]) -> list[StatedRatio]:
    kept = [row for row in rows if row["verdict"] in (FASTER, SLOWER, INDISTINGUISHABLE) and row["low"] not in (None, "")]
    names = {str(row["host"]) for row in kept}
    if len(names) > 1:
        raise UsageError(f"the report is of several hosts ({', '.join(sorted(names))}): reproduce each from its run folder")
    return [
        StatedRatio(
            *(str(row[name] or "") for name in ("workload", "variant", "base", "parameters", "size", "plan", "memory")),
            *(float(row[name]) for name in ("ratio", "low", "high")),
            str(row["verdict"]),
            tuple(f"{row['records']} {row['base_records']}".split()),
        )
        for row in kept
    ]


def launches_again(records: Sequence[Record], seed: int) -> list[Launch]:
    """The launches of the records, with new seeds, in a new order within each block."""
    chance = random.Random(seed)
    blocks: dict[int, list[Record]] = {}
    for record in records:
        blocks.setdefault(int(record.launch.get("block") or 0), []).append(record)
    launches: list[Launch] = []
    for number in sorted(blocks):
        chance.shuffle(blocks[number])
        for record in blocks[number]:
            launches.append(_again(record, len(launches), number, chance.randrange(1, 1 << 31)))
    return launches


def _again(record: Record, index: int, block: int, seed: int) -> Launch:
    command = record.launch.get("command") or []
    workload = PurePath(command[0]).name.removeprefix("bench_") if command else ""
    if not record.cells or not workload or PurePath(command[0]).name == workload:
        raise UsageError(f"{record.path}: names no command of this lab, so it cannot be run again: reproduce a run of `lab run`")
    arguments: list[str] = []
    words = iter(str(word) for word in command[1:])
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in _ADDED_BY_THE_LAB:
            arguments.append(word)
        elif not equals:
            next(words, None)
    arguments += ["--heap-padding", str(heap_padding_bytes(seed)), "--seed", str(seed)]
    if "--repetitions" not in arguments:
        arguments += ["--repetitions", str(max(len(cell.repetitions) for cell in record.cells))]
    variants = list(dict.fromkeys(cell.variant for cell in record.cells))
    return Launch(index, block, INTERVAL, workload, variants, len(record.cells), seed, LAUNCH_TIMEOUT_S, arguments)


def judge(claim: StatedRatio, found: Comparison | None) -> Outcome:
    """Whether a claim held."""
    if found is None or found.estimate.low is None or found.estimate.high is None:
        ratio = found.estimate.ratio if found else None
        why = (found.estimate.why if found else None) or "no such cell was measured"
        return Outcome(claim, NOT_MEASURED, ratio, None, None, found.verdict if found else None, why)
    estimate, why = found.estimate, ""
    if {claim.verdict, found.verdict} == {FASTER, SLOWER}:
        why = f"it was {claim.verdict}, and is {found.verdict}"
    elif estimate.low > claim.high or estimate.high < claim.low:
        why = "the intervals do not meet"
    outcome = NOT_HELD if why else HELD
    if not why and claim.verdict != found.verdict:
        outcome, why = NOT_CONTRADICTED, f"it was {claim.verdict}, and is {found.verdict}, though the intervals meet"
    return Outcome(claim, outcome, estimate.ratio, estimate.low, estimate.high, found.verdict, why)
