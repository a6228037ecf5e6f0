"""results/claims.json: every ratio that the project states, with what decides it.

A claim names a `contender` and, for a ratio, a `base` that is measured right beside it in every repetition. `metric` is
`cost` (time or whatever the score counts, contender over base), `throughput` (its inverse) or the name of a metric that the
workload records (`bytes_per_page`), then without a base. With `relative_to`, another pair, the claim is about the ratio of
the two cost ratios. `statistic`, over the repetitions, is `median` (default) or `mean`. Without `relation` and `bound` the value
is reported, and holds whatever it is.
"""

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file
from page_map_lab.binaries import Workload, nearest
from page_map_lab.cli_errors import UsageError
from page_map_lab.plain_types import misfit

RELATIONS = {
    "<=": lambda value, bound: value <= bound,
    ">=": lambda value, bound: value >= bound,
    "==": lambda value, bound: value == bound,
}
STATISTICS = ("median", "mean")


@dataclass(frozen=True)
class Pair:
    """Two things whose costs are divided."""

    contender: str
    base: str


@dataclass(frozen=True)
class Claim:
    """One stated ratio."""

    name: str
    statement: str
    workload: str
    contender: str
    relation: str | None = None
    bound: float | None = None
    metric: str = "cost"
    base: str | None = None
    relative_to: Pair | None = None
    statistic: str = "median"
    parameters: dict[str, str | int | float] = field(default_factory=dict)
    repetitions: int = 11
    min_time_ms: int = 10

    @property
    def subjects(self) -> list[str]:
        """Everything that has to be measured as a cell."""
        names = [self.contender]
        if self.relative_to:
            names += [self.base or "", self.relative_to.contender, self.relative_to.base]
        return names

    @property
    def beside(self) -> str | None:
        """What is measured right beside the contender."""
        return None if self.relative_to else self.base

    def bound_text(self) -> str:
        """`<= 1.10`; `reported` without a bound."""
        return "reported" if self.bound is None else f"{self.relation} {self.bound:g}"

    def holds(self, value: float) -> bool:
        """Whether the value meets the bound, if there is one."""
        return self.bound is None or RELATIONS[str(self.relation)](value, self.bound)


def parse(entry: Any, path: Path) -> Claim:
    """One entry of the file."""
    name = entry.get("name", "?") if isinstance(entry, dict) else "?"
    try:
        values = dict(entry)
        if values.get("relative_to"):
            values["relative_to"] = Pair(**values["relative_to"])
        claim = Claim(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: the claim {name} is malformed ({error}): mend that entry") from error
    wrong = misfit(claim)
    if wrong:
        raise UsageError(f"{path}: the claim {name} is malformed (its {wrong} is of another type): mend that entry")
    if (claim.bound is None) != (claim.relation is None):
        raise UsageError(f"{path}: the claim {name} has one of relation and bound: give both, or neither to report a value")
    if claim.relation not in {*RELATIONS, None} or claim.statistic not in STATISTICS:
        raise UsageError(f"{path}: the claim {name}: relation is <=, >= or ==, statistic {' or '.join(STATISTICS)}")
    if claim.metric in ("cost", "throughput") and claim.base is None:
        raise UsageError(f"{path}: the claim {name} compares {claim.metric} with nothing: name its base")
    return claim


def load(path: Path) -> list[Claim]:
    """Every claim of the file."""
    entries = atomic_file.read_json(path, "the file of claims")
    if not isinstance(entries, list):
        raise UsageError(f"{path}: not a list of claims: mend it")
    claims = [parse(entry, path) for entry in entries]
    names = [claim.name for claim in claims]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"{path}: the claim {twice} is there twice: rename one")
    return claims


def choose(claims: list[Claim], patterns: list[str]) -> list[Claim]:
    """The claims that the names or globs mean; all without any."""
    known = [claim.name for claim in claims]
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise UsageError(f'no claim is called "{pattern}"{nearest(pattern, known)}: `lab claims --dry-run` lists them')
    return [claim for claim in claims if not patterns or any(fnmatch.fnmatchcase(claim.name, p) for p in patterns)]


def check_known(claim: Claim, workload: Workload) -> None:
    """Refuses a claim about something that the binary does not know."""
    for name in [*claim.subjects, *([claim.beside] if claim.beside else [])]:
        if name not in workload.variants and name not in workload.floors:
            raise UsageError(f"the claim {claim.name}: {workload.name} has no {name}: `lab list {workload.name}` shows all")
    for parameter in claim.parameters:
        if parameter not in workload.parameters:
            raise UsageError(f"the claim {claim.name}: {workload.name} has no parameter {parameter}: mend the claim")
