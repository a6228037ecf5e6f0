"""From records to the value of a claim: per-repetition ratios, their median, and a 95 % interval over launches."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from page_map_lab import hierarchical
from page_map_lab.claims_file import Claim
from page_map_lab.cli_errors import LabError
from page_map_lab.hierarchical import MEAN_OF_ALL, MEDIAN_OF_ALL
from page_map_lab.statistics import cost_ratio


# Of a claim's repetitions. The victim of a removal page by page loses its processor now and then on a shared machine.
MOST_EXCLUDED = 0.25


@dataclass(frozen=True)
class Verdict:
    """What was measured of one claim; `why` says why there is no value, or why it does not count."""

    claim: Claim
    ratio: float | None
    low: float | None
    high: float | None
    repetitions: int
    excluded: int
    why: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the claim holds: it has a value that meets the bound, and enough repetitions could be used."""
        return self.ratio is not None and self.why is None and self.claim.holds(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """The verdict as an object."""
        return {
            "name": self.claim.name,
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high,
            "relation": self.claim.relation,
            "bound": self.claim.bound,
            "holds": self.holds,
            "metric": self.claim.metric,
            "repetitions": self.repetitions,
            "excluded": self.excluded,
            "why": self.why,
            "statement": self.claim.statement,
        }


def cell_of(record: dict[str, Any], claim: Claim, variant: str) -> dict[str, Any]:
    """The cell of a record that the claim is about."""
    for cell in record["cells"]:
        same = all(cell["parameters"].get(name) == value for name, value in claim.parameters.items())
        if cell["variant"] == variant and same:
            return cell
    raise LabError(f"the claim {claim.name}: no cell of {variant} at {claim.parameters} was measured: mend the claim")


def usable(cell: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The repetitions that count, by index."""
    return {r["index"]: r for r in cell["repetitions"] if r.get("excluded") is None and r.get("score") is not None}


def values_of(record: dict[str, Any], claim: Claim) -> tuple[list[float], int]:
    """The claim's value in each repetition of one launch, and how many repetitions could not be used."""
    cell = cell_of(record, claim, claim.contender)
    repetitions = usable(cell)
    excluded = len(cell["repetitions"]) - len(repetitions)
    if claim.metric not in ("cost", "throughput"):
        values = [r["metrics"].get(claim.metric) for r in repetitions.values()]
        if all(value is None for value in values) and cell["metrics"].get(claim.metric) is not None:
            values = [cell["metrics"][claim.metric]]
        known = [float(value) for value in values if value is not None]
        return known, excluded + len(values) - len(known)
    direction = cell["score"]["direction"]
    if claim.relative_to is None:
        ratios = [cost_ratio(r["score"], r["beside"]["score"], direction) for r in repetitions.values() if r.get("beside")]
    else:
        others = [usable(cell_of(record, claim, name)) for name in claim.subjects[1:]]
        common = [index for index in repetitions if all(index in other for other in others)]
        excluded += len(repetitions) - len(common)
        ratios = [
            cost_ratio(repetitions[index]["score"], others[0][index]["score"], direction)
            / cost_ratio(others[1][index]["score"], others[2][index]["score"], direction)
            for index in common
        ]
    return [1 / ratio for ratio in ratios] if claim.metric == "throughput" else ratios, excluded


def why_nothing(record: dict[str, Any], claim: Claim) -> str:
    """Why a launch has no value of the claim, as its record says."""
    repetitions = cell_of(record, claim, claim.contender)["repetitions"]
    reasons = (r.get("excluded") or r["metrics"].get(f"{claim.metric}_why") for r in repetitions)
    return next((str(why) for why in reasons if why), f"no repetition has a {claim.metric}")


def estimate(claim: Claim, records: list[dict[str, Any]]) -> Verdict:
    """The claim's value over all repetitions of some launches, and its interval over launches (hierarchical.py)."""
    taken = [values_of(record, claim) for record in records]
    launches = [np.asarray(values, dtype=float) for values, _ in taken if values]
    excluded = sum(left_out for _, left_out in taken)
    if not launches:
        return Verdict(claim, None, None, None, 0, excluded, why_nothing(records[0], claim))
    is_median_ratio = claim.metric in ("cost", "throughput") and claim.statistic == "median"
    scaled = [np.log(values) for values in launches] if is_median_ratio else launches
    found = hierarchical.estimate(scaled, MEAN_OF_ALL if claim.statistic == "mean" else MEDIAN_OF_ALL)
    value, low, high = (math.exp(x) if is_median_ratio else x for x in (found.centre, found.low, found.high))
    used = sum(values.size for values in launches)
    too_many = excluded > MOST_EXCLUDED * (used + excluded)
    why = f"more than {100 * MOST_EXCLUDED:.0f} % of the repetitions were excluded" if too_many else None
    return Verdict(claim, value, low, high, used, excluded, why)
