"""`lab report PATH...`: records into one self-contained HTML page, with Markdown, CSV, LaTeX and the pictures as files."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from page_map_lab import tables
from page_map_lab.atomic_file import write_text
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.compare import failed_checks
from page_map_lab.compare_guard import comparable_facts
from page_map_lab.paths import shown
from page_map_lab.records import Record, load_records
from page_map_lab.report_model import DEFAULT_BASE, HostReport, build
from page_map_lab.report_page import Page
from page_map_lab.report_pictures import draw
from page_map_lab.trace_attribution import find

PICTURES_FOLDER = "pictures"
PICTURE_FORMATS = ("svg", "png", "pdf")
# What is written, and whether it is unless asked otherwise: PDF takes as long as all the rest.
FORMATS = {"html": True, "md": True, "csv": True, "counters": True, "tex": True, "svg": True, "png": True, "pdf": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="record files and run folders, of one host or several")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: report/ in the first PATH)")
    parser.add_argument(
        "--formats",
        metavar="LIST",
        default=",".join(name for name, usual in FORMATS.items() if usual),
        help=f"of {', '.join(FORMATS)}, or all (default: %(default)s); pdf are the pictures for a paper, tex the tables (booktabs)",
    )
    parser.add_argument("--baseline", metavar="VARIANT", default=DEFAULT_BASE, help="ratios are to this one (default: %(default)s)")


def run(namespace: argparse.Namespace) -> int:
    """Writes the report and prints where the page is."""
    formats = _formats(namespace.formats)
    first = namespace.paths[0]
    folder = namespace.out or (first if first.is_dir() else first.parent) / "report"
    records = [record for record in _without_repeats(load_records(namespace.paths)) if record.cells]
    if not records:
        raise UsageError(f"{first}: its records hold no cells, so there is nothing to report: run the workload again")
    if getattr(namespace, "dry_run", False):
        print(f"would report {len(records)} launches into {shown(folder)}")
        return ExitCode.OK
    hosts = build(records, namespace.baseline)
    index = tables.RecordIndex(folder)
    for host in hosts:
        index.add(host)
    galleries = [draw(host) for host in hosts]
    page = Page(
        hosts, galleries, index, namespace.baseline, find(namespace.paths), [name for name in PICTURE_FORMATS if name in formats]
    )
    written = _write(folder, page, formats)
    failures = failed_checks(records)
    for warning in [*_mixed(hosts), *failures]:
        sys.stderr.write(f"lab report: {warning}\n")
    if getattr(namespace, "json", False):
        pictures = sum(len(gallery.all()) for gallery in galleries)
        print(json.dumps({"report": str(written), "hosts": [h.name for h in hosts], "launches": len(records), "pictures": pictures}))
    else:
        print(shown(written))
    return ExitCode.CHECK_FAILED if failures else ExitCode.OK


def _formats(text: str) -> list[str]:
    asked = list(FORMATS) if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in FORMATS]
    if unknown or not asked:
        raise UsageError(f'--formats "{text}": use some of {", ".join(FORMATS)}, or all')
    return asked


def _write(folder: Path, page: Page, formats: Sequence[str]) -> Path:
    """Writes what was asked for, and returns the page, or the folder where no page was asked for."""
    pictures = folder / PICTURES_FOLDER
    try:
        shutil.rmtree(pictures, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        for gallery in page.galleries if page.picture_suffixes else ():
            pictures.mkdir(exist_ok=True)
            for picture in gallery.all():
                for suffix in page.picture_suffixes:
                    (pictures / f"{picture.name}.{suffix}").write_bytes(picture.as_file(suffix))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}): choose another place with --out") from error
    texts = {
        "report.csv": ("csv", lambda: tables.csv_text(tables.CSV_FIELDS, tables.cell_rows(page.hosts, page.index))),
        "phases.csv": ("csv", lambda: tables.csv_text(tables.PHASE_FIELDS, tables.phase_rows(page.hosts, page.index))),
        "shootdowns.csv": ("csv", lambda: tables.csv_text(tables.SHOOTDOWN_FIELDS, tables.shootdown_rows(page.hosts, page.index))),
        "latency.csv": ("csv", lambda: tables.csv_text(tables.LATENCY_FIELDS, tables.latency_rows(page.hosts, page.index))),
        "counters.csv": ("counters", lambda: tables.csv_text(tables.COUNTER_FIELDS, tables.counter_rows(page.hosts, page.index))),
        "report.md": ("md", lambda: page.render("report.md.j2")),
        "report.tex": ("tex", lambda: page.render("report.tex.j2")),
        "report.html": ("html", lambda: page.render("report.html.j2")),
    }
    for name, (wanted, text) in texts.items():
        (folder / name).unlink(missing_ok=True)
        if wanted in formats:
            write_text(folder / name, text())
    return folder / "report.html" if "html" in formats else folder


def _without_repeats(records: Sequence[Record]) -> list[Record]:
    return list({record.path.resolve(): record for record in records}.values())


def _mixed(hosts: Sequence[HostReport]) -> list[str]:
    """Says which fields differ between launches of one host: their ratios within a launch stand, others may not."""
    warnings = []
    for host in hosts:
        facts = [comparable_facts(record) for record in host.records]
        names = sorted({name for found in facts for name in found if found.get(name) != facts[0].get(name)})
        if names:
            warnings.append(f"{host.name}: launches differ in {', '.join(names)}: report them apart to be sure of every ratio")
    return warnings
