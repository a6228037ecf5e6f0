"""What the benchmark binaries say about themselves (`--describe`): the only source of what can be measured."""

import difflib
import fnmatch
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page_map_lab import build, paths
from page_map_lab.cli_errors import LabError, UsageError


@dataclass(frozen=True)
class Workload:
    """One benchmark binary, as it describes itself."""

    name: str
    path: Path
    question: str
    axes: tuple[str, ...]
    base_policies: dict[str, str]  # of every axis, felt here or not: what a variant is compared with unless the user says otherwise
    variants: dict[str, dict[str, str]]  # name to its policies
    floors: tuple[str, ...]
    parameters: dict[str, Any]
    score: dict[str, Any]
    replays_traces: bool
    variations: tuple[dict[str, list[Any]], ...] = ()  # what the real size measures besides: a few axes, their values

    def base(self) -> str | None:
        """The variant that is the base of this workload; None when it has no such variant."""
        matching = [
            name
            for name, policies in self.variants.items()
            if all(self.base_policies.get(axis) == policy for axis, policy in policies.items())
        ]
        return next(iter(matching), None)

    def steps(self) -> list[str]:
        """The variants that differ from the base along exactly one axis."""
        base = self.base()
        if base is None:
            return []
        return [name for name, policies in self.variants.items() if distance(policies, self.variants[base]) == 1]

    def select(self, pattern: str) -> list[str]:
        """The variants and floors that an exact name or a shell glob means here.

        A name may carry axes this workload does not feel (they are dropped) and may leave out axes it does feel (they
        take the base's value), so that one name can be given to several workloads.
        """
        names = [*self.variants, *self.floors]
        if pattern in names:
            return [pattern]
        matched = fnmatch.filter(names, pattern)
        if matched:
            return matched
        try:
            wanted = dict(part.split(":", 1) for part in pattern.split("/"))
        except ValueError:
            return []
        if not set(wanted) & set(self.axes):
            return []
        wanted = {axis: value for axis, value in {**self.base_policies, **wanted}.items() if axis in self.axes}
        return [
            name
            for name, policies in self.variants.items()
            if policies.keys() <= wanted.keys()
            and all(fnmatch.fnmatchcase(policies.get(axis, value), value) for axis, value in wanted.items())
        ]

    def sizes(self, parameter: str, size: str) -> list[Any]:
        """The values of a parameter at a size (`smoke` or `real`); a single value is a list of one."""
        values = self.parameters.get(parameter)
        if isinstance(values, dict):
            values = values.get(size)
        if isinstance(values, str):
            return expand(values)
        if values is None:
            return []
        return list(values) if isinstance(values, list) else [values]


def distance(policies: dict[str, str], other: dict[str, str]) -> int:
    """Along how many axes two sets of policies differ; an axis that is left out has its default."""
    return sum(policies.get(axis) != other.get(axis) for axis in policies.keys() | other.keys())


def expand(text: str) -> list[Any]:
    """`1..cpus` as the powers of two up to the processors at hand; any other text is one value."""
    found = re.fullmatch(r"(\d+)\.\.(\d+|cpus)", text)
    if not found:
        return [text]
    last = len(os.sched_getaffinity(0)) if found.group(2) == "cpus" else int(found.group(2))
    values, value = [], int(found.group(1))
    while value < last:
        values.append(value)
        value *= 2
    return [*values, last]


def parse_description(text: str, path: Path) -> Workload:
    """The description that a binary printed."""
    try:
        said = json.loads(text)
        return Workload(
            name=said["workload"],
            path=path,
            question=said.get("question", ""),
            axes=tuple(said["axes"]),
            base_policies=dict(said["base"]),
            variants={variant["name"]: variant["policies"] for variant in said["variants"]},
            floors=tuple(said.get("floors", [])),
            parameters=said.get("parameters", {}),
            score=said["score"],
            replays_traces=bool(said.get("trace", False)),
            variations=tuple(said.get("variations", [])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path.name} --describe is malformed ({error!r}): build it again") from error


def describe(path: Path) -> Workload:
    """Asks one binary what it can measure."""
    try:
        finished = subprocess.run([path, "--describe"], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{path.name} --describe does not answer within 60 s: build it again") from error
    except OSError as error:
        raise LabError(f"{path.name} cannot be run ({error.strerror}): build it again") from error
    if finished.returncode:
        why = (finished.stderr.strip().splitlines() or [f"exit status {finished.returncode}"])[0]
        raise LabError(f"{path.name} --describe failed ({why}): build it again")
    return parse_description(finished.stdout, path)


def describe_all(folder: Path, names: list[str] | None = None) -> dict[str, Workload]:
    """Every workload of the folder, or the named ones, in the order of their names."""
    programs = sorted(path for path in folder.glob("bench_*") if path.is_file() and not path.suffix)
    workloads = {}
    for path in programs:
        if names is None or path.name.removeprefix("bench_") in names:
            workload = describe(path)
            workloads[workload.name] = workload
    if names is not None:
        for name in names:
            if name not in workloads:
                known = [path.name.removeprefix("bench_") for path in programs]
                raise UsageError(f'unknown workload "{name}"{nearest(name, known)}: `lab list` shows what exists')
    return workloads


def nearest(name: str, known: list[str]) -> str:
    """`, did you mean "x"?` when something of that kind exists, else nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f', did you mean "{close[0]}"?' if close else ""


def check_names_before_building(workloads: list[str], variants: list[str]) -> None:
    """Refuses names that no file is called by, so that a typing error does not cost a build first."""
    if paths.binaries_override() or build.is_built():
        return
    known = [target.removeprefix("bench_") for target in build.benchmark_targets()]
    for name in workloads:
        if name not in known:
            raise UsageError(f'unknown workload "{name}"{nearest(name, known)}: there is {", ".join(known)}')
    policies = build.policy_files()
    for name in variants:
        for part in name.split("/"):
            axis, _, value = part.partition(":")
            if axis in policies and re.fullmatch(r"\w+", value) and value not in policies[axis]:
                raise UsageError(f'unknown variant "{name}" (nothing is called {value}): `lab list` shows what exists')
