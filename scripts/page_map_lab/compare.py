"""`lab compare A B`: is B faster than A, cell by cell, and how sure is that?

With --baseline there is one set, and its variants are compared with the named one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.compare_cells import Comparison, compare_sets, compare_variants, group_cells
from page_map_lab.compare_guard import refuse_incomparable
from page_map_lab.compare_tables import FORMATS
from page_map_lab.record_flags import MARK
from page_map_lab.records import Record, load_records
from page_map_lab.statistics import CONFIDENCE, FASTER, INDISTINGUISHABLE, NOT_ENOUGH_DATA, SLOWER
from page_map_lab.terminal import colour, table

DEFAULT_THRESHOLD_PERCENT = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("base", metavar="A", type=Path, help="record file or run folder: the base")
    parser.add_argument("contender", metavar="B", type=Path, nargs="?", help="record file or run folder: the contender")
    parser.add_argument(
        "--threshold",
        metavar="PCT",
        type=_percent,
        help="exit 1 when a cell is slower for certain and by more than this many percent "
        f"(default {DEFAULT_THRESHOLD_PERCENT:g}; between variants of one set only when given)",
    )
    parser.add_argument("--baseline", metavar="VARIANT", help="compare the variants of A with this one; there is no B then")
    parser.add_argument("--workload", action="append", metavar="W", help="only this workload (repeatable)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD", help="compare although this field differs (repeatable)"
    )
    tables = parser.add_mutually_exclusive_group()
    for name, text in (("csv", "CSV"), ("markdown", "a Markdown table"), ("latex", "a LaTeX table (booktabs)")):
        tables.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {text}")


def run(namespace: argparse.Namespace) -> int:
    """Prints the comparison; the exit code says whether something regressed or failed its check."""
    if (namespace.contender is None) == (namespace.baseline is None):
        raise UsageError("give two sets (A B), or one set and --baseline VARIANT: one of the two, not both")
    base = _chosen(load_records([namespace.base]), namespace.workload, namespace.base)
    contender = base
    if namespace.contender is not None:
        contender = _chosen(load_records([namespace.contender]), namespace.workload, namespace.contender)
    together = base if contender is base else [*base, *contender]
    refuse_incomparable(together, namespace.allow)
    if getattr(namespace, "dry_run", False):
        print(f"would compare {len(base)} and {len(contender)} launches")
        return ExitCode.OK
    if namespace.baseline:
        comparisons = compare_variants(base, namespace.baseline)
    else:
        comparisons = compare_sets(base, contender)
    if not comparisons:
        raise UsageError(_nothing_matched(namespace, base, contender))
    threshold = namespace.threshold
    if threshold is None and not namespace.baseline:
        threshold = DEFAULT_THRESHOLD_PERCENT
    result = _result(namespace, base, contender, comparisons, threshold)
    if getattr(namespace, "json", False):
        print(json.dumps(result, indent=1))
    elif namespace.format:
        sys.stdout.write(FORMATS[namespace.format](result))
    else:
        _print_text(result, comparisons, getattr(namespace, "quiet", False))
    for failure in result["failed_checks"]:
        sys.stderr.write(f"lab compare: {failure}\n")
    if result["failed_checks"]:
        return ExitCode.CHECK_FAILED
    return ExitCode.REGRESSION if result["regressions"] else ExitCode.OK


def failed_checks(records: Sequence[Record]) -> list[str]:
    """One line for each cell whose benchmark found its own result wrong."""
    return [
        f"{cell.source()}: {cell.name}: check failed: {cell.check_message or 'no message'}: its numbers mean nothing"
        for record in records
        for cell in record.cells
        if not cell.check_passed
    ]


def as_json(comparison: Comparison, threshold: float | None) -> dict[str, Any]:
    """One comparison as the object that --json prints."""
    estimate = comparison.estimate
    return {
        "workload": comparison.key.workload,
        "parameters": dict(comparison.key.parameters),
        "size": comparison.key.size,
        "plan": comparison.key.plan,
        "memory": comparison.key.memory,
        "variant": comparison.contender,
        "base": comparison.base,
        "metric": comparison.metric,
        "unit": comparison.unit,
        "direction": comparison.direction,
        "score": comparison.contender_score,
        "base_score": comparison.base_score,
        "ratio": estimate.ratio,
        "low": estimate.low,
        "high": estimate.high,
        "p_value": estimate.p_value,
        "adjusted_p": comparison.adjusted_p,
        "rank_p_value": estimate.rank_p_value,
        "rank_test": estimate.rank_test,
        "verdict": comparison.verdict,
        "why": estimate.why,
        "method": estimate.method,
        "launches": estimate.contender_launches,
        "base_launches": estimate.base_launches,
        "excluded_repetitions": comparison.excluded_repetitions,
        "flagged_launches": sum(bool(cell.record.flags) for cell in {*comparison.contender_cells, *comparison.base_cells}),
        "regression": threshold is not None and comparison.is_regression(threshold),
        "records": [cell.source() for cell in comparison.contender_cells],
        "base_records": [cell.source() for cell in comparison.base_cells],
    }


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage of at least 0, such as 5")
    return value


def _chosen(records: list[Record], workloads: Sequence[str] | None, path: Path) -> list[Record]:
    if workloads:
        for record in records:
            record.cells[:] = [cell for cell in record.cells if cell.key.workload in workloads]
        records = [record for record in records if record.cells]
        if not records:
            raise UsageError(f"{path}: has no cell of workload {', '.join(workloads)}: see the names in its records")
    if not any(record.cells for record in records):
        raise UsageError(f"{path}: its records hold no cells, so there is nothing to compare: run the workload again")
    return records


def _nothing_matched(namespace: argparse.Namespace, base: Sequence[Record], contender: Sequence[Record]) -> str:
    if namespace.baseline:
        names = sorted({cell.variant for record in base for cell in record.cells})
        return f"{namespace.base}: {namespace.baseline} was not measured beside another variant; measured: {_few(names)}"
    names = sorted({cell.name for record in contender for cell in record.cells})
    return f"no cell of {namespace.base} is in {namespace.contender}, which has {_few(names)}: run the same matrix on both"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _result(
    namespace: argparse.Namespace,
    base: Sequence[Record],
    contender: Sequence[Record],
    comparisons: Sequence[Comparison],
    threshold: float | None,
) -> dict[str, Any]:
    rows = [as_json(comparison, threshold) for comparison in comparisons]
    counts = Counter(comparison.verdict for comparison in comparisons)
    records = base if contender is base else [*base, *contender]
    only_base, only_contender = ([], []) if contender is base else _unmatched(base, contender)
    return {
        "host": base[0].host_name,
        "base": namespace.baseline or str(namespace.base),
        "contender": str(namespace.contender or namespace.base),
        "contender_is_another_set": contender is not base,
        "base_revisions": _revisions(base),
        "contender_revisions": _revisions(contender),
        "confidence": CONFIDENCE,
        "correction": "Benjamini-Hochberg over all cells with enough launches",
        "threshold_percent": threshold,
        "summary": {name: counts[name] for name in (FASTER, SLOWER, INDISTINGUISHABLE, NOT_ENOUGH_DATA)},
        "excluded_repetitions": sum(cell.excluded_count for record in records for cell in record.cells),
        "regressions": sum(row["regression"] for row in rows),
        "failed_checks": failed_checks(records),
        "flagged": [{"record": str(record.path), "flags": record.flags} for record in records if record.flags],
        "only_in_base": only_base,
        "only_in_contender": only_contender,
        "cells": rows,
    }


def _revisions(records: Sequence[Record]) -> list[str]:
    found = set()
    for record in records:
        build = record.section("build")
        if build.get("git_revision"):
            found.add(f"{build['git_revision']}{' (changed)' if build.get('git_dirty') else ''}")
    return sorted(found)


def _unmatched(base: Sequence[Record], contender: Sequence[Record]) -> tuple[list[str], list[str]]:
    names = []
    for records in (base, contender):
        groups = group_cells(records)
        names.append({f"{key.workload} {key.text()} {variant}" for key, cells in groups.items() for variant in cells})
    return sorted(names[0] - names[1]), sorted(names[1] - names[0])


def _print_text(result: dict[str, Any], comparisons: Sequence[Comparison], quiet: bool) -> None:
    rows = [["workload", "parameters", "variant", "base score", "score", "unit", "ratio", "95 % interval", "rank p", "verdict", "launches"]]
    for comparison, cell in zip(comparisons, result["cells"], strict=True):
        interval = "-" if cell["low"] is None else f"{cell['low']:.3f} .. {cell['high']:.3f}"
        words = cell["verdict"] + (f" ({cell['why']})" if cell["why"] else "") + (" REGRESSION" if cell["regression"] else "")
        rows.append(
            [
                cell["workload"],
                comparison.key.text(),
                cell["variant"],
                f"{cell['base_score']:.4g}",
                f"{cell['score']:.4g}",
                cell["unit"],
                f"{cell['ratio']:.3f}",
                interval,
                "-" if cell["rank_p_value"] is None else f"{cell['rank_p_value']:.2g}",
                words,
                f"{cell['base_launches']}/{cell['launches']}{MARK if cell['flagged_launches'] else ''}",
            ]
        )
    print(table(rows, sys.stdout))
    if quiet:
        return
    counts = ", ".join(f"{count} {name}" for name, count in result["summary"].items() if count)
    print(f"\n{len(comparisons)} cells on {result['host']}: {counts}; {result['excluded_repetitions']} repetitions excluded")
    print(f"base {result['base']} {' '.join(result['base_revisions'])}".rstrip())
    if result["contender_is_another_set"]:
        print(f"contender {result['contender']} {' '.join(result['contender_revisions'])}".rstrip())
    print(f"ratio is cost, contender over base: below 1 is better. Verdicts corrected: {result['correction']}.")
    tests = sorted({cell["rank_test"] for cell in result["cells"] if cell["rank_test"]})
    if tests:
        print(f"rank p is of {' or '.join(tests)}, not corrected, and decides nothing.")
    for side in ("base", "contender"):
        if result[f"only_in_{side}"]:
            print(f"only in the {side}: {_few(result[f'only_in_{side}'])}")
    if result["flagged"]:
        why = ", ".join(dict.fromkeys(check for record in result["flagged"] for check in record["flags"]))
        print(f"{MARK} {len(result['flagged'])} launches were measured although the gate found {why}")
    if result["regressions"]:
        line = f"{result['regressions']} cells are slower by more than {result['threshold_percent']:g} %"
        print(colour(line, "red", sys.stdout))
