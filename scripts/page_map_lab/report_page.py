"""Turns the report's model and pictures into the HTML page and the Markdown file, through the templates beside this module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from page_map_lab import report_machine, tables
from page_map_lab.pictures_curves import duration
from page_map_lab.pictures_machine import phase_costs
from page_map_lab.pictures_ratios import counters_per_operation
from page_map_lab.report_model import HostReport, Row, WorkloadReport
from page_map_lab.report_pictures import Gallery
from page_map_lab.statistics import CONFIDENCE, MINIMUM_LAUNCHES, median

TEMPLATES = Path(__file__).resolve().parent / "templates"
MOST_METRICS = 6


def render(template: str, hosts: Sequence[HostReport], galleries: Sequence[Gallery], index: tables.RecordIndex, base: str) -> str:
    """The template's text for these hosts."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=number, ratio=ratio, duration=duration)
    environment.globals.update(interval=interval)
    return environment.get_template(template).render(
        hosts=[_host(host, gallery, index) for host, gallery in zip(hosts, galleries, strict=True)],
        base_name=base,
        answers=_answers(hosts),
        side_by_side=_side_by_side(hosts) if len(hosts) > 1 else [],
        launches=sum(len(host.records) for host in hosts),
        runs=sorted({str(record.launch.get("run") or "by hand") for host in hosts for record in host.records}),
        confidence=round(100 * CONFIDENCE),
        minimum_launches=MINIMUM_LAUNCHES,
    )


def number(value: float | None) -> str:
    """A number with four significant digits and no exponent where it can be read without."""
    if value is None:
        return "-"
    if value != 0 and (abs(value) >= 1e7 or abs(value) < 1e-4):
        return f"{value:.3e}"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 6)}f}"


def ratio(value: float | None) -> str:
    """A ratio, with a sign that it is one."""
    return "-" if value is None else f"{value:.3f}x" if value < 10 else f"{value:.1f}x"


def interval(of: Any) -> str:
    """The interval of anything with low and high, or a dash."""
    low, high = (of["low"], of["high"]) if isinstance(of, dict) else (of.low, of.high)
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _answers(hosts: Sequence[HostReport]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(workload.name for host in hosts for workload in host.workloads))
    found = []
    for name in names:
        lines = [(host, workload) for host in hosts for workload in host.workloads if workload.name == name]
        found.append(
            {
                "workload": name,
                "question": lines[0][1].question,
                "hosts": [{"host": host.name, "answer": workload.answer, "anchor": _anchor(host, workload)} for host, workload in lines],
            }
        )
    return found


def _anchor(host: HostReport, workload: WorkloadReport) -> str:
    return f"{host.name}-{workload.name}"


def _host(host: HostReport, gallery: Gallery, index: tables.RecordIndex) -> dict[str, Any]:
    return {
        "name": host.name,
        "facts": report_machine.facts(host),
        "flags": report_machine.flags(host),
        "missing": gallery.missing,
        "machine_pictures": [_picture(picture, index) for picture in gallery.of_machine],
        "workloads": [_workload(host, workload, gallery, index) for workload in host.workloads],
        "records": [
            {
                "short": index.names[record.path],
                "path": index.relative(record.path),
                "launch": record.launch.get("index"),
                "seed": record.launch.get("seed"),
                "started": record.launch.get("started"),
                "command": " ".join(str(word) for word in record.launch.get("command") or []),
                "placement": f"{record.section('placement').get('plan') or '-'}, {record.section('placement').get('state') or '-'}",
            }
            for record in host.records
        ],
    }


def _picture(picture: Any, index: tables.RecordIndex) -> dict[str, Any]:
    files = dict.fromkeys(index.names[Path(source.partition("#")[0])] for source in picture.sources)
    return {"picture": picture, "records": list(files), "svg": picture.inline()}


def _workload(host: HostReport, workload: WorkloadReport, gallery: Gallery, index: tables.RecordIndex) -> dict[str, Any]:
    rows = [_row(row, index) for row in workload.rows]
    return {
        "name": workload.name,
        "anchor": _anchor(host, workload),
        "question": workload.question,
        "answer": workload.answer,
        "base": workload.base,
        "unit": f"{workload.rows[0].cells[0].metric} ({workload.rows[0].cells[0].unit})",
        "pictures": [_picture(picture, index) for picture in gallery.by_workload.get(workload.name, [])],
        "rows": rows,
        "with_intervals": sum(row["certainty"] == "interval" for row in rows),
        "single": sum(row["certainty"] == "single launch" for row in rows),
        "excluded": sum(row["excluded"] for row in rows),
        "tails": [
            {**tail, "variant": row.variant, "parameters": row.key.text(), "records": index.short(row)}
            for row in workload.rows
            for tail in tables.tail_texts(row)
        ],
        "counters": _counters(workload, index),
        "phases": [
            {"variant": row.variant, "parameters": row.key.text(), "costs": costs, "records": index.short(row)}
            for row in workload.rows
            if (costs := phase_costs(row.cells))
        ],
    }


def _row(row: Row, index: tables.RecordIndex) -> dict[str, Any]:
    estimate = row.comparison.estimate if row.comparison else None
    failed = any(not cell.check_passed for cell in row.cells)
    verdict = row.comparison.verdict if row.comparison else ("base" if row.is_base else "no base here")
    return {
        "parameters": row.key.text(),
        "variant": row.variant,
        "floor": row.floor,
        "is_base": row.is_base,
        "score": row.score,
        "unit": row.cells[0].unit,
        "ratio": estimate.ratio if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "verdict": "CHECK FAILED" if failed else verdict,
        "certainty": row.certainty,
        "launches": row.launches,
        "excluded": row.excluded,
        "metrics": _metrics(row),
        "records": index.short(row),
    }


def _metrics(row: Row) -> list[tuple[str, float]]:
    values: dict[str, list[float]] = {}
    for cell in row.cells:
        inside: dict[str, list[float]] = {}
        for repetition in cell.usable_repetitions:
            for name, value in repetition.metrics.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    inside.setdefault(name, []).append(float(value))
        merged = {name: median(found) for name, found in inside.items()}
        merged.update({n: float(v) for n, v in cell.metrics.items() if isinstance(v, (int, float)) and not isinstance(v, bool)})
        for name, value in merged.items():
            values.setdefault(name, []).append(value)
    return [(name, median(found)) for name, found in values.items()][:MOST_METRICS]


def _counters(workload: WorkloadReport, index: tables.RecordIndex) -> dict[str, Any]:
    rows = [row for row in workload.rows if any(cell.counters for cell in row.cells)]
    readings = [(row, counters_per_operation(row)) for row in rows]
    names = list(dict.fromkeys(name for _, found in readings for name in found))
    reasons = {}
    for row in rows:
        for cell in row.cells:
            for reading in cell.counters:
                if reading.get("state") in ("denied", "absent"):
                    reasons.setdefault((str(reading["name"]), str(reading["state"])), str(reading.get("why") or "no reason recorded"))
    silent = [name for name in names if all(found.get(name, (None, ""))[0] is None for _, found in readings)]
    shown = [name for name in names if name not in silent]
    return {
        "names": shown,
        "reasons": [(name, state, why) for (name, state), why in reasons.items()],
        "rows": [
            {
                "variant": row.variant,
                "parameters": row.key.text(),
                "ratio": row.comparison.estimate.ratio if row.comparison else (1.0 if row.is_base else None),
                "values": [found.get(name, (None, "not asked")) for name in shown],
                "records": index.short(row),
            }
            for row, found in readings
        ],
    }


def _side_by_side(hosts: Sequence[HostReport]) -> list[dict[str, Any]]:
    """Ratios only: what one host's nanoseconds are to another's is no question of this lab."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for host in hosts:
        for workload in host.workloads:
            for row in workload.rows:
                if row.comparison is not None:
                    place = (workload.name, row.key.text(), row.variant)
                    found.setdefault(place, {})[host.name] = row.comparison
    return [
        {"workload": workload, "parameters": parameters, "variant": variant, "by_host": [by_host.get(host.name) for host in hosts]}
        for (workload, parameters, variant), by_host in found.items()
        if len(by_host) > 1
    ]
