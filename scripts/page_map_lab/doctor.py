"""`lab doctor`: what is wrong with this machine for measuring, and the command that mends it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from page_map_lab import checks
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.finding import Finding
from page_map_lab.host_settings import TUNED
from page_map_lab.terminal import colour

_COLOURS = {"hard": "red", "soft": "yellow", "info": "blue", "ok": "green"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab doctor`."""
    parser.add_argument("check", nargs="*", metavar="CHECK", help=f"only these checks of {', '.join(checks.NAMES)}")
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for, or all")
    parser.add_argument("--root", type=Path, default=Path("/"), help="read /proc and /sys below here (default: /)")


def require_known(names: list[str]) -> None:
    """Refuses names that no check has."""
    for name in names:
        if name not in checks.NAMES and name != "all":
            raise UsageError(f'no check is called "{name}": there is {", ".join(checks.NAMES)}, and all')


def require_waivable(names: list[str]) -> None:
    """Refuses names that no check has, and checks that nobody may waive."""
    require_known(names)
    for name in names:
        if name in checks.NOT_WAIVABLE:
            raise UsageError(f"--waive {name}: only the bench preset may produce numbers, so this cannot be waived: build with it")


def run(namespace: argparse.Namespace) -> int:
    """Prints the findings; exit 3 when one is hard and not waived."""
    require_known(namespace.check)
    require_waivable(namespace.waive)
    if not namespace.root.is_dir():
        raise UsageError(f"{namespace.root}: not a folder: name one that holds a copy of /proc and /sys")
    wanted = namespace.check if namespace.check and "all" not in namespace.check else checks.NAMES
    if namespace.dry_run:
        print("would check: " + ", ".join(wanted))
        return ExitCode.OK
    at = checks.situation(namespace.root)
    if {"drift", "core_sharing"} & set(wanted):
        at = checks.calibrated(at, drift_only="core_sharing" not in wanted)
    findings = checks.waive([finding for finding in checks.examine(at) if finding.check in wanted], namespace.waive)
    verdict = checks.verdict(findings, [])
    if namespace.json:
        measured = at.calibration.as_record() if at.calibration else None
        print(json.dumps({"verdict": verdict, "findings": [asdict(finding) for finding in findings], "calibration": measured}, indent=1))
    else:
        print_findings(findings, namespace.quiet)
        print(f"verdict: {verdict}")
    return ExitCode.NOISE_GATE if verdict == "hard" else ExitCode.OK


def print_findings(findings: list[Finding], quiet: bool) -> None:
    """The findings for people, each with what mends it."""
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        if quiet and finding.severity in ("ok", "info"):
            continue
        mark = colour(f"{finding.severity:4}", _COLOURS[finding.severity], sys.stdout)
        print(f"{mark}  {finding.check:{width}}  {finding.found}")
        if finding.advice and finding.severity != "ok":
            print(f"{'':4}  {'':{width}}  -> {finding.advice}")
    if not quiet and any(finding.check in TUNED and finding.severity in ("hard", "soft") for finding in findings):
        print("for the time of one run: sudo scripts/lab tune-host -- scripts/lab run")
