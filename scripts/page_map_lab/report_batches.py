"""How many pages to revoke at once: what the shootdowns that were measured say of the size of a batch, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from page_map_lab.compare_cells import launch_score
from page_map_lab.records import CellKey
from page_map_lab.report_answers import interval_words, ratio_words, words_of
from page_map_lab.report_model import Row, WorkloadReport
from page_map_lab.statistics import SLOWER, median

ONE_BY_ONE = "shootdown:per_page"
LITTLE = 1.1  # what a page of a batch may cost over one of the largest, and larger batches still count as gaining little
MOST_SIZES = 4


def advice(workload: WorkloadReport) -> str:
    """From how many pages on a batch surely costs less than page by page, and from how many on larger ones gain little; nothing where the
    workload is another, or one size was measured."""
    if workload.name != "shootdown" or workload.headline is None:
        return ""
    sizes = _sizes(workload, workload.headline)
    if len(sizes) < 2:
        return ""
    return f"Size of a batch ({_around(workload.headline)}): {_against_one_by_one(workload, sizes)} {_against_the_largest(sizes)}"


def _sizes(workload: WorkloadReport, headline: CellKey) -> list[Row]:
    """The base at each number of pages, all else as in the headline, the smallest first."""
    found = [row for row in workload.rows if row.is_base and row.score is not None and _but_pages(row.key) == _but_pages(headline)]
    return sorted(found, key=_pages)


def _but_pages(key: CellKey) -> tuple[object, ...]:
    return tuple(item for item in key.parameters if item[0] != "pages"), key.size, key.plan, key.memory


def _around(key: CellKey) -> str:
    """The other parameters, without the options that are off."""
    kept = tuple((name, value) for name, value in key.parameters if name != "pages" and value != 0)
    return words_of(replace(key, parameters=kept))


def _against_one_by_one(workload: WorkloadReport, sizes: Sequence[Row]) -> str:
    dearer: Row | None = None
    for row in reversed(sizes):  # from the largest down, as far as it is sure without a gap
        alone = next((other for other in workload.at(row.key) if other.variant.startswith(ONE_BY_ONE)), None)
        if alone is None or alone.verdict != SLOWER:
            break
        dearer = alone
    if dearer is None or dearer.comparison is None:
        return "no size at which page by page surely costs more was measured."
    estimate = dearer.comparison.estimate
    ratio = f"{ratio_words(estimate.ratio)}, {interval_words(estimate.low, estimate.high)}"
    return f"from {_pages(dearer)} pages on, page by page surely costs more ({ratio} there)."


def _against_the_largest(sizes: Sequence[Row]) -> str:
    largest = sizes[-1]
    costs = {_pages(row): _relative(row, largest) for row in sizes[:-1]}
    enough = _pages(largest)
    for pages, cost in reversed(costs.items()):
        if cost > LITTLE:
            break
        enough = pages
    shown = list(costs.items())[-MOST_SIZES:]
    said = ", ".join(f"{cost:.2f} times at {pages}" for pages, cost in shown)
    verdict = f"beyond {enough} there is little to gain"
    if enough == _pages(largest):
        verdict = "larger batches than that may gain more"
    return f"Against a page of the largest, {_pages(largest)} pages, one costs {said} (medians): {verdict}."


def _relative(row: Row, largest: Row) -> float:
    """The cost of a page over that at the largest size: the median over the launches that have both, else of all."""
    of_largest = {cell.record.path: launch_score(cell) for cell in largest.cells}
    pairs = [(launch_score(cell), of_largest.get(cell.record.path)) for cell in row.cells]
    ratios = [score / base for score, base in pairs if score is not None and base]
    return median(ratios) if ratios else float(row.score or 0) / float(largest.score or 1)


def _pages(row: Row) -> int:
    return int(row.key.value("pages"))
