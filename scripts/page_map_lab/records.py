"""Reads records (one JSON file per launch) into plain objects, and says precisely what is wrong with a file that is none.

Three kinds of input are understood: a record of this lab (results/record.schema.json), a run folder of them, and the JSON that
any Google Benchmark program writes with --benchmark_out. Nothing here writes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import records_google, records_schema
from page_map_lab.record_flags import flags_of
from page_map_lab.records_error import RecordError

__all__ = ["Cell", "CellKey", "Record", "RecordError", "Repetition", "load_record", "load_records"]

SCHEMA_VERSION = 1
_MOST_DIGITS = 40  # any more, and arithmetic with floating point overflows
_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Repetition:
    """One timed pass of a cell; `excluded` says why it must not be used, or is None."""

    index: int
    score: float | None
    threads: tuple[dict[str, Any], ...]
    metrics: dict[str, Any]
    beside_name: str | None
    beside_score: float | None
    excluded: str | None

    @property
    def usable(self) -> bool:
        """Whether the repetition may enter a statistic."""
        return self.excluded is None and self.score is not None


@dataclass(frozen=True)
class CellKey:
    """What must be equal before two scores may be divided: the question, but not the variant that answers it."""

    workload: str
    parameters: tuple[tuple[str, Any], ...]
    size: str
    plan: str
    memory: str

    def text(self) -> str:
        """The question in a few words, for a table's row."""
        words = [f"{name}={value}" for name, value in self.parameters]
        if self.plan not in ("", "compact"):
            words.append(f"plan={self.plan}")
        if self.memory not in ("", "local"):
            words.append(f"memory={self.memory}")
        return " ".join(words) or "-"

    def sort_key(self) -> tuple[Any, ...]:
        """Orders 2 before 16, and numbers before words."""
        values = tuple((name, *_orderable(value)) for name, value in self.parameters)
        return self.workload, self.size, self.plan, self.memory, values

    def value(self, name: str) -> Any:
        """The parameter's value, or None."""
        return dict(self.parameters).get(name)


@dataclass(frozen=True, eq=False)
class Cell:
    """One variant at one set of parameters in one launch."""

    name: str
    key: CellKey
    variant: str
    policies: dict[str, str]
    floor: bool
    metric: str
    unit: str
    direction: str
    repetitions: tuple[Repetition, ...]
    metrics: dict[str, Any]
    histograms: tuple[dict[str, Any], ...]
    counters: tuple[dict[str, Any], ...]
    phases: tuple[dict[str, Any], ...]
    check_passed: bool
    check_message: str
    failed: str | None
    record: "Record" = field(repr=False)
    position: int = 0

    @property
    def usable_repetitions(self) -> list[Repetition]:
        """The repetitions that may enter a statistic."""
        return [repetition for repetition in self.repetitions if repetition.usable]

    @property
    def excluded_count(self) -> int:
        """How many repetitions were left out."""
        return len(self.repetitions) - len(self.usable_repetitions)

    def source(self) -> str:
        """Where the cell's raw numbers are: the file, and the place in it."""
        return f"{self.record.path}#/cells/{self.position}"


@dataclass(frozen=True, eq=False)
class Record:
    """One launch: where it ran, how it was built, and what it measured."""

    path: Path
    data: dict[str, Any]
    cells: list[Cell]
    plain_google_benchmark: bool = False

    @property
    def host(self) -> dict[str, Any]:
        """The facts of the machine."""
        return self.data.get("host") or {}

    @property
    def host_name(self) -> str:
        """Readable name with a hash of hardware facts."""
        return str(self.host.get("name") or "unknown-host")

    @property
    def launch(self) -> dict[str, Any]:
        """Run, index, block, seed, command."""
        return self.data.get("launch") or {}

    @property
    def counter_set(self) -> str:
        """The set of counters that the launch was asked for."""
        words = " ".join(map(str, self.launch.get("command") or ())).replace("--counters=", "--counters ").split(" ")
        return words[words.index("--counters") + 1] if "--counters" in words[:-1] else "none"

    @property
    def flags(self) -> list[str]:
        """The hard findings of the gate in spite of which this was measured."""
        return flags_of(self.data)

    def section(self, name: str) -> dict[str, Any]:
        """A top-level object such as build or environment; empty when it is absent or null."""
        value = self.data.get(name)
        return value if isinstance(value, dict) else {}


def load_records(paths: Sequence[Path]) -> list[Record]:
    """Every record under the given files and folders, in a stable order.

    Raises RecordError for the first file that cannot be read or is no record, and when there is no record at all.
    """
    records: list[Record] = []
    for path in paths:
        found = [record for file in _record_files(path) if (record := load_record(file, path.is_dir())) is not None]
        if not found:
            raise RecordError(path, "", "holds no record; give a record file or a run folder")
        records.extend(found)
    return records


def load_record(path: Path, skip_other_json: bool = False) -> Record | None:
    """One record. With skip_other_json, a JSON object that does not claim to be a record gives None instead of an error."""
    data = _read_json(path)
    if isinstance(data, dict) and "cells" not in data and "benchmarks" in data and "schema_version" not in data:
        return _build(path, records_google.as_record(path, data), plain=True)
    claims_to_be_one = isinstance(data, dict) and bool({"cells", "schema_version"} & data.keys()) and "$schema" not in data
    if not claims_to_be_one:
        if skip_other_json:
            return None
        raise RecordError(path, "", "is neither a record of this lab (cells) nor Google Benchmark JSON (benchmarks)")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(
            path, "schema_version", f"is {json.dumps(version)}, this lab reads {SCHEMA_VERSION}: use the lab that wrote it"
        )
    records_schema.validate(path, data)
    return _build(path, data, plain=False)


def _record_files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    yield from sorted(file for file in path.rglob("*.json") if file.is_file())


def _read_json(path: Path) -> Any:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(path, "", f"is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}") from error
    if not text.strip():
        raise RecordError(path, "", "is empty; the launch that should have written it did not finish")
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=_whole_number, parse_float=_number)
        if _HALF_A_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError as error:
        raise RecordError(path, "", "holds half a character (a lone \\ud800 or its like), which no text may") from error
    except RecursionError as error:
        raise RecordError(path, "", "is nested too deeply to be a record") from error
    except ValueError as error:
        raise RecordError(path, "", f"is not JSON: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name[:20]} is not a number that a record may hold")


def _whole_number(text: str) -> int:
    return int(text) if len(text) <= _MOST_DIGITS else _refuse_constant(f"{text[:16]}...")


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_constant(text)


def _build(path: Path, data: dict[str, Any], plain: bool) -> Record:
    record = Record(path, data, [], plain)
    placement = record.section("placement")
    memory = placement.get("memory")
    policy = str(memory.get("policy") or "") if isinstance(memory, dict) else ""
    plan = str(placement.get("plan") or "")
    for position, raw in enumerate(data["cells"]):
        record.cells.append(_cell(record, position, raw, plan, policy))
    return record


def _cell(record: Record, position: int, raw: dict[str, Any], plan: str, memory: str) -> Cell:
    where = f"cells[{position}]"
    repetitions = tuple(_repetition(record, f"{where}.repetitions[{i}]", r) for i, r in enumerate(raw["repetitions"]))
    score = raw["score"]
    check = raw.get("check") or {}
    parameters = tuple(sorted((str(name), _hashable(value)) for name, value in (raw.get("parameters") or {}).items()))
    return Cell(
        name=str(raw["name"]),
        key=CellKey(str(raw["workload"]), parameters, str(raw.get("size") or ""), plan, memory),
        variant=str(raw["variant"]),
        policies=dict(raw.get("policies") or {}),
        floor=bool(raw.get("floor")),
        metric=str(score["metric"]),
        unit=str(score["unit"]),
        direction=str(score["direction"]),
        repetitions=repetitions,
        metrics=dict(raw.get("metrics") or {}),
        histograms=tuple(raw.get("histograms") or ()),
        counters=tuple(raw.get("counters") or ()),
        phases=tuple(raw.get("phases") or ()),
        check_passed=bool(check.get("passed", True)) or raw.get("failed") is not None,
        check_message=str(check.get("message") or ""),
        failed=raw.get("failed"),
        record=record,
        position=position,
    )


def _repetition(record: Record, where: str, raw: dict[str, Any]) -> Repetition:
    score = raw.get("score")
    excluded = raw.get("excluded")
    if excluded is None and score is not None and score <= 0:
        raise RecordError(record.path, f"{where}.score", f"is {score}; a score that counts is above 0")
    beside = raw.get("beside") or {}
    return Repetition(
        index=int(raw["index"]),
        score=None if score is None else float(score),
        threads=tuple(raw.get("threads") or ()),
        metrics=dict(raw.get("metrics") or {}),
        beside_name=beside.get("name"),
        beside_score=beside.get("score"),
        excluded=excluded,
    )


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else json.dumps(value, sort_keys=True)


def _orderable(value: Any) -> tuple[int, float, str]:
    if isinstance(value, (int, float)):
        return 0, float(value), ""
    return 1, 0.0, str(value)
