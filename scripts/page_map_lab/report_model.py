"""What a report says, before it is drawn: hosts, workloads, rows with ratios, and the answer to each workload's question.

Hosts are kept apart from the first step on: no raw time of one host ever meets one of another, only ratios stand side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from page_map_lab.compare_cells import Comparison, base_for, compare_variants, group_cells, launch_score, typical_score
from page_map_lab.records import Cell, CellKey, Record
from page_map_lab.report_answers import Answer, answer
from page_map_lab.statistics import median

# The catalog's base. Records do not say it, and may be older than the binaries that could.
DEFAULT_BASE = "layout:radix/read:rcu_qsbr/shootdown:batched"

# Each workload in the words of whoever looks for it, in the order in which a report answers.
TOPICS = {
    "lookup": "Random reads, every page resident",
    "mixed": "Random reads and writes, with eviction",
    "replay": "A recorded program, with eviction",
    "remove": "Removing pages",
    "shootdown": "Revoking mapped pages",
    "fault": "Page faults",
    "load": "Threads racing to load pages",
    "insert": "Adding new pages",
}
QUESTIONS = {
    "lookup": "Which layout and read path find a resident page fastest?",
    "insert": "Which layout takes new pages fastest?",
    "load": "What does it cost when threads race to load pages?",
    "fault": "What does touching a page cost that is not there, or not writable?",
    "shootdown": "Which way of revoking mapped pages costs the initiator and its victims least?",
    "remove": "How fast are pages taken away again, and which phase costs most?",
    "mixed": "Which variant serves readers and writers best while an evictor keeps the map small?",
    "replay": "Which variant replays the recorded trace of a real program fastest?",
}

# Which cell answers a workload's question when several are measured alike: the plainest one.
PLAIN_PARAMETERS = {
    "pattern": "uniform",
    "access": "hit",
    "sharing": "all",
    "layout": "contiguous",
    "victims_touch": "outside",
    "dirty_percent": 0,
}


@dataclass(frozen=True)
class Row:
    """One variant at one set of parameters on one host; `comparison` is None for the base itself and where there is none."""

    key: CellKey
    variant: str
    label: str
    is_base: bool
    cells: tuple[Cell, ...]
    score: float | None
    comparison: Comparison | None

    @property
    def floor(self) -> bool:
        """Whether this is a floor, which is held against but cannot win."""
        return self.cells[0].floor

    @property
    def verdict(self) -> str:
        """faster, slower and so on, or nothing where there is no comparison."""
        return self.comparison.verdict if self.comparison is not None else ""

    @property
    def launches(self) -> int:
        """How many launches gave a usable score."""
        return sum(launch_score(cell) is not None for cell in self.cells)

    @property
    def excluded(self) -> int:
        """How many repetitions were left out."""
        return sum(cell.excluded_count for cell in self.cells)

    @property
    def certainty(self) -> str:
        """interval, single launch, or how many launches there are."""
        if self.comparison is not None and self.comparison.estimate.has_interval:
            return "interval"
        if self.is_base:
            return "base"
        return "single launch" if self.launches == 1 else f"{self.launches} launches"


@dataclass
class WorkloadReport:
    """Everything about one workload on one host."""

    name: str
    topic: str
    question: str
    rows: list[Row]
    base: str | None
    headline: CellKey | None
    answer: Answer

    def at(self, key: CellKey) -> list[Row]:
        """The rows of one question."""
        return [row for row in self.rows if row.key == key]

    def keys(self) -> list[CellKey]:
        """Every question asked, in order."""
        return list(dict.fromkeys(row.key for row in self.rows))


@dataclass
class HostReport:
    """Everything about one host."""

    name: str
    records: list[Record]
    workloads: list[WorkloadReport] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        """The host's facts as its first record has them."""
        return self.records[0].host


def build(records: Sequence[Record], base: str = DEFAULT_BASE) -> list[HostReport]:
    """One report for each host, ordered by name."""
    by_host: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_host[record.host_name].append(record)
    return [_host(name, by_host[name], base) for name in sorted(by_host)]


def short_label(variant: str, base: str | None) -> str:
    """What sets the variant apart from the base: `read:rcu_memb` rather than the whole name."""
    if base is None or variant == base or variant.startswith("floor:"):
        return variant
    different = [part for part in variant.split("/") if part not in base.split("/")]
    return " ".join(different) or variant


def steps_away(variant: str, base: str | None) -> int:
    """On how many axes the variant differs from the base."""
    return 0 if base is None else len(set(variant.split("/")) - set(base.split("/")))


def _host(name: str, records: list[Record], base: str) -> HostReport:
    report = HostReport(name, records)
    groups = group_cells(records)
    comparisons = {(c.key, c.contender): c for c in compare_variants(records, base)}
    known = list(TOPICS)
    measured = dict.fromkeys(key.workload for key in groups)
    for workload in sorted(measured, key=lambda name: (known.index(name) if name in known else len(known), name)):
        keys = [key for key in groups if key.workload == workload]
        bases = {key: base_for(base, groups[key]) for key in keys}
        rows = []
        for key in keys:
            for variant, cells in groups[key].items():
                rows.append(
                    Row(
                        key,
                        variant,
                        short_label(variant, bases[key]),
                        variant == bases[key],
                        tuple(cells),
                        typical_score(cells),
                        comparisons.get((key, variant)),
                    )
                )
        found_base = next((found for found in bases.values() if found), None)
        headline = _headline(keys, rows)
        question = QUESTIONS.get(workload, f"Which variant is best at {workload}?")
        found = answer([row for row in rows if row.key == headline], rows)
        topic = TOPICS.get(workload, workload)
        report.workloads.append(WorkloadReport(workload, topic, question, rows, found_base, headline, found))
    return report


def _headline(keys: Sequence[CellKey], rows: Sequence[Row]) -> CellKey | None:
    def worth(key: CellKey) -> tuple[Any, ...]:
        here = [row for row in rows if row.key == key]
        intervals = sum(row.certainty == "interval" for row in here)
        plain = sum(key.value(name) == value for name, value in PLAIN_PARAMETERS.items())
        pages = key.value("pages")
        # 512 pages is one page-table page: a typical batch, and beyond the kernel's ceiling for single flushes.
        typical = -abs(int(pages) - 512) if isinstance(pages, (int, float)) and key.workload == "shootdown" else 0
        return key.memory in ("", "local"), intervals, len(here), plain, typical

    return max(keys, key=worth, default=None)


def metric_of(row: Row, metric: str) -> float | None:
    """The median over launches of a metric of the cell, or of its repetitions where the cell has none."""
    values = []
    for cell in row.cells:
        if isinstance(cell.metrics.get(metric), (int, float)):
            values.append(float(cell.metrics[metric]))
            continue
        inside = [r.metrics[metric] for r in cell.usable_repetitions if isinstance(r.metrics.get(metric), (int, float))]
        if inside:
            values.append(median(inside))
    return median(values) if values else None


def phase_costs(cells: Sequence[Cell]) -> dict[str, float]:
    """Phase to nanoseconds per operation, the median of the launches."""
    found: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        for phase in cell.phases:
            if phase.get("ns") is not None and phase.get("operations"):
                found[str(phase["name"])].append(phase["ns"] / phase["operations"])
    return {name: median(values) for name, values in found.items()}


def counter_name(reading: dict[str, Any]) -> str:
    """The counter's name with whose it is and in which mode, where that is not everybody's."""
    words = [str(reading["name"])]
    if reading.get("role"):
        words.append(str(reading["role"]))
    if reading.get("mode") in ("user", "kernel"):
        words.append(str(reading["mode"]))
    if reading.get("cpu") is not None:
        words.append(f"cpu {reading['cpu']}")
    return " ".join(words)
