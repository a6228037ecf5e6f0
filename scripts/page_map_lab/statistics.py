"""Ratios of two costs with a 95 % interval over launches, and the correction for asking many questions at once.

Every function takes one number per launch (a fresh process), never one per repetition: repetitions inside a process share its
memory layout and its neighbours, so they agree with each other more than the next process will agree with them.

A ratio here is always a cost ratio, contender over base, in the direction in which smaller is better; `cost_ratio` turns a
throughput around. The choices made here are explained in docs/measuring.md and held by tests on simulated data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MINIMUM_LAUNCHES = 5
CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 4000
BOOTSTRAP_SEED = 20140201

FASTER = "faster"
SLOWER = "slower"
INDISTINGUISHABLE = "indistinguishable"
NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class RatioEstimate:
    """One ratio and how sure it is.

    `ratio` is there whenever both sides have at least one number; `low`, `high` and `p_value` are None below
    MINIMUM_LAUNCHES launches a side, and `why` then says what is missing.
    """

    ratio: float
    low: float | None
    high: float | None
    p_value: float | None
    contender_launches: int
    base_launches: int
    method: str
    why: str | None = None

    @property
    def has_interval(self) -> bool:
        """Whether low and high are known."""
        return self.low is not None


def median(values: Sequence[float]) -> float:
    """The median of at least one value."""
    return float(np.median(np.asarray(values, dtype=float)))


def cost_ratio(contender: float, base: float, direction: str) -> float:
    """contender / base for a cost, base / contender for a score of which more is better: below 1 is always better."""
    return base / contender if direction == "higher_is_better" else contender / base


def paired_ratio(ratios: Sequence[float]) -> RatioEstimate:
    """Estimate from one ratio per launch in which contender and base ran side by side.

    The estimate is the geometric mean, the interval Student's t on the logarithms: with five launches no interval of order
    statistics reaches 95 %, and a stray launch makes this one wider instead of hiding.
    """
    logs = np.log(np.asarray(ratios, dtype=float))
    count = int(logs.size)
    centre = float(logs.mean())
    method = "paired within each launch: geometric mean, Student's t on log ratios"
    if count < MINIMUM_LAUNCHES:
        return _without_interval(math.exp(centre), count, count, method)
    spread = float(logs.std(ddof=1)) / math.sqrt(count)
    half_width = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * spread
    return RatioEstimate(
        math.exp(centre),
        math.exp(centre - half_width),
        math.exp(centre + half_width),
        _two_sided_p(centre, spread, count - 1),
        count,
        count,
        method,
    )


def unpaired_ratio(contender: Sequence[float], base: Sequence[float], direction: str) -> RatioEstimate:
    """Estimate from one score per launch on each side, when the two sides ran in different launches.

    The estimate is the ratio of medians, the interval its percentile bootstrap with a fixed seed. The p-value is Welch's t on
    the logarithms: a bootstrap of five against five knows only a few different medians, and its smallest p-values would pass
    any correction by accident.
    """
    sign = -1.0 if direction == "higher_is_better" else 1.0
    logs_contender = sign * np.log(np.asarray(contender, dtype=float))
    logs_base = sign * np.log(np.asarray(base, dtype=float))
    sizes = int(logs_contender.size), int(logs_base.size)
    centre = float(np.median(logs_contender) - np.median(logs_base))
    method = "different launches: ratio of medians, bootstrap"
    if min(sizes) < MINIMUM_LAUNCHES:
        return _without_interval(math.exp(centre), *sizes, method)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    resampled = _resampled_medians(generator, logs_contender) - _resampled_medians(generator, logs_base)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return RatioEstimate(
        math.exp(centre),
        math.exp(min(float(low), centre)),
        math.exp(max(float(high), centre)),
        _welch_p(logs_contender, logs_base),
        *sizes,
        method,
    )


def adjusted_p_values(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg: among the differences reported at 0.05, at most one in twenty is expected to be none.

    Entries that are None (not enough data) ask no question, so they do not count as one and stay None.
    """
    asked = [(value, position) for position, value in enumerate(p_values) if value is not None]
    asked.sort(reverse=True)
    adjusted: list[float | None] = [None] * len(p_values)
    smallest = 1.0
    for rank_from_top, (value, position) in enumerate(asked):
        rank = len(asked) - rank_from_top
        smallest = min(smallest, value * len(asked) / rank)
        adjusted[position] = smallest
    return adjusted


def verdict(estimate: RatioEstimate, adjusted_p: float | None) -> str:
    """faster or slower only when the interval excludes 1 and the corrected p-value agrees."""
    if estimate.low is None or estimate.high is None or adjusted_p is None:
        return NOT_ENOUGH_DATA
    if adjusted_p > 1 - CONFIDENCE or estimate.low <= 1.0 <= estimate.high:
        return INDISTINGUISHABLE
    return FASTER if estimate.high < 1.0 else SLOWER


def _without_interval(ratio: float, contender_launches: int, base_launches: int, method: str) -> RatioEstimate:
    fewest = min(contender_launches, base_launches)
    plural = "launch" if fewest == 1 else "launches"
    why = f"{fewest} {plural}; an interval needs {MINIMUM_LAUNCHES}"
    return RatioEstimate(ratio, None, None, None, contender_launches, base_launches, method, why)


def _resampled_medians(generator: np.random.Generator, values: np.ndarray) -> np.ndarray:
    picks = generator.integers(0, values.size, (BOOTSTRAP_RESAMPLES, values.size))
    return np.median(values[picks], axis=1)


def _two_sided_p(centre: float, spread: float, degrees: float) -> float:
    # Deterministic scores (counts, identical files) have no spread: equal is certain, and so is different.
    if spread == 0.0:
        return 1.0 if centre == 0.0 else 0.0
    return float(2 * stats.t.sf(abs(centre) / spread, degrees))


def _welch_p(left: np.ndarray, right: np.ndarray) -> float:
    variance_left = float(left.var(ddof=1)) / left.size
    variance_right = float(right.var(ddof=1)) / right.size
    total = variance_left + variance_right
    centre = float(left.mean() - right.mean())
    if total == 0.0:
        return 1.0 if centre == 0.0 else 0.0
    degrees = total**2 / (variance_left**2 / (left.size - 1) + variance_right**2 / (right.size - 1))
    return _two_sided_p(centre, math.sqrt(total), degrees)
