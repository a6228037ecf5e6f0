"""The page of a profiling session: what was run, where the time went, and how to read it."""

from pathlib import Path
from typing import Any

import jinja2

from page_map_lab import profile_views, sample_kinds, trace_attribution
from page_map_lab.binaries import Workload

TEMPLATE = Path(__file__).parent / "templates"


def median(values: list[float]) -> float | None:
    """The median, or None of nothing."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


def fixed_parameters(record: dict[str, Any]) -> dict[str, Any]:
    """The parameters that have one value in all cells."""
    cells = [cell["parameters"] for cell in record["cells"]]
    return {name: value for name, value in cells[0].items() if all(cell.get(name) == value for cell in cells)}


def point_of(record: dict[str, Any], cell: dict[str, Any]) -> str:
    """The parameters in which the cell differs from others."""
    fixed = fixed_parameters(record)
    return " ".join(f"{name}={value}" for name, value in cell["parameters"].items() if name not in fixed)


def cell_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a cell: its score, and how that stands to the first variant at the same parameters."""
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    for cell in record["cells"]:
        scores = [r["score"] for r in cell["repetitions"] if r.get("excluded") is None and r.get("score") is not None]
        point = point_of(record, cell)
        score = median(scores)
        if score is not None:
            first.setdefault(point, score)
        rows.append(
            {
                "variant": cell["variant"],
                "point": point,
                "score": score,
                "unit": cell["score"]["unit"],
                "ratio": score / first[point] if score is not None and first[point] else None,
            }
        )
    return rows


def phase_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a phase of a cell: time per operation, its share, and those of the phase's own counters that counted anything."""
    rows = []
    for cell in record["cells"]:
        phases = cell.get("phases") or []
        total = sum(phase.get("ns") or 0 for phase in phases)
        for phase in phases:
            operations = phase.get("operations") or 0
            rows.append(
                {
                    "variant": cell["variant"],
                    "point": point_of(record, cell),
                    "name": phase["name"],
                    "each": phase["ns"] / operations if operations else None,
                    "share": 100 * phase["ns"] / total if total else 0,
                    "counters": {
                        counter["name"]: counter["per_operation"]
                        for counter in phase.get("counters") or []
                        if counter.get("per_operation")
                    },
                }
            )
    return rows


def counter_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a counter of a cell; one that could not be read says why."""
    return [
        {
            "variant": cell["variant"],
            "point": point_of(record, cell),
            **counter,
        }
        for cell in record["cells"]
        for counter in cell.get("counters") or []
    ]


def page(workload: Workload, names: list[str], measured: dict[str, Any], gate: dict[str, Any], flags: list[str]) -> str:
    """The HTML of the session, in one file that needs nothing else. `flags` are what the gate found before it or after it."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True)
    record = measured["record"]
    return environment.get_template("profile.html.j2").render(
        workload=workload,
        names=names,
        measured=measured,
        gate=gate,
        flags=flags,
        host=record.get("host") or {},
        build=record.get("build") or {},
        fixed=fixed_parameters(record),
        cells=cell_rows(record),
        phases=phase_rows(record),
        counters=counter_rows(record),
        kinds=sample_kinds.KINDS,
        traced_kinds=trace_attribution.KINDS,
        hardware_titles=list(profile_views.HARDWARE_VIEWS),
    )
