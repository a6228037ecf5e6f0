"""How sure a number taken over launches is, when each launch has repetitions: a hierarchical bootstrap.

Launches are resampled, and repetitions within them. Resampling both levels as they are counts the noise within launches twice,
because the launches' medians already scatter with it (Davison and Hinkley 1997, section 3.8). So the launches' deviations are
first scaled to the part of their variance that is between launches, by the corrected estimator of variance components of
Kalibera and Jones (2013), T2 = S2 - S1, clipped at zero: then the two levels together have the variance that was seen.

The interval is the estimate plus and minus the bootstrap's standard error times Student's quantile. With five launches no
percentile of a bootstrap reaches 95 %: it never leaves the range of the five.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from page_map_lab.distributions import CONFIDENCE, student_quantile, student_share_beyond

RESAMPLES = 2000
RESAMPLES_OF_A_LAUNCH = 400
SEED = 20140201
# Below this share of the values themselves, a spread is rounding.
ROUNDING = 1e-12


def _median(values: np.ndarray) -> np.ndarray:
    # What numpy.nanmedian does, which masks arrays on its way and takes six times as long: what is absent is sorted to the end.
    values = np.sort(values, axis=-1)
    counts = (~np.isnan(values)).sum(axis=-1, keepdims=True)
    middles = (np.take_along_axis(values, middle, axis=-1)[..., 0] for middle in ((counts - 1) // 2, counts // 2))
    return sum(middles) / 2


def _mean(values: np.ndarray) -> np.ndarray:
    return np.nanmean(values, axis=-1)


@dataclass(frozen=True)
class Statistic:
    """What is estimated: `reduce` takes the last axis away, where what is absent is NaN.

    It makes one number of each launch's repetitions, of which the mean is taken; or, `pooled`, of all repetitions at once.
    """

    reduce: Callable[[np.ndarray], np.ndarray]
    pooled: bool

    def value(self, values: np.ndarray) -> np.ndarray:
        """The statistic of arrays whose last axes are launches and repetitions."""
        if self.pooled:
            return self.reduce(values.reshape(*values.shape[:-2], -1))
        return self.reduce(values).mean(axis=-1)


MEAN_OF_MEDIANS = Statistic(_median, pooled=False)
MEDIAN_OF_ALL = Statistic(_median, pooled=True)
MEAN_OF_ALL = Statistic(_mean, pooled=True)


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, the degrees of freedom of that, and what the variance is made of.

    `between` is the corrected variance between launches; `within` is the variance of one launch's number that comes from its
    repetitions. Both are 0 in a difference of two estimates.
    """

    centre: float
    standard_error: float
    degrees: float
    launches: int
    between: float = 0.0
    within: float = 0.0

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval."""
        return student_quantile(0.5 + CONFIDENCE / 2, self.degrees) * self.standard_error if self.standard_error else 0.0

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.centre - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.centre + self.half_width

    @property
    def p_value(self) -> float:
        """Of the true value being 0, two-sided."""
        # Deterministic scores (counts, identical files) have no spread: equal is certain, and so is different.
        if self.standard_error == 0.0:
            return 1.0 if self.centre == 0.0 else 0.0
        return 2 * student_share_beyond(abs(self.centre) / self.standard_error, self.degrees)


def estimate(launches: Sequence[Sequence[float] | np.ndarray], statistic: Statistic = MEAN_OF_MEDIANS) -> Estimate:
    """The statistic over launches, each a non-empty sequence of repetitions, and its bootstrapped standard error."""
    values = _padded(launches)
    sizes = (~np.isnan(values)).sum(axis=1)
    count = len(sizes)
    generator = np.random.default_rng(SEED)
    centres = statistic.reduce(values)
    drawn = _resampled(generator, values, np.tile(np.arange(count), (RESAMPLES_OF_A_LAUNCH, 1)), sizes)
    residuals = statistic.reduce(drawn) - centres
    within = float(residuals.var(axis=0).mean())
    seen = float(centres.var(ddof=1)) if count > 1 else 0.0
    between = max(0.0, seen - within)
    scale = math.sqrt(between * count / ((count - 1) * seen)) if seen > 0 else 0.0
    effects = scale * (centres - centres.mean())
    picks = generator.integers(0, count, (RESAMPLES, count))
    if statistic.pooled:
        repetitions = _resampled(generator, values - centres[:, None], picks, sizes)
        resampled = statistic.value(effects[picks][..., None] + repetitions)
    else:  # A launch's number enters only as such, so that those already drawn will do.
        resampled = (effects[picks] + residuals[generator.integers(0, len(residuals), picks.shape), picks]).mean(axis=1)
    error = float(resampled.std())
    if error <= ROUNDING * float(np.nanmax(np.abs(values))):
        error = 0.0
    return Estimate(float(statistic.value(values)), error, _degrees(seen, within, sizes), count, between, within)


def difference(left: Estimate, right: Estimate) -> Estimate:
    """left - right of independent estimates, with the wider of two intervals.

    One is Welch's, which takes each side's noise from its own launches. But a run that was designed is short because its pilot
    looked quiet, so that the shorter side's variance is too small, and its mean too where noise is skewed: two such runs of one
    thing came out different more often than one time in twenty. The other shares each side's noise out over the launches of the
    other side, as if the noise were the same on both. With equal numbers of launches the two have the same standard error, and
    Welch's is the wider.
    """
    variances = left.standard_error**2, right.standard_error**2
    weights = variances[0] ** 2 / left.degrees + variances[1] ** 2 / right.degrees
    most_degrees = left.degrees + right.degrees
    own = sum(variances), sum(variances) ** 2 / weights if weights > 0 else most_degrees
    shared = variances[0] * left.launches / right.launches + variances[1] * right.launches / left.launches, most_degrees
    found = [
        Estimate(left.centre - right.centre, math.sqrt(variance), degrees, min(left.launches, right.launches))
        for variance, degrees in (own, shared)
    ]
    return max(found, key=lambda estimate: estimate.half_width)


def _degrees(seen: float, within: float, sizes: np.ndarray) -> float:
    """Satterthwaite's, of a variance that launches showed as far as they did, and repetitions for the rest."""
    of_launches, of_repetitions = max(1, len(sizes) - 1), max(1, int((sizes - 1).sum()))
    if len(sizes) == 1:
        return of_repetitions
    share = min(1.0, seen / within) if within > 0 else 1.0
    return 1 / (share**2 / of_launches + (1 - share) ** 2 / of_repetitions)


def _padded(launches: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
    longest = max(len(values) for values in launches)
    padded = np.full((len(launches), longest), np.nan)
    for row, values in zip(padded, launches, strict=True):
        row[: len(values)] = values
    return padded


def _resampled(generator: np.random.Generator, values: np.ndarray, picks: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """For each picked launch as many of its repetitions as it has, with replacement."""
    longest = values.shape[1]
    within = (generator.random((*picks.shape, longest)) * sizes[picks][..., None]).astype(int)
    drawn = values[picks[..., None], within]
    if int(sizes.min()) < longest:
        drawn[np.arange(longest) >= sizes[picks][..., None]] = np.nan
    return drawn
