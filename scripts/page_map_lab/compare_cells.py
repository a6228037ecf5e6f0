"""Pairs the cells that answer the same question, and turns each pair into a ratio, an interval and a verdict.

Two pairings exist. Between two sets of records the same variant is compared with itself (before and after); inside one set
the variants are compared with one of them, the base. Where contender and base were measured in the same process, their ratio is
taken per repetition there, which cancels what the neighbours did to both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from page_map_lab.cli_errors import NotComparableError
from page_map_lab.records import Cell, CellKey, Record
from page_map_lab.statistics import (
    MINIMUM_LAUNCHES,
    RatioEstimate,
    adjusted_p_values,
    cost_ratio,
    median,
    paired_ratio,
    unpaired_ratio,
    verdict,
)

Groups = dict[CellKey, dict[str, list[Cell]]]


@dataclass(frozen=True)
class Comparison:
    """One contender against one base at one set of parameters; ratios are costs, so below 1 is better."""

    host: str
    key: CellKey
    contender: str
    base: str
    floor: bool
    metric: str
    unit: str
    direction: str
    contender_score: float
    base_score: float
    estimate: RatioEstimate
    contender_cells: tuple[Cell, ...]
    base_cells: tuple[Cell, ...]
    adjusted_p: float | None = None
    verdict: str = ""

    @property
    def excluded_repetitions(self) -> int:
        """How many repetitions of either side were left out."""
        return sum(cell.excluded_count for cell in {*self.contender_cells, *self.base_cells})

    def is_regression(self, threshold_percent: float) -> bool:
        """Slower for certain, and by more than the threshold in the estimate."""
        return self.verdict == "slower" and self.estimate.ratio > 1 + threshold_percent / 100


def group_cells(records: Iterable[Record]) -> Groups:
    """Cells by question and then by variant, one for each launch that measured it."""
    groups: Groups = defaultdict(lambda: defaultdict(list))
    for record in records:
        for cell in record.cells:
            groups[cell.key][cell.variant].append(cell)
    return {key: dict(groups[key]) for key in sorted(groups, key=CellKey.sort_key)}


def launch_score(cell: Cell) -> float | None:
    """The launch's one number: the median of its usable repetitions, None when there are none."""
    scores = [repetition.score for repetition in cell.usable_repetitions if repetition.score is not None]
    return median(scores) if scores else None


def typical_score(cells: Sequence[Cell]) -> float | None:
    """The median over launches of each launch's median."""
    scores = _scores(cells)
    return median(scores) if scores else None


def compare_sets(base: Sequence[Record], contender: Sequence[Record]) -> list[Comparison]:
    """Every cell that both sets have, contender over base, with verdicts."""
    base_groups, contender_groups = group_cells(base), group_cells(contender)
    comparisons = []
    for key, variants in contender_groups.items():
        for variant, cells in variants.items():
            base_cells = base_groups.get(key, {}).get(variant, [])
            estimate = _unpaired(cells, base_cells)
            if estimate is not None:
                comparisons.append(_comparison(cells, base_cells, variant, estimate, typical_score(base_cells)))
    return with_verdicts(comparisons)


def compare_variants(records: Sequence[Record], base_name: str) -> list[Comparison]:
    """Every other variant and floor of one set against the base, at the same parameters, with verdicts."""
    comparisons = []
    for key, variants in group_cells(records).items():
        base = base_for(base_name, variants)
        if base is None:
            continue
        base_cells = variants.get(base, [])
        for variant, cells in variants.items():
            if variant == base:
                continue
            estimate, base_score = _best_estimate(cells, base_cells, base)
            if estimate is not None:
                comparisons.append(_comparison(cells, base_cells, base, estimate, base_score))
    return with_verdicts(comparisons)


def base_for(base_name: str, variants: dict[str, list[Cell]]) -> str | None:
    """The base's name in a workload that feels only some of the base's axes; None when it was not measured there.

    An axis that a name leaves out has its default, so the longest name made only of the base's policies is the base.
    """
    measured = set(variants) | {
        repetition.beside_name
        for cells in variants.values()
        for cell in cells
        for repetition in cell.repetitions
        if repetition.beside_name
    }
    if base_name in measured:
        return base_name
    policies = set(base_name.split("/"))
    matching = [name for name in measured if set(name.split("/")) <= policies]
    return max(matching, key=lambda name: (name.count("/"), name), default=None)


def with_verdicts(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with corrected p-values and verdicts, corrected over all of them together."""
    adjusted = adjusted_p_values([comparison.estimate.p_value for comparison in comparisons])
    return [
        replace(comparison, adjusted_p=value, verdict=verdict(comparison.estimate, value))
        for comparison, value in zip(comparisons, adjusted, strict=True)
    ]


def paired_launch_ratios(cell: Cell, base: str, base_cells: Sequence[Cell]) -> tuple[list[float], float] | None:
    """The ratios inside one launch and the base's score there, or None when the base was not in that launch.

    A base measured immediately beside each repetition is preferred to one whose repetitions were interleaved.
    """
    pairs = [
        (repetition.score, repetition.beside_score)
        for repetition in cell.usable_repetitions
        if repetition.beside_name == base and repetition.beside_score
    ]
    if not pairs:
        in_launch = next((other for other in base_cells if other.record is cell.record), None)
        if in_launch is None:
            return None
        by_index = {repetition.index: repetition.score for repetition in in_launch.usable_repetitions}
        pairs = [(r.score, by_index[r.index]) for r in cell.usable_repetitions if r.index in by_index]
    if not pairs:
        return None
    ratios = [cost_ratio(contender, base_score, cell.direction) for contender, base_score in pairs]
    return ratios, median([base_score for _, base_score in pairs])


def _best_estimate(
    cells: Sequence[Cell], base_cells: Sequence[Cell], base: str
) -> tuple[RatioEstimate | None, float | None]:
    pairs = [pair for cell in cells if (pair := paired_launch_ratios(cell, base, base_cells)) is not None]
    if len(pairs) < MINIMUM_LAUNCHES:
        unpaired = _unpaired(cells, base_cells)
        if not pairs or (unpaired is not None and unpaired.has_interval):
            return unpaired, typical_score(base_cells)
    return paired_ratio([ratios for ratios, _ in pairs]), median([score for _, score in pairs])


def _unpaired(cells: Sequence[Cell], base_cells: Sequence[Cell]) -> RatioEstimate | None:
    contender, base = repetition_scores(cells), repetition_scores(base_cells)
    if not contender or not base:
        return None
    return unpaired_ratio(contender, base, cells[0].direction)


def repetition_scores(cells: Sequence[Cell]) -> list[list[float]]:
    """The scores of each launch's usable repetitions, without the launches that have none."""
    launches = ([r.score for r in cell.usable_repetitions if r.score is not None] for cell in cells)
    return [scores for scores in launches if scores]


def _scores(cells: Sequence[Cell]) -> list[float]:
    return [median(scores) for scores in repetition_scores(cells)]


def _comparison(
    cells: Sequence[Cell], base_cells: Sequence[Cell], base: str, estimate: RatioEstimate, base_score: float | None
) -> Comparison:
    first = cells[0]
    for other in (*cells, *base_cells):
        for name in ("metric", "unit", "direction"):
            if getattr(other, name) != getattr(first, name):
                raise NotComparableError(
                    f"score.{name} of {first.key.workload} {first.key.text()} differs: {getattr(first, name)!r} in "
                    f"{first.source()}, {getattr(other, name)!r} in {other.source()}: measure both with one version"
                )
    contender_score = typical_score(cells)
    if contender_score is None or base_score is None:
        raise ValueError("a comparison was made of cells without scores")
    return Comparison(
        host=first.record.host_name,
        key=first.key,
        contender=first.variant,
        base=base,
        floor=first.floor,
        metric=first.metric,
        unit=first.unit,
        direction=first.direction,
        contender_score=contender_score,
        base_score=base_score,
        estimate=estimate,
        contender_cells=tuple(cells),
        base_cells=tuple(base_cells),
    )
