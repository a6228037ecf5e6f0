"""How many launches, and how many repetitions in each: computed from what a pilot says of the noise.

After Kalibera and Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013). A pilot gives the variance of the logarithm of
each cell's ratio between launches (T2) and within them (T1), by the corrected estimators (hierarchical.py). A launch that costs
c2 besides its repetitions, which cost c1 each, is used best with sqrt(c2/c1 * T1/T2) repetitions. So many launches are then taken
that the 95 % interval of the noisiest cell is as narrow as was asked, or as fit into the time there is.

A pilot knows its variance only roughly. The design takes the variance that the true one does not exceed with ASSURANCE.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from page_map_lab.distributions import CONFIDENCE, chi_squared_quantile, normal_quantile, student_quantile

if TYPE_CHECKING:  # plans are made without numpy, which takes its time to be imported
    from page_map_lab.hierarchical import Estimate

PILOT_LAUNCHES = 8
ASSURANCE = 0.8
FEWEST_REPETITIONS, MOST_REPETITIONS = 3, 30
MOST_LAUNCHES = 100  # of one group of cells; beyond, a quieter machine helps more
NARROWEST_PERCENT = 0.1
WIDEST_PERCENT = 1e4

BY_WIDTH, BY_BUDGET, BY_LAUNCHES = "target width", "budget", "number of launches"


@dataclass(frozen=True)
class CellNoise:
    """The noise of one cell's ratio: variances of its logarithm, from a pilot of so many launches."""

    name: str
    between: float  # of launches
    within: float  # of one repetition
    launches: int

    @staticmethod
    def of(name: str, found: Estimate, repetitions: float) -> CellNoise:
        """From the estimate of a pilot whose launches had so many repetitions."""
        return CellNoise(name, found.between, found.within * repetitions, found.launches)

    def variance(self, repetitions: int) -> float:
        """Of one launch's number with so many repetitions; not exceeded by the true one with ASSURANCE."""
        degrees = self.launches - 1
        doubt = degrees / chi_squared_quantile(1 - ASSURANCE, degrees)
        return (self.between + self.within / repetitions) * doubt


@dataclass(frozen=True)
class Pilot:
    """What a pilot says of one group: cells that every launch of it measures together."""

    name: str
    cells: tuple[CellNoise, ...]
    launch_s: float  # besides its repetitions
    repetition_s: float  # of all cells, once
    pilot_repetitions: int  # of the launches it was made of
    repetitions: int | None = None  # of further ones, where the user fixed them
    launches: int = PILOT_LAUNCHES


@dataclass(frozen=True)
class Choice:
    """What the design says of one group."""

    name: str
    launches: int  # with the pilot's
    repetitions: int
    width_percent: float  # of the interval of its noisiest cell, expected
    noisiest: str
    seconds: float  # for the launches that the pilot did not take


@dataclass(frozen=True)
class Design:
    """What the design says of a run."""

    stopped_by: str
    choices: tuple[Choice, ...]

    @property
    def seconds(self) -> float:
        """What is to be measured after the pilot will take so long."""
        return sum(choice.seconds for choice in self.choices)


def width_to_find(difference_percent: float, power: float) -> float:
    """The width, in percent, of the 95 % interval that finds so large a difference with the given power."""
    quantile = normal_quantile(0.5 + CONFIDENCE / 2)
    half = math.log1p(difference_percent / 100) * quantile / (quantile + normal_quantile(power))
    return percent_of(half)


def percent_of(half_width: float) -> float:
    """high - low in percent of the ratio, of an interval whose logarithm has that half width."""
    return 200 * math.sinh(min(half_width, 100.0))


def half_width_of(percent: float) -> float:
    """The inverse of percent_of."""
    return math.asinh(percent / 200)


def half_width(pilot: Pilot, cell: CellNoise, launches: int, repetitions: int) -> float:
    """Of the cell's 95 % interval over so many launches, of which all but the pilot's have so many repetitions."""
    further = max(0, launches - pilot.launches)
    total = (launches - further) * cell.variance(pilot.pilot_repetitions) + further * cell.variance(repetitions)
    return student_quantile(0.5 + CONFIDENCE / 2, launches - 1) * math.sqrt(total) / launches


def best_repetitions(pilot: Pilot) -> int:
    """How many repetitions use a launch best; as for its typical cell."""
    if pilot.repetitions is not None:
        return pilot.repetitions
    between = statistics.median(cell.between for cell in pilot.cells)
    within = statistics.median(cell.within for cell in pilot.cells)
    if between <= 0 or pilot.repetition_s <= 0:
        return MOST_REPETITIONS if within > 0 else FEWEST_REPETITIONS
    best = math.sqrt(max(0.0, pilot.launch_s) / pilot.repetition_s * within / between)
    return max(FEWEST_REPETITIONS, min(MOST_REPETITIONS, math.ceil(best)))


def choose(pilot: Pilot, width_percent: float) -> Choice:
    """Launches and repetitions that make every interval of the group at most so wide."""
    repetitions = best_repetitions(pilot)
    target = half_width_of(width_percent)
    most = max(pilot.launches, MOST_LAUNCHES)
    widths: dict[str, float] = {}
    for launches in range(pilot.launches, most + 1):
        widths = {cell.name: half_width(pilot, cell, launches, repetitions) for cell in pilot.cells}
        if max(widths.values()) <= target:
            break
    noisiest = max(widths, key=lambda name: widths[name])
    seconds = (launches - pilot.launches) * (pilot.launch_s + repetitions * pilot.repetition_s)
    return Choice(pilot.name, launches, repetitions, percent_of(widths[noisiest]), noisiest, seconds)


def design(
    pilots: Sequence[Pilot], width_percent: float | None, seconds: float = math.inf, launches: float = math.inf
) -> Design:
    """The narrowest intervals, none narrower than asked, that fit into the seconds and launches left after the pilot."""

    def fits(choices: Sequence[Choice]) -> str | None:
        if sum(choice.seconds for choice in choices) > seconds:
            return BY_BUDGET
        further = sum(choice.launches - pilot.launches for choice, pilot in zip(choices, pilots, strict=True))
        return BY_LAUNCHES if further > launches else None

    asked = width_percent or NARROWEST_PERCENT
    choices = [choose(pilot, asked) for pilot in pilots]
    stopped_by = fits(choices)
    if stopped_by is None:
        all_reached = all(choice.width_percent <= asked for choice in choices)
        return Design(BY_WIDTH if all_reached else BY_LAUNCHES, tuple(choices))
    narrow, wide = math.log(asked), math.log(WIDEST_PERCENT)
    for _ in range(40):
        middle = (narrow + wide) / 2
        if fits([choose(pilot, math.exp(middle)) for pilot in pilots]) is None:
            wide = middle
        else:
            narrow = middle
    choices = [choose(pilot, math.exp(wide)) for pilot in pilots]
    if fits(choices) is not None:  # There is no room for anything after the pilot.
        choices = [replace(choice, launches=pilot.launches, seconds=0.0) for choice, pilot in zip(choices, pilots, strict=True)]
    return Design(stopped_by, tuple(choices))
