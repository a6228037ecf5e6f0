"""Turns the JSON that any Google Benchmark program writes into the shape of a record, with the unknown left out.

One file is one launch. Each benchmark becomes one cell whose workload is the program and whose variant is `google_benchmark`;
its repetitions are the rows of run_type "iteration", and its score is the real time per iteration.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from page_map_lab.records_error import RecordError

VARIANT = "google_benchmark"
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def as_record(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """A dictionary with the fields of a record that comparing needs."""
    context = data.get("context")
    rows = data["benchmarks"]
    if not isinstance(context, dict):
        raise RecordError(path, "context", "is missing; Google Benchmark always writes one")
    if not isinstance(rows, list):
        raise RecordError(path, "benchmarks", "is not a list")
    workload = PurePath(str(context.get("executable") or "benchmark")).name
    cells: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        where = f"benchmarks[{index}]"
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise RecordError(path, f"{where}.name", "is missing")
        if row.get("run_type", "iteration") == "iteration":
            _add_row(path, where, row, workload, cells)
    if not cells:
        raise RecordError(path, "benchmarks", "has no row of a single repetition, so there is nothing to compare")
    return {
        "context": context,
        "host": {"name": context.get("host_name"), "logical_cpus": context.get("num_cpus")},
        "build": {"build_type": context.get("library_build_type")},
        "environment": {"cpu_scaling_enabled": context.get("cpu_scaling_enabled")},
        "launch": {"started": context.get("date"), "command": [context.get("executable")]},
        "cells": list(cells.values()),
    }


def _add_row(path: Path, where: str, row: dict[str, Any], workload: str, cells: dict[str, dict[str, Any]]) -> None:
    name = str(row.get("run_name") or row["name"])
    score, excluded = None, None
    if row.get("error_occurred"):
        excluded = str(row.get("error_message") or "the benchmark reported an error")
    else:
        score = row.get("real_time")
        factor = NANOSECONDS.get(str(row.get("time_unit", "ns")))
        if not isinstance(score, (int, float)) or isinstance(score, bool):
            raise RecordError(path, f"{where}.real_time", "is not a number")
        if factor is None:
            raise RecordError(path, f"{where}.time_unit", f"is {row.get('time_unit')!r}, not one of ns, us, ms, s")
        score *= factor
    cell = cells.setdefault(
        name,
        {
            "name": name,
            "workload": workload,
            "variant": VARIANT,
            "parameters": {"benchmark": name},
            "score": {"metric": "real_time", "unit": "ns", "direction": "lower_is_better"},
            "repetitions": [],
        },
    )
    cell["repetitions"].append({"index": len(cell["repetitions"]), "score": score, "excluded": excluded})
