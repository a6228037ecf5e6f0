"""`lab reproduce REPORT`: measures again what a report claims and says, claim by claim, whether it held.

A claim is a ratio with an interval. Each launch that it came from is run again with the same settings, a seed and so an order,
keys and layout of its own. A claim held when the new interval meets the old one and the verdict is the same; where the intervals
meet and only one of the verdicts tells the two apart, it is not contradicted, which is less.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import binaries, build, doctor, paths, reproduce_claims, run_request
from page_map_lab import run as measuring
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.compare_cells import compare_variants
from page_map_lab.compare_guard import refuse_incomparable
from page_map_lab.plan import Plan, Request
from page_map_lab.records import Record, load_record, load_records
from page_map_lab.reproduce_claims import HELD, NOT_CONTRADICTED, NOT_HELD, NOT_MEASURED, OUTCOMES, Outcome, StatedRatio, judge
from page_map_lab.run_folder import RunFolder, hash_of, now
from page_map_lab.terminal import colour, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab reproduce`."""
    parser.add_argument("report", metavar="REPORT", type=Path, help="a report's folder or page, or a run folder")
    parser.add_argument("--workload", action="append", metavar="W", help="only claims of this workload (repeatable)")
    parser.add_argument("--seed", type=int, metavar="S", help="decides every order, key and layout (default: random, and kept)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD", help="reproduce although this field differs (repeatable)"
    )
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for, or all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder of the new run (default: results/<host>/<run>)")


@dataclass(frozen=True)
class Source:
    """What is to be reproduced: the claims, and the launches that they came from."""

    claims: list[StatedRatio]
    records: list[Record]


def source_of(report: Path, workloads: list[str] | None) -> Source:
    """The claims of a report or of a run folder. Errors: usage, where there are none, or a raw record is missing."""
    folder = report if report.is_dir() else report.parent
    if not report.exists():
        raise UsageError(f"{report}: not there: name a report's folder or page, or a run folder")
    stated = folder / "report.csv"
    if stated.exists():
        claims = reproduce_claims.of_report(stated)
    elif any(folder.glob("report.*")) and not any(folder.glob("*.json")):
        raise UsageError(
            f"{stated}: not there, and the report's ratios are read from it: make the report again with csv among --formats, or name the run folder"
        )
    else:
        claims = reproduce_claims.of_records(load_records([folder]), folder)
    claims = [claim for claim in claims if not workloads or claim.workload in workloads]
    if not claims:
        raise UsageError(f"{report}: states no ratio with an interval, so there is nothing to reproduce: measure five launches")
    files = dict.fromkeys((folder / place.partition("#")[0]).resolve() for claim in claims for place in claim.records)
    missing = [path for path in files if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: the report's raw record is missing: keep a report beside its records")
    records = [record for path in files if (record := load_record(path)) is not None]
    return Source(claims, sorted(records, key=lambda record: (record.launch.get("block") or 0, record.path.name)))


def make_plan(source: Source, seed: int) -> Plan:
    """The same launches again, in an order of their own within each block."""
    launches = reproduce_claims.launches_again(source.records, seed)
    request = Request(seed=seed, workloads=sorted({launch.workload for launch in launches}), launches=1)
    moment = datetime.now(timezone.utc)
    return Plan(f"{moment:%Y-%m-%d-%H%M%S}-reproduced", "", now(), request, {}, launches)


def prepare(namespace: argparse.Namespace, source: Source, plan: Plan) -> tuple[RunFolder, Path]:
    """Builds, holds this host and build against the report's, and makes the folder of the new run."""
    folder = build.ensure_built(namespace.quiet)
    measuring.refuse_build(folder)
    workloads = binaries.describe_all(folder, plan.request.workloads)
    measuring.quiet_machine(namespace.out or paths.RESULTS, run_request.waived_names(namespace.waive))
    first = next(workload for name, workload in workloads.items() if name == source.records[0].cells[0].key.workload)
    request = Request(workloads=[first.name], trace=run_request.shipped_trace() if first.replays_traces else None)
    here = measuring.probe(first, request)
    refuse_incomparable([source.records[0], Record(Path("this machine, now"), here, [])], namespace.allow)
    hashes = {name: hash_of(workload.path) for name, workload in workloads.items()}
    plan = Plan(**{**vars(plan), "host": here["host"]["name"], "binaries": hashes})
    return RunFolder.create(namespace.out or paths.RESULTS / plan.host / plan.run, plan), folder


def judge_all(source: Source, records: list[Record]) -> list[Outcome]:
    """Each claim against what was measured now."""
    found: dict[Any, Any] = {}
    for base in dict.fromkeys(claim.base for claim in source.claims):
        for comparison in compare_variants(records, base):
            found[base, reproduce_claims.question_of(comparison.key), comparison.contender] = comparison
    return [judge(claim, found.get((claim.base, claim.question, claim.variant))) for claim in source.claims]


def print_outcomes(outcomes: list[Outcome]) -> None:
    """The outcomes for people."""
    rows = [["workload", "parameters", "variant", "stated", "measured now", "verdicts", "outcome"]]
    for each in outcomes:
        stated = f"{each.claim.ratio:.3f} ({each.claim.low:.3f} .. {each.claim.high:.3f})"
        again = "-" if each.low is None else f"{each.ratio:.3f} ({each.low:.3f} .. {each.high:.3f})"
        verdicts = f"{each.claim.verdict} / {each.verdict or '-'}"
        rows.append([each.claim.workload, each.claim.parameters, each.claim.variant, stated, again, verdicts, each.outcome])
    heading, *lines = table(rows, sys.stdout).split("\n")
    bad = {NOT_HELD, NOT_MEASURED}
    coloured = [colour(line, "red", sys.stdout) if each.outcome in bad else line for line, each in zip(lines, outcomes, strict=True)]
    print("\n".join([heading, *coloured]))


def run(namespace: argparse.Namespace) -> int:
    """Measures again, and prints what held; exit 1 when a claim did not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    doctor.require_known(namespace.waive)
    run_request.check_place(namespace.out, False)
    if namespace.seed is not None and namespace.seed < 0:
        raise UsageError(f"--seed {namespace.seed} is out of range: give 0 or more")
    source = source_of(namespace.report, namespace.workload)
    plan = make_plan(source, secrets.randbelow(1 << 31) if namespace.seed is None else namespace.seed)
    if namespace.dry_run:
        measuring.print_plan(plan, namespace.json)
        return ExitCode.OK
    runner = measuring.Runner(*prepare(namespace, source, plan), run_request.waived_names(namespace.waive), namespace.quiet)
    runner.all()
    paths_made = [runner.run.record_path(launch) for launch in runner.run.plan.launches]
    records = [record for path in paths_made if path.exists() and (record := load_record(path)) is not None]
    outcomes = judge_all(source, records)
    counts = {name: sum(each.outcome == name for each in outcomes) for name in OUTCOMES}
    failed_checks = runner.run.failed_checks()
    if namespace.json:
        about = {
            "report": str(namespace.report), "directory": str(runner.run.folder.resolve()), "seed": plan.request.seed,
            "revisions": {"stated": _revisions(source.records), "now": _revisions(records)},
            "held": counts[HELD], "not_contradicted": counts[NOT_CONTRADICTED], "not_held": counts[NOT_HELD], "not_measured": counts[NOT_MEASURED],
            "failed_checks": failed_checks, "claims": [asdict(each) for each in outcomes],
        }  # fmt: skip
        print(json.dumps(about, indent=1))
    else:
        print_outcomes(outcomes)
        print(f"{len(outcomes)} claims: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        print(paths.shown(runner.run.folder))
    if failed_checks:
        sys.stderr.write(f"lab reproduce: {len(failed_checks)} correctness checks failed: {failed_checks[0]}\n")
        return ExitCode.CHECK_FAILED
    return ExitCode.OK if counts[HELD] == len(outcomes) else ExitCode.REGRESSION


def _revisions(records: list[Record]) -> list[str]:
    return sorted({str(record.section("build").get("git_revision")) for record in records})
