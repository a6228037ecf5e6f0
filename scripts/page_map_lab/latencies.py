"""Percentiles of latencies and stalls up to p99.99, with intervals over launches, from the histograms in the records.

A percentile is that of all launches together. Its interval is from a bootstrap of launches: the standard error of the logarithm,
times Student's quantile, for the reason that hierarchical.py gives; it is never narrower than the bucket of the histogram that
the percentile lies in. A percentile beyond which fewer than FEWEST_BEYOND values are to be expected is no percentile but the luck
of a few, and is left out with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from page_map_lab.distributions import CONFIDENCE, student_quantile
from page_map_lab.records import Cell
from page_map_lab.report_model import Row
from page_map_lab.statistics import MINIMUM_LAUNCHES

SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999)
FEWEST_BEYOND = 10
RESAMPLES = 400
SEED = 20140202
VICTIM = "victim"  # the role whose histogram holds stalls, of which nobody decides when they begin
INTERVAL_PARAMETER = "interval_ns"


@dataclass(frozen=True)
class Percentile:
    """One percentile in ns; `why` says why there is no value, or no interval."""

    share: float
    value: float | None
    low: float | None
    high: float | None
    why: str | None

    @property
    def name(self) -> str:
        """`p99.9`."""
        return f"p{100 * self.share:g}"


@dataclass(frozen=True)
class Tail:
    """One kind of latency of one row, all launches together."""

    row: Row
    role: str
    name: str
    count: int
    percentiles: tuple[Percentile, ...]
    largest: int  # ns
    schedule: str

    @property
    def is_closed(self) -> bool:
        """Whether a slow operation delays the next one, so that those which would have waited are not in the histogram."""
        return self.schedule == "closed loop"


def tails(row: Row) -> list[Tail]:
    """Every kind of latency that the row's launches recorded."""
    found = []
    for role, name in dict.fromkeys((h["role"], h["name"]) for cell in row.cells for h in cell.histograms):
        edges, counts = _by_launch(row.cells, role, name)
        if len(counts):
            largest = max(h["max"] or 0 for h in _of_kind(row.cells, role, name))
            found.append(Tail(row, role, name, int(counts.sum()), percentiles(edges, counts), largest, _schedule(row, role)))
    return found


def percentiles(edges: np.ndarray, counts: np.ndarray) -> tuple[Percentile, ...]:
    """Those of SHARES, from the buckets [lower, upper] and how many values each launch has in each of them."""
    launches, total = len(counts), counts.sum()
    enough = [share for share in SHARES if total * (1 - share) >= FEWEST_BEYOND - 1e-6]
    positions = _positions(counts.sum(axis=0), enough)
    errors = np.zeros(len(enough))
    if launches >= MINIMUM_LAUNCHES and enough:
        picks = np.random.default_rng(SEED).multinomial(launches, [1 / launches] * launches, RESAMPLES)
        drawn = np.array([_positions(weights @ counts, enough) for weights in picks])
        # The bootstrap's variance is that of launches around their own mean, which is too small by one in so many.
        errors = np.log(edges[drawn, 1]).std(axis=0) * math.sqrt(launches / (launches - 1))
    half_widths = errors * student_quantile(0.5 + CONFIDENCE / 2, max(1, launches - 1))
    found = [
        _percentile(share, edges[position], float(half), launches)
        for share, position, half in zip(enough, positions, half_widths, strict=True)
    ]
    few = [Percentile(share, None, None, None, f"needs {_needed(share)} values") for share in SHARES[len(enough) :]]
    return (*found, *few)


def merged_histogram(cells: Sequence[Cell], role: str, name: str) -> dict[str, Any] | None:
    """The launches' histograms of one kind added up, or None where none of the cells has it."""
    edges, counts = _by_launch(cells, role, name)
    if not len(counts):
        return None
    return {"count": counts.sum(), "buckets": [[*edge, count] for edge, count in zip(edges, counts.sum(axis=0), strict=True)]}


def percentile(histogram: dict[str, Any], share: float) -> float:
    """The upper edge of the bucket in which the percentile lies."""
    buckets = np.asarray(histogram["buckets"], dtype=float)
    return float(buckets[_positions(buckets[:, 2], [share])[0], 1])


def _percentile(share: float, bucket: np.ndarray, half_width: float, launches: int) -> Percentile:
    lower, upper = map(float, bucket)
    if launches < MINIMUM_LAUNCHES:
        return Percentile(share, upper, None, None, f"an interval needs {MINIMUM_LAUNCHES} launches")
    return Percentile(share, upper, min(lower, upper * math.exp(-half_width)), upper * math.exp(half_width), None)


def _needed(share: float) -> int:
    return round(FEWEST_BEYOND / (1 - share))


def _positions(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The buckets in which the percentiles lie."""
    upto = np.cumsum(counts)
    return np.minimum(np.searchsorted(upto, np.asarray(shares) * upto[-1] - 1e-9), len(upto) - 1)


def _schedule(row: Row, role: str) -> str:
    if role == VICTIM:
        return "as they come"
    interval = row.key.value(INTERVAL_PARAMETER)
    return f"open loop, one every {interval} ns" if interval else "closed loop"


def _of_kind(cells: Sequence[Cell], role: str, name: str) -> Iterable[dict[str, Any]]:
    return (h for cell in cells for h in cell.histograms if (h["role"], h["name"]) == (role, name) and h["buckets"])


def _by_launch(cells: Sequence[Cell], role: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The buckets of all launches in order, and how many values each launch has in each of them."""
    launches = [histogram["buckets"] for histogram in _of_kind(cells, role, name)]
    edges = sorted({(lower, upper) for buckets in launches for lower, upper, _ in buckets})
    place = {edge: position for position, edge in enumerate(edges)}
    counts = np.zeros((len(launches), len(edges)))
    for row, buckets in zip(counts, launches, strict=True):
        for lower, upper, count in buckets:
            row[place[lower, upper]] = count
    return np.asarray(edges, dtype=float), counts
