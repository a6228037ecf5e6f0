"""Two tables that say why: where a removal's time goes, phase by phase, and whether the interrupts that a policy should cost
are those that arrived. Both come from the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from page_map_lab.records import Cell, CellKey, Repetition
from page_map_lab.report_model import Row, WorkloadReport, metric_of, phase_costs
from page_map_lab.statistics import median

SENT = "tlb_flush_remote_sent_intent"
# Bars for an agreement of expected and counted interrupts, and for how much of what was measured may have been excluded.
AGREEMENT = 0.05
MOST_EXCLUDED = 0.10
# In each workload: how many operations a repetition counted, and how many trials it threw away, which nothing else lists.
COUNTED_AND_DISCARDED = {"shootdown": ("operations", "attempts_discarded"), "remove": ("removals", "removals_discarded")}
INTERRUPT_MECHANISMS = ("ipi", "ipi_paravirtual")
# The phases in which a removal does nothing but wait, and for what.
WAITING = {"lock": "a lock", "grace_period": "a grace period"}


@dataclass(frozen=True)
class PhaseRow:
    """One variant's removal: time a phase in ns, and what was counted for each removal; None where it was not."""

    row: Row
    costs: dict[str, float]
    flushes: dict[str, float]
    system_calls: float | None
    interrupts: float | None
    victim_stall_ns: float | None
    waits: float | None

    @property
    def total(self) -> float:
        """All phases together."""
        return sum(self.costs.values())

    @property
    def flushing_share(self) -> float | None:
        """The share of the time that is spent in phases that sent flushes to other processors; None where nobody counted."""
        if not self.flushes or self.total <= 0:
            return None
        return sum(cost for name, cost in self.costs.items() if self.flushes.get(name)) / self.total

    @property
    def verdict(self) -> str:
        """The TLB or the lock, in a few words."""
        share = self.flushing_share
        flushing = ", ".join(name.replace("_", " ") for name in self.costs if self.flushes.get(name))
        flushes = "flushes were not counted" if share is None else f"{100 * share:.0f} % in phases that flush ({flushing or 'none'})"
        waits = [f"{100 * self.costs[name] / self.total:.0f} % waiting for {what}" for name, what in WAITING.items() if name in self.costs and self.total > 0]
        return ", ".join([flushes, *waits])


def phase_table(workload: WorkloadReport) -> list[PhaseRow]:
    """A row for each variant and set of parameters with phases."""
    return [
        PhaseRow(
            row,
            costs,
            _flushes(row.cells),
            metric_of(row, "system_calls_per_operation"),
            metric_of(row, "interrupts_per_operation"),
            metric_of(row, "victim_stall_ns_per_operation"),
            _counted(row.cells, "context_switches", "initiator"),
        )
        for row in workload.rows
        if (costs := phase_costs(row.cells))
    ]


def _flushes(cells: Sequence[Cell]) -> dict[str, float]:
    """Phase to flushes sent in it, the median of the launches; empty where the flushes were not counted."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        for phase in cell.phases:
            for reading in phase.get("counters") or ():
                if reading["name"] == SENT and reading.get("per_operation") is not None:
                    found.setdefault(str(phase["name"]), []).append(float(reading["per_operation"]))
    return {name: median(values) for name, values in found.items()}


def _counted(cells: Sequence[Cell], name: str, role: str) -> float | None:
    values = [
        float(reading["per_operation"])
        for cell in cells
        for reading in cell.counters
        if reading["name"] == name and reading.get("role") == role and reading.get("per_operation") is not None
    ]
    return median(values) if values else None


@dataclass
class ShootdownRow:
    """One variant at one set of parameters: interrupts that its flushes should cost its victims, and those counted there.

    `trials` are what could be excluded: removals; of the shootdown workload repetitions, and attempts at them.
    """

    key: CellKey
    variant: str
    cells: tuple[Cell, ...]
    countable: bool
    expected: float | None = None
    counted: float | None = None
    operations: int = 0
    repetitions: int = 0
    trials: int = 0
    trials_excluded: int = 0
    away: float = 0.0
    excluded: list[tuple[Cell, Repetition, str]] = field(default_factory=list)

    @property
    def deviation(self) -> float | None:
        """How far the counted are from the expected, as a share of these."""
        return None if not self.expected or self.counted is None else self.counted / self.expected - 1

    @property
    def excluded_share(self) -> float:
        """The share of the trials that prove nothing."""
        return self.trials_excluded / self.trials if self.trials else 0.0

    @property
    def returns_memory(self) -> bool:
        """Whether the operations also give memory back, which interrupts victims by itself."""
        return self.key.workload == "remove" and not self.cells[0].floor and self.cells[0].policies.get("frames") != "keep"

    @property
    def agrees(self) -> bool:
        """Whether the two were proven to agree."""
        return self.deviation is not None and abs(self.deviation) <= AGREEMENT and not self.returns_memory

    @property
    def verdict(self) -> str:
        """Whether the two agree, as far as that was proven."""
        if not self.countable:
            return "not countable here"
        if self.deviation is None:
            return "no proof"
        if self.returns_memory:
            return "with the return of memory"
        agrees = "agree" if self.agrees else "differ"
        return agrees if self.excluded_share <= MOST_EXCLUDED else f"{agrees}, too many excluded"


@dataclass(frozen=True)
class Mechanism:
    """How a machine shoots down, and how that is known."""

    name: str
    why: str

    @property
    def interrupts(self) -> bool:
        """Whether victims are interrupted, so that there is something to count."""
        return self.name in (*INTERRUPT_MECHANISMS, "unknown")


def mechanism_of(facts: dict[str, Any]) -> Mechanism:
    """What a host's facts say of its shootdowns."""
    found = facts.get("tlb_mechanism")
    if not isinstance(found, dict):
        return Mechanism(str(found or "unknown"), "")
    return Mechanism(str(found.get("value") or "unknown"), str(found.get("why") or ""))


def shootdown_summary(rows: Sequence[ShootdownRow], mechanism: Mechanism) -> str:
    """How many cells agree, or why nobody can tell, in one sentence."""
    if not mechanism.interrupts:
        why = f" ({mechanism.why.rstrip('.')})" if mechanism.why else ""
        return f"Here interrupts cannot be counted, since the mechanism is {mechanism.name}{why}: the expected stand alone."
    judged = [row for row in rows if not row.returns_memory]
    agree, excluded, trials = sum(r.agrees for r in judged), sum(r.trials_excluded for r in rows), sum(r.trials for r in rows)
    return f"Here {agree} of {len(judged)} cells agree, and {excluded} of {trials} trials are excluded."


def shootdown_table(workloads: Iterable[WorkloadReport]) -> list[ShootdownRow]:
    """Expected and counted interrupts of every cell that records both."""
    return [
        _shootdown_row(row)
        for workload in workloads
        if workload.name in COUNTED_AND_DISCARDED
        for row in workload.rows
        if _has_both(row)
    ]


def _has_both(row: Row) -> bool:
    return any("expected_interrupts_per_operation" in r.metrics for cell in row.cells for r in cell.repetitions)


def _shootdown_row(row: Row) -> ShootdownRow:
    made = ShootdownRow(row.key, row.variant, row.cells, mechanism_of(row.cells[0].record.host).interrupts)
    counts, discards = COUNTED_AND_DISCARDED[row.key.workload]
    expected = counted = 0.0
    for cell in row.cells:
        for repetition in cell.repetitions:
            made.repetitions += 1
            metrics = repetition.metrics
            operations = float(metrics.get(counts) or 0)
            discarded = int(metrics.get(discards) or 0)
            why = _why_no_proof(repetition, metrics, operations, made.countable)
            kept = 0 if why else int(operations) if row.key.workload == "remove" else 1
            lost = max(discarded, 1) if why and row.key.workload == "remove" else discarded + bool(why)
            made.trials += kept + lost
            made.trials_excluded += lost
            if discarded and not why:
                made.excluded.append((cell, repetition, f"{discarded} before it: {metrics.get(f'{discards}_why') or 'a victim was away'}"))
            if why:
                made.excluded.append((cell, repetition, why))
                continue
            made.operations += int(operations)
            made.away += float(metrics.get("victims_away_per_operation") or 0) * operations
            expected += metrics["expected_interrupts_per_operation"] * operations
            counted += metrics["interrupts_per_operation"] * operations if made.countable else 0.0
    if made.operations:
        made.expected, made.counted, made.away = (value / made.operations for value in (expected, counted, made.away))
    if not made.countable:
        made.counted = None
    return made


def _why_no_proof(repetition: Repetition, metrics: dict[str, Any], operations: float, countable: bool) -> str:
    if repetition.excluded is not None:
        return repetition.excluded
    if metrics.get("expected_interrupts_per_operation") is None or (countable and metrics.get("interrupts_per_operation") is None):
        return "interrupts were not counted"
    missed = float(metrics.get("operations_discarded") or 0)
    if "victims_away_per_operation" not in metrics and missed > 0:
        return f"a victim left its processor in {missed:.0f} of {operations:.0f} operations, all of which are in the count"
    return "" if operations > 0 else "no operation counts"
