"""Ratios of two costs with a 95 % interval over launches, and the correction for asking many questions at once.

Every function takes launches (fresh processes), each with its repetitions. Repetitions inside a process share its memory
layout and its neighbours, so they agree with each other more than the next process will: a launch counts as one number, the
median of its repetitions, and hierarchical.py says how sure the average over launches is.

A ratio here is always a cost ratio, contender over base, in the direction in which smaller is better; `cost_ratio` turns a
throughput around. The choices made here are explained in docs/measuring.md and held by tests on simulated data.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from page_map_lab.distributions import CONFIDENCE
from page_map_lab.hierarchical import Estimate, difference, estimate

MINIMUM_LAUNCHES = 5

FASTER = "faster"
SLOWER = "slower"
INDISTINGUISHABLE = "indistinguishable"
NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class RatioEstimate:
    """One ratio and how sure it is.

    `ratio` is there whenever both sides have at least one number; `low`, `high` and `p_value` are None below
    MINIMUM_LAUNCHES launches a side, and `why` then says what is missing. `rank_p_value` is a test by ranks of the same
    question, which assumes nothing about the shape of the noise and stands beside the verdict; None as the others are, except
    for one launch a side, where it is over repetitions.
    """

    ratio: float
    low: float | None
    high: float | None
    p_value: float | None
    contender_launches: int
    base_launches: int
    method: str
    why: str | None = None
    rank_p_value: float | None = None
    rank_test: str | None = None

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


def paired_ratio(launches: Sequence[Sequence[float]]) -> RatioEstimate:
    """Estimate from launches in which contender and base ran side by side: for each launch, the ratio of each repetition.

    The estimate is the geometric mean over launches of each launch's median; the interval has the standard error of a
    hierarchical bootstrap and Student's quantile, and the rank test is Wilcoxon's signed-rank test over launches.
    """
    logs = [np.log(np.asarray(ratios, dtype=float)) for ratios in launches]
    found = estimate(logs)
    method = "paired within each launch: geometric mean of launch medians, hierarchical bootstrap"
    if found.launches < MINIMUM_LAUNCHES:
        return _without_interval(math.exp(found.centre), found.launches, found.launches, method)
    rank_p = _signed_rank_p(np.asarray([np.median(values) for values in logs]))
    return _with_interval(found, found.launches, found.launches, method, rank_p, "Wilcoxon signed-rank over launches")


def unpaired_ratio(
    contender: Sequence[Sequence[float]], base: Sequence[Sequence[float]], direction: str
) -> RatioEstimate:
    """Estimate from the scores of each launch's repetitions, when the two sides ran in different launches.

    The estimate is the ratio of the geometric means over launches of each launch's median; the interval as in `paired_ratio`
    with both sides' standard errors, Welch's or a wider one (hierarchical.difference), and the rank test is Mann and Whitney's
    over launches.
    """
    sign = -1.0 if direction == "higher_is_better" else 1.0
    sides = [[sign * np.log(np.asarray(scores, dtype=float)) for scores in side] for side in (contender, base)]
    found = difference(estimate(sides[0]), estimate(sides[1]))
    sizes = len(sides[0]), len(sides[1])
    method = "different launches: ratio of geometric means of launch medians, hierarchical bootstrap"
    if min(sizes) < MINIMUM_LAUNCHES:
        without = _without_interval(math.exp(found.centre), *sizes, method)
        if sizes == (1, 1) and min(len(contender[0]), len(base[0])) > 1:
            # What Google Benchmark's compare tool tests; it says whether these two processes differ, not whether others will.
            rank_p = rank_sum_p(contender[0], base[0])
            return replace(without, rank_p_value=rank_p, rank_test="Mann-Whitney over the repetitions of one launch a side")
        return without
    medians = [[float(np.median(values)) for values in side] for side in sides]
    return _with_interval(found, *sizes, method, rank_sum_p(*medians), "Mann-Whitney over launches")


def rank_sum_p(left: Sequence[float], right: Sequence[float]) -> float:
    """The two-sided p-value of Mann and Whitney's U test."""
    from scipy import stats  # takes a second, and most commands test nothing

    return float(stats.mannwhitneyu(left, right, alternative="two-sided").pvalue)


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


def _with_interval(
    found: Estimate, contender_launches: int, base_launches: int, method: str, rank_p: float, rank_test: str
) -> RatioEstimate:
    return RatioEstimate(
        math.exp(found.centre),
        math.exp(found.low),
        math.exp(found.high),
        found.p_value,
        contender_launches,
        base_launches,
        method,
        rank_p_value=rank_p,
        rank_test=rank_test,
    )


def _signed_rank_p(logs: np.ndarray) -> float:
    # The test knows nothing of launches without any difference; where there is no other, nothing speaks against equality.
    if not np.any(logs):
        return 1.0
    from scipy import stats  # as above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few launches, and ties, have no exact p-value: the report says how many there are
        return float(stats.wilcoxon(logs).pvalue)
