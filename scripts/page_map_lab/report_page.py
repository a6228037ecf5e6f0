"""Turns the report's model and pictures into the HTML page and the Markdown file, through the templates beside this module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from page_map_lab import report_batches, report_machine, tables
from page_map_lab.latencies import FEWEST_BEYOND, SHARES, tails
from page_map_lab.pictures_curves import duration
from page_map_lab.pictures_ratios import counter_carriers, counters_per_operation
from page_map_lab.records import Record
from page_map_lab.report_answers import SURE, TIED, UNCOMPARED, UNDECIDED
from page_map_lab.report_attribution import (
    AGREEMENT,
    MOST_EXCLUDED,
    mechanism_of,
    phase_table,
    shootdown_summary,
    shootdown_table,
)
from page_map_lab.report_model import HostReport, Row, WorkloadReport
from page_map_lab.report_pictures import Gallery
from page_map_lab.statistics import CONFIDENCE, FASTER, INDISTINGUISHABLE, MINIMUM_LAUNCHES, SLOWER, median
from page_map_lab.trace_attribution import KINDS, Attribution

TEMPLATES = Path(__file__).resolve().parent / "templates"
MOST_METRICS = 6
BADGES = {SURE: "good", TIED: "even", UNDECIDED: "care", UNCOMPARED: "care"}


@dataclass(frozen=True)
class Page:
    """Everything that a template is filled with."""

    hosts: Sequence[HostReport]
    galleries: Sequence[Gallery]
    index: tables.RecordIndex
    base: str
    attributions: Sequence[Attribution] = ()
    picture_suffixes: Sequence[str] = ("svg", "png")

    def render(self, template: str) -> str:
        """The template's text."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=template.endswith(".html.j2"),
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters.update(number=number, ratio=ratio, duration=duration, tex=tex)
        environment.globals.update(
            interval=interval,
            mark=mark,
            badge=BADGES.get,
            confidence=round(100 * CONFIDENCE),
            minimum_launches=MINIMUM_LAUNCHES,
            fewest_beyond=FEWEST_BEYOND,
            percentile_names=[f"p{100 * share:g}" for share in SHARES],
            agreement=round(100 * AGREEMENT),
            most_excluded=round(100 * MOST_EXCLUDED),
        )
        hosts = self.hosts
        variants = sorted({row.variant for host in hosts for workload in host.workloads for row in workload.rows})
        threads = {row.key.value("threads") for host in hosts for workload in host.workloads for row in workload.rows} - {None}
        return environment.get_template(template).render(
            hosts=[self._host(host, gallery) for host, gallery in zip(hosts, self.galleries, strict=True)],
            base_name=self.base,
            answers=self._answers(),
            side_by_side=self._side_by_side() if len(hosts) > 1 else [],
            launches=sum(len(host.records) for host in hosts),
            runs=sorted({str(record.launch.get("run") or "by hand") for host in hosts for record in host.records}),
            policies=sorted({part for variant in variants for part in variant.split("/")}),
            threads=sorted(threads),
            picture_suffix=self.picture_suffixes[-1] if self.picture_suffixes else "",
        )

    def _answers(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for host in self.hosts:
            for workload in host.workloads:
                answer = workload.answer
                launches = self.index.launches(answer.row.cells) if answer.row else []
                line = {"host": host.name, "answer": answer, "anchor": _anchor(host, workload), "href": launches[0].href if launches else ""}
                line["base"] = workload.base
                known = {"workload": workload.name, "topic": workload.topic, "question": workload.question, "hosts": []}
                found.setdefault(workload.name, known)["hosts"].append(line)
        return list(found.values())

    def _host(self, host: HostReport, gallery: Gallery) -> dict[str, Any]:
        return {
            "name": host.name,
            "facts": report_machine.facts(host),
            "flags": report_machine.flags(host),
            "missing": gallery.missing,
            "mechanism": mechanism_of(host.facts).name,
            "machine_pictures": [self._picture(picture) for picture in gallery.of_machine],
            "workloads": [self._workload(host, workload, gallery) for workload in host.workloads],
            "records": [
                {
                    "short": self.index.names[record.path],
                    "path": self.index.relative(record.path),
                    "launch": record.launch.get("index"),
                    "seed": record.launch.get("seed"),
                    "started": record.launch.get("started"),
                    "command": " ".join(str(word) for word in record.launch.get("command") or []),
                    "placement": f"{record.section('placement').get('plan') or '-'}, {record.section('placement').get('state') or '-'}",
                }
                for record in host.records
            ],
        }

    def _picture(self, picture: Any) -> dict[str, Any]:
        files = dict.fromkeys(self.index.names[Path(source.partition("#")[0])] for source in picture.sources)
        names = ", ".join([f"pictures/{picture.name}.{self.picture_suffixes[0]}", *(f".{s}" for s in self.picture_suffixes[1:])] if self.picture_suffixes else [])
        return {"picture": picture, "records": list(files), "svg": picture.inline(), "files": names}

    def _workload(self, host: HostReport, workload: WorkloadReport, gallery: Gallery) -> dict[str, Any]:
        rows = [{**_row(row), **self._about(row)} for row in workload.rows]
        phases = phase_table(workload)
        shootdowns = shootdown_table([workload])
        return {
            "name": workload.name,
            "anchor": _anchor(host, workload),
            "topic": workload.topic,
            "question": workload.question,
            "answer": workload.answer,
            "base": workload.base,
            "unit": f"{workload.rows[0].cells[0].metric} ({workload.rows[0].cells[0].unit})",
            "score_unit": workload.rows[0].cells[0].unit,
            "pictures": [self._picture(picture) for picture in gallery.by_workload.get(workload.name, [])],
            "rows": rows,
            "headline_rows": [row for row, known in zip(rows, workload.rows, strict=True) if known.key == workload.headline],
            "with_intervals": sum(row["certainty"] == "interval" for row in rows),
            "single": sum(row["certainty"] == "single launch" for row in rows),
            "excluded": sum(row["excluded"] for row in rows),
            "tails": [{"found": tail, **self._about(row)} for row in workload.rows for tail in tails(row)],
            "counters": self._counters(workload),
            "phases": [{"found": found, **self._about(found.row)} for found in phases],
            "phase_names": list(dict.fromkeys(name for found in phases for name in found.costs)),
            "attributions": [
                {"removals": a.removals, "href": quote(self.index.relative(a.path)), "kinds": KINDS, "rows": a.rows, "notes": a.notes}
                for a in self.attributions
                if (a.host, a.workload) == (host.name, workload.name)
            ],
            "shootdowns": [
                {
                    "found": found,
                    "parameters": found.key.text(),
                    "variant": found.variant,
                    "threads": found.key.value("threads") or "",
                    "launches": self.index.launches(found.cells),
                    "excluded": [(self.index.launch(cell), repetition.index, why) for cell, repetition, why in found.excluded],
                }
                for found in shootdowns
            ],
            "advice": report_batches.advice(workload),
            "shootdown_summary": shootdown_summary(shootdowns, mechanism_of(host.facts)),
        }

    def _about(self, row: Row) -> dict[str, Any]:
        return {
            "variant": row.variant,
            "parameters": row.key.text(),
            "threads": row.key.value("threads") or "",
            "launches": self.index.launches(row.cells),
        }

    def _counters(self, workload: WorkloadReport) -> dict[str, Any]:
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
        launches: dict[str, list[Record]] = {}
        for record in dict.fromkeys(cell.record for row in rows for cell in row.cells):
            launches.setdefault(record.counter_set, []).append(record)
        return {
            "sets": [(name, [self.index.names[record.path] for record in found]) for name, found in sorted(launches.items())],
            "names": shown,
            "reasons": [(name, state, why) for (name, state), why in reasons.items()],
            "rows": [
                {
                    **self._about(row),
                    "ratio": row.comparison.estimate.ratio if row.comparison else (1.0 if row.is_base else None),
                    "values": [(*found.get(name, (None, "not asked")), places.get(name, "")) for name in shown],
                }
                for row, found in readings
                for places in [{name: self.index.launch(cell).href for name, cell in counter_carriers(row).items()}]
            ],
        }

    def _side_by_side(self) -> list[dict[str, Any]]:
        """Ratios only: what one host's nanoseconds are to another's is no question of this lab."""
        found: dict[tuple[str, str, str, Any], dict[str, Any]] = {}
        for host in self.hosts:
            for workload in host.workloads:
                for row in workload.rows:
                    if row.comparison is not None:
                        place = (workload.name, row.key.text(), row.variant, row.key.value("threads") or "")
                        entry = {"comparison": row.comparison, "href": self.index.launches(row.cells)[0].href}
                        found.setdefault(place, {})[host.name] = entry
        return [
            {
                "workload": workload,
                "parameters": parameters,
                "variant": variant,
                "threads": threads,
                "by_host": [by_host.get(host.name) for host in self.hosts],
            }
            for (workload, parameters, variant, threads), by_host in found.items()
            if len(by_host) > 1
        ]


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


def mark(verdict: str) -> str:
    """A verdict without colour: a sign in front of its word."""
    return {FASTER: "\u25bc", SLOWER: "\u25b2", INDISTINGUISHABLE: "\u2248"}.get(verdict, "?" if "enough" in verdict else "")


def tex(text: Any) -> str:
    """Text as LaTeX prints it."""
    signs = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{sign: "\\" + sign for sign in "&%$#_{}"}}
    return "".join(signs.get(sign, sign) for sign in str(text))


def interval(of: Any) -> str:
    """The interval of anything with low and high, or a dash."""
    low, high = (of["low"], of["high"]) if isinstance(of, dict) else (of.low, of.high)
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _anchor(host: HostReport, workload: WorkloadReport) -> str:
    return f"{host.name}-{workload.name}"


def _row(row: Row) -> dict[str, Any]:
    estimate = row.comparison.estimate if row.comparison else None
    failed = any(not cell.check_passed for cell in row.cells)
    verdict = row.comparison.verdict if row.comparison else ("base" if row.is_base else "no base here")
    return {
        "floor": row.floor,
        "is_base": row.is_base,
        "score": row.score,
        "unit": row.cells[0].unit,
        "ratio": estimate.ratio if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "verdict": "CHECK FAILED" if failed else verdict,
        "certainty": row.certainty,
        "excluded": row.excluded,
        "metrics": _metrics(row),
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
