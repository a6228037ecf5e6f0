"""`lab list`: workloads, their variants, axes, floors and parameters, as the binaries describe them."""

import argparse
import json
import sys
from pathlib import Path

from page_map_lab import binaries, build, paths
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.record_flags import MARK
from page_map_lab.terminal import colour, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab list`."""
    parser.add_argument("workload", nargs="*", metavar="WORKLOAD", help="only these workloads (default: all)")
    parser.add_argument("--variant", metavar="GLOB", help="only variants and floors that match")
    parser.add_argument(
        "--records", action="append", type=Path, metavar="PATH",
        help="instead, the records below a run folder, those flagged by the gate marked with ! (repeatable)",
    )  # fmt: skip


def as_json(workload: binaries.Workload, names: list[str]) -> dict:
    """One workload as an object."""
    return {
        "workload": workload.name,
        "question": workload.question,
        "axes": list(workload.axes),
        "base": workload.base(),
        "variants": [{"name": name, "policies": workload.variants[name]} for name in names if name in workload.variants],
        "floors": [name for name in names if name in workload.floors],
        "parameters": workload.parameters,
        "score": workload.score,
        "trace": workload.replays_traces,
    }


def as_text(workload: binaries.Workload, names: list[str]) -> str:
    """One workload for people."""
    base = workload.base()
    lines = [f"{colour(workload.name, 'bold', sys.stdout)}: {workload.question}"]
    lines.append(f"  score       {workload.score.get('metric')} ({workload.score.get('direction', '').replace('_', ' ')})")
    for axis in workload.axes:
        values = dict.fromkeys(policies[axis] for policies in workload.variants.values() if axis in policies)
        lines.append(f"  axis        {axis}: {', '.join(values)}")
    for parameter, values in workload.parameters.items():
        lines.append(f"  parameter   {parameter}: {parameter_text(values)}")
    for name in names:
        kind = "floor  " if name in workload.floors else "variant"
        lines.append(f"  {kind}     {name}{'  (base)' if name == base else ''}")
    return "\n".join(lines)


def parameter_text(values: object) -> str:
    """The values of one parameter for people."""
    if isinstance(values, dict):
        return "; ".join(f"{size} {parameter_text(inner)}" for size, inner in values.items())
    if isinstance(values, list):
        return ", ".join(str(value) for value in values)
    return str(values)


def list_records(namespace: argparse.Namespace) -> int:
    """Prints the records of some folders, and what flags them."""
    from page_map_lab.records import load_records  # only here: checking records takes modules that are slow to import

    found = [record for record in load_records(namespace.records)
             if not namespace.workload or {cell.key.workload for cell in record.cells} & set(namespace.workload)]  # fmt: skip
    if not found:
        raise UsageError(f"no record of {', '.join(namespace.workload)} there: leave the name out to see all")
    entries = [
        {
            "record": str(record.path),
            "workload": ", ".join(dict.fromkeys(cell.key.workload for cell in record.cells)),
            "cells": len(record.cells),
            "started": record.launch.get("started"),
            "verdict": {name: (record.section("gate").get(name) or {}).get("verdict") for name in ("before", "after")},
            "flags": record.flags,
        }
        for record in found
    ]
    if namespace.json:
        print(json.dumps(entries, indent=1))
        return ExitCode.OK
    rows = [["", "record", "workload", "cells", "before", "after", "flagged by"]]
    for entry in entries:
        verdicts = [entry["verdict"][name] or "no gate" for name in ("before", "after")]
        mark = MARK if entry["flags"] else ""
        rows.append([mark, paths.shown(entry["record"]), entry["workload"], str(entry["cells"]), *verdicts, ", ".join(entry["flags"])])
    print(table(rows, sys.stdout))
    return ExitCode.OK


def run(namespace: argparse.Namespace) -> int:
    """Prints what exists."""
    if namespace.records:
        return list_records(namespace)
    patterns = [namespace.variant] if namespace.variant else []
    binaries.check_names_before_building(namespace.workload, patterns)
    folder = build.binaries_for(namespace.dry_run, namespace.quiet)
    if folder is None:
        return ExitCode.OK
    workloads = binaries.describe_all(folder, namespace.workload or None)
    chosen = []
    for workload in workloads.values():
        names = workload.select(namespace.variant) if namespace.variant else [*workload.variants, *workload.floors]
        if names:
            chosen.append((workload, names))
    if not chosen:
        raise UsageError(f'no variant matches "{namespace.variant}": `lab list` without --variant shows all')
    if namespace.json:
        print(json.dumps([as_json(workload, names) for workload, names in chosen], indent=1))
    else:
        print("\n\n".join(as_text(workload, names) for workload, names in chosen))
    return ExitCode.OK
