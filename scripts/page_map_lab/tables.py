"""The report's rows as flat tables: for CSV files, for Markdown and for the page."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from page_map_lab.compare_cells import launch_score
from page_map_lab.latencies import tails
from page_map_lab.record_flags import MARK
from page_map_lab.records import Cell, CellKey
from page_map_lab.report_attribution import mechanism_of, phase_table, shootdown_table
from page_map_lab.report_model import HostReport, counter_name
from page_map_lab.statistics import median

CSV_FIELDS = (
    "host", "workload", "variant", "base", "floor", "parameters", "size", "plan", "memory", "metric", "unit", "direction",
    "score", "ratio", "low", "high", "adjusted_p", "verdict", "certainty", "method", "launches", "base_launches",
    "excluded_repetitions", "check", "records", "base_records",
)  # fmt: skip
COUNTER_FIELDS = (
    "host", "workload", "variant", "parameters", "set", "counter", "event", "scope", "mode", "value", "enabled_ns", "running_ns",
    "state", "why", "per_operation", "record",
)  # fmt: skip
PHASE_FIELDS = (
    "host", "workload", "variant", "parameters", "phase", "ns_per_operation", "flushes_sent_per_operation", "records",
)  # fmt: skip
SHOOTDOWN_FIELDS = (
    "host", "workload", "mechanism", "variant", "parameters", "expected_interrupts", "counted_interrupts", "deviation",
    "operations", "away", "repetitions", "trials", "trials_excluded", "verdict", "excluded", "records",
)  # fmt: skip
LATENCY_FIELDS = (
    "host", "workload", "variant", "parameters", "role", "latency", "schedule", "count", "percentile", "ns", "low", "high", "why",
    "launches", "records",
)  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """One launch's part in a number."""

    short: str
    href: str
    cell: str
    score: float | None
    excluded: int


@dataclass
class RecordIndex:
    """Gives every record a short name (R1, R2 ...; R3! is flagged) and a path relative to where the report lies."""

    folder: Path
    names: dict[Path, str] = field(default_factory=dict)

    def add(self, host: HostReport) -> None:
        """Names the host's records in order."""
        for record in host.records:
            self.names.setdefault(record.path, f"R{len(self.names) + 1}{MARK if record.flags else ''}")

    def relative(self, path: Path) -> str:
        """The record's path as seen from the report."""
        return Path(os.path.relpath(path.resolve(), self.folder.resolve())).as_posix()

    def place(self, source: str) -> str:
        """A raw record's place, `file#/cells/3`, as seen from the report."""
        path, separator, pointer = source.partition("#")
        return self.relative(Path(path)) + separator + pointer

    def launch(self, cell: Cell) -> Launch:
        """One launch behind a number: its short name, a link to the place in its file, and what it measured."""
        href = f"{quote(self.relative(cell.record.path))}#/cells/{cell.position}"
        return Launch(self.names[cell.record.path], href, cell.name, launch_score(cell), cell.excluded_count)

    def launches(self, cells: Sequence[Cell]) -> list[Launch]:
        """Every launch behind a number, the one in the middle first: medians are made of that one."""
        found = [self.launch(cell) for cell in cells]
        scores = [launch.score for launch in found if launch.score is not None]
        middle = median(scores) if scores else 0.0
        return sorted(found, key=lambda launch: abs(launch.score - middle) if launch.score is not None else float("inf"))


def csv_text(fields: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """The rows as CSV; what is not known stays empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if row.get(name) is None else row[name] for name in fields})
    return stream.getvalue()


def cell_rows(hosts: Sequence[HostReport], index: RecordIndex) -> Iterable[dict[str, Any]]:
    """One flat row for each variant at each set of parameters."""
    for host in hosts:
        for workload in host.workloads:
            for row in workload.rows:
                first, comparison = row.cells[0], row.comparison
                estimate = comparison.estimate if comparison else None
                yield {
                    "host": host.name,
                    "workload": workload.name,
                    "variant": row.variant,
                    "base": comparison.base if comparison else (row.variant if row.is_base else None),
                    "floor": int(row.floor),
                    "parameters": parameters_of(row.key),
                    "size": row.key.size,
                    "plan": row.key.plan,
                    "memory": row.key.memory,
                    "metric": first.metric,
                    "unit": first.unit,
                    "direction": first.direction,
                    "score": row.score,
                    "ratio": estimate.ratio if estimate else None,
                    "low": estimate.low if estimate else None,
                    "high": estimate.high if estimate else None,
                    "adjusted_p": comparison.adjusted_p if comparison else None,
                    "verdict": comparison.verdict if comparison else ("base" if row.is_base else None),
                    "certainty": row.certainty,
                    "method": estimate.method if estimate else None,
                    "launches": row.launches,
                    "base_launches": estimate.base_launches if estimate else None,
                    "excluded_repetitions": row.excluded,
                    "check": "passed" if all(cell.check_passed for cell in row.cells) else "failed",
                    "records": " ".join(index.place(cell.source()) for cell in row.cells),
                    "base_records": " ".join(index.place(c.source()) for c in comparison.base_cells) if comparison else None,
                }


def counter_rows(hosts: Sequence[HostReport], index: RecordIndex) -> Iterable[dict[str, Any]]:
    """One flat row for each counter reading of each cell."""
    for host in hosts:
        for workload in host.workloads:
            for row in workload.rows:
                for cell in row.cells:
                    for reading in cell.counters:
                        yield {
                            **reading,
                            "host": host.name,
                            "workload": workload.name,
                            "variant": row.variant,
                            "parameters": parameters_of(row.key),
                            "set": cell.record.counter_set,
                            "counter": counter_name(reading),
                            "record": index.place(cell.source()),
                        }


def latency_rows(hosts: Sequence[HostReport], index: RecordIndex) -> Iterable[dict[str, Any]]:
    """One flat row for each percentile of each kind of latency, and one for the largest value."""
    for host in hosts:
        for workload in host.workloads:
            for tail in (tail for row in workload.rows for tail in tails(row)):
                known = {
                    "host": host.name,
                    "workload": workload.name,
                    "variant": tail.row.variant,
                    "parameters": parameters_of(tail.row.key),
                    "role": tail.role,
                    "latency": tail.name,
                    "schedule": tail.schedule,
                    "count": tail.count,
                    "launches": tail.row.launches,
                    "records": " ".join(index.place(cell.source()) for cell in tail.row.cells),
                }
                for found in tail.percentiles:
                    yield {**known, "percentile": found.name, "ns": found.value, "low": found.low, "high": found.high, "why": found.why}
                yield {**known, "percentile": "max", "ns": tail.largest}


def phase_rows(hosts: Sequence[HostReport], index: RecordIndex) -> Iterable[dict[str, Any]]:
    """One flat row for each phase of each removal."""
    for host in hosts:
        for workload in host.workloads:
            for found in phase_table(workload):
                for phase, cost in found.costs.items():
                    yield {
                        "host": host.name,
                        "workload": workload.name,
                        "variant": found.row.variant,
                        "parameters": parameters_of(found.row.key),
                        "phase": phase,
                        "ns_per_operation": cost,
                        "flushes_sent_per_operation": found.flushes.get(phase),
                        "records": " ".join(index.place(cell.source()) for cell in found.row.cells),
                    }


def shootdown_rows(hosts: Sequence[HostReport], index: RecordIndex) -> Iterable[dict[str, Any]]:
    """One flat row for each cell that records both: interrupts expected and counted."""
    for host in hosts:
        for row in shootdown_table(host.workloads):
            yield {
                "host": host.name,
                "workload": row.key.workload,
                "mechanism": mechanism_of(host.facts).name,
                "variant": row.variant,
                "parameters": parameters_of(row.key),
                "expected_interrupts": row.expected,
                "counted_interrupts": row.counted,
                "deviation": row.deviation,
                "operations": row.operations,
                "away": row.away,
                "repetitions": row.repetitions,
                "trials": row.trials,
                "trials_excluded": row.trials_excluded,
                "verdict": row.verdict,
                "excluded": "; ".join(f"{index.place(cell.source())}/repetitions/{r.index}: {why}" for cell, r, why in row.excluded),
                "records": " ".join(index.place(cell.source()) for cell in row.cells),
            }


def parameters_of(key: CellKey) -> str:
    """The parameters as `name=value` words."""
    return " ".join(f"{name}={value}" for name, value in key.parameters)

