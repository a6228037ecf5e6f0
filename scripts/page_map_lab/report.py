"""`lab report PATH...`: records into one self-contained HTML page, with Markdown, CSV and the pictures as files."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from page_map_lab import report_page, tables
from page_map_lab.atomic_file import write_text
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.compare import failed_checks
from page_map_lab.compare_guard import comparable_facts
from page_map_lab.paths import shown
from page_map_lab.records import Record, load_records
from page_map_lab.report_model import DEFAULT_BASE, HostReport, build
from page_map_lab.report_pictures import Gallery, draw

PICTURES_FOLDER = "pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help="record files and run folders, of one host or several")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: report/ in the first PATH)")
    parser.add_argument("--baseline", metavar="VARIANT", default=DEFAULT_BASE, help="ratios are to this one (default: %(default)s)")


def run(namespace: argparse.Namespace) -> int:
    """Writes the report and prints where the page is."""
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
    page = _write(folder, hosts, galleries, index, namespace.baseline)
    failures = failed_checks(records)
    for warning in [*_mixed(hosts), *failures]:
        sys.stderr.write(f"lab report: {warning}\n")
    if getattr(namespace, "json", False):
        pictures = sum(len(gallery.all()) for gallery in galleries)
        print(json.dumps({"report": str(page), "hosts": [h.name for h in hosts], "launches": len(records), "pictures": pictures}))
    else:
        print(shown(page))
    return ExitCode.CHECK_FAILED if failures else ExitCode.OK


def _write(
    folder: Path, hosts: Sequence[HostReport], galleries: Sequence[Gallery], index: tables.RecordIndex, base: str
) -> Path:
    pictures = folder / PICTURES_FOLDER
    try:
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir(parents=True, exist_ok=True)
        for gallery in galleries:
            for picture in gallery.all():
                (pictures / f"{picture.name}.svg").write_text(picture.file_svg(), encoding="utf-8")
                (pictures / f"{picture.name}.png").write_bytes(picture.png)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}): choose another place with --out") from error
    write_text(folder / "report.csv", tables.csv_text(tables.CSV_FIELDS, tables.cell_rows(hosts, index)))
    write_text(folder / "counters.csv", tables.csv_text(tables.COUNTER_FIELDS, tables.counter_rows(hosts, index)))
    write_text(folder / "report.md", report_page.render("report.md.j2", hosts, galleries, index, base))
    write_text(folder / "report.html", report_page.render("report.html.j2", hosts, galleries, index, base))
    return folder / "report.html"


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
