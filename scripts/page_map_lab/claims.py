"""`lab claims`: measures now every ratio that the project states, side by side in one process, and says which hold."""

import argparse
import json
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file, binaries, build, claims_file, doctor, paths, run_request
from page_map_lab import run as measuring
from page_map_lab.claims_file import Claim
from page_map_lab.cli_errors import CheckFailedError, CountersError, ExitCode, LabError, UsageError
from page_map_lab.gate import Watch
from page_map_lab.launch import command_of, environment_padding_bytes, heap_padding_bytes, run_process
from page_map_lab.progress import Progress
from page_map_lab.run_folder import refuse_other_builds
from page_map_lab.terminal import colour, table

LAUNCH_TIMEOUT_S = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab claims`."""
    parser.add_argument("name", nargs="*", metavar="NAME", help="only these claims: names or shell globs (default: all)")
    parser.add_argument("--file", type=Path, default=paths.CLAIMS, help="the claims (default: results/claims.json)")
    parser.add_argument("--launches", type=int, default=5, metavar="N", help="fresh processes for each claim (default 5)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides orders and keys (default 1)")
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for, or all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the records here")


@dataclass
class Group:
    """Claims that one process can measure together."""

    workload: str
    beside: str | None
    parameters: dict[str, Any]  # all but the pattern
    repetitions: int
    min_time_ms: int
    claims: list[Claim] = field(default_factory=list)

    def arguments(self, seed: int) -> list[str]:
        """The command line of a launch, without the program, --launch and --record."""
        arguments = ["--size", "real"]
        for name in dict.fromkeys(name for claim in self.claims for name in claim.subjects):
            arguments += ["--variant", name]
        if self.beside:
            arguments += ["--beside", self.beside]
        patterns = dict.fromkeys(str(claim.parameters["pattern"]) for claim in self.claims if "pattern" in claim.parameters)
        sweeps = {**self.parameters, **({"pattern": ",".join(patterns)} if patterns else {})}
        for name, value in sweeps.items():
            arguments += ["--set", f"{name}={value}"]
        return [
            *arguments, "--repetitions", str(self.repetitions), "--min-time-ms", str(self.min_time_ms),
            "--heap-padding", str(heap_padding_bytes(seed)), "--seed", str(seed),
        ]  # fmt: skip


def grouped(claims: list[Claim]) -> list[Group]:
    """The claims in as few processes as keep each beside its base."""
    groups: dict[str, Group] = {}
    for claim in claims:
        parameters = {name: value for name, value in claim.parameters.items() if name != "pattern"}
        key = json.dumps(
            [claim.workload, claim.beside, parameters, "pattern" in claim.parameters, bool(claim.relative_to),
             claim.repetitions, claim.min_time_ms]
        )  # fmt: skip
        group = groups.setdefault(
            key, Group(claim.workload, claim.beside, parameters, claim.repetitions, claim.min_time_ms)
        )
        group.claims.append(claim)
    return list(groups.values())


def measure(group: Group, binary: Path, seed: int, record: Path) -> dict[str, Any]:
    """One launch of a group."""
    command = command_of(binary, group.arguments(seed), record)
    outcome = run_process(command, LAUNCH_TIMEOUT_S, record.with_suffix(".log"), environment_padding_bytes(seed))
    names = ", ".join(claim.name for claim in group.claims[:2]) + (", ..." if len(group.claims) > 2 else "")
    if outcome.exit_code == ExitCode.CHECK_FAILED:
        raise CheckFailedError(f"{names}: {outcome.message}")
    if outcome.exit_code == ExitCode.COUNTERS_UNAVAILABLE:
        raise CountersError(outcome.message)
    if outcome.exit_code or not record.exists():
        raise LabError(f"{names} cannot be measured: {outcome.message or 'no record was written'}")
    value = atomic_file.read_json(record, "the record")
    refuse_other_builds(value, record)
    return value


def measure_all(groups: list[Group], folder: Path, into: Path, namespace: argparse.Namespace) -> list[Any]:
    """Every claim's verdict, the launches of the groups taking turns."""
    from page_map_lab import claims_estimate

    progress = Progress([1.0] * (len(groups) * namespace.launches), namespace.quiet)
    records: list[list[dict[str, Any]]] = [[] for _ in groups]
    try:
        for launch in range(namespace.launches):
            for number, group in enumerate(groups):
                progress.show(f"{group.workload}, {len(group.claims)} claims, launch {launch + 1}")
                record = into / f"{number:02d}-{group.workload}-{launch}.json"
                binary = folder / f"bench_{group.workload}"
                records[number].append(measure(group, binary, namespace.seed + launch, record))
                progress.step_done()
    finally:
        progress.clear()
    return [claims_estimate.estimate(claim, found) for group, found in zip(groups, records) for claim in group.claims]


def print_verdicts(verdicts: list[Any]) -> None:
    """The verdicts for people."""
    rows = [["claim", "ratio", "95 % interval", "bound", "excluded", "holds"]]
    for verdict in verdicts:
        is_known = verdict.ratio is not None
        rows.append(
            [
                verdict.claim.name,
                f"{verdict.ratio:.3f}" if is_known else "-",
                f"{verdict.low:.3f} .. {verdict.high:.3f}" if is_known else "-",
                verdict.claim.bound_text(),
                f"{verdict.excluded} of {verdict.repetitions + verdict.excluded}",
                "yes" if verdict.holds else "NO",
            ]
        )
    lines = table(rows, sys.stdout).split("\n")
    print("\n".join(colour(line, "red", sys.stdout) if line.endswith("NO") else line for line in lines))
    for verdict in verdicts:
        if verdict.why:
            print(f"{verdict.claim.name}: {verdict.why}")
    failed = sum(not verdict.holds for verdict in verdicts)
    reported = sum(verdict.claim.bound is None for verdict in verdicts)
    without = f"; {reported} reported without a bound" if reported else ""
    print(f"{len(verdicts)} claims, " + (f"{failed} do not hold" if failed else "all hold") + without)


def run_dry(groups: list[Group]) -> int:
    """Prints the claims and the commands."""
    for group in groups:
        for claim in group.claims:
            print(f"{claim.name}: {claim.statement} ({claim.bound_text()})")
        print(f"  would run: bench_{group.workload} {shlex.join(group.arguments(1))}")
    return ExitCode.OK


def run(namespace: argparse.Namespace) -> int:
    """Measures the claims and prints the verdicts; exit 1 when one does not hold."""
    if namespace.launches < 1 or namespace.seed < 0:
        raise UsageError("--launches starts at 1 and --seed at 0: give a larger number")
    doctor.require_waivable(namespace.waive)
    chosen = claims_file.choose(claims_file.load(namespace.file), namespace.name)
    groups = grouped(chosen)
    if namespace.dry_run:
        return run_dry(groups)
    folder = build.ensure_built(namespace.quiet)
    measuring.refuse_build(folder)
    workloads = binaries.describe_all(folder, list(dict.fromkeys(group.workload for group in groups)))
    for claim in chosen:
        claims_file.check_known(claim, workloads[claim.workload])
    watch = Watch(namespace.out or paths.RESULTS, run_request.waived_names(namespace.waive))
    with tempfile.TemporaryDirectory(prefix="page_map_lab-") as temporary:
        into = namespace.out or Path(temporary)
        into.mkdir(parents=True, exist_ok=True)
        verdicts = measure_all(groups, folder, into, namespace)
    flags = watch.flags("claims")
    order = {claim.name: position for position, claim in enumerate(chosen)}
    verdicts.sort(key=lambda verdict: order[verdict.claim.name])
    if namespace.json:
        print(json.dumps([{**verdict.as_json(), "flags": flags} for verdict in verdicts], indent=1))
    else:
        print_verdicts(verdicts)
    return ExitCode.OK if all(verdict.holds for verdict in verdicts) else ExitCode.REGRESSION
