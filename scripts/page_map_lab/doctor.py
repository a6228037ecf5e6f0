"""`lab doctor`: what is wrong with this machine for measuring, and the command that mends it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from page_map_lab import checks
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.terminal import colour

_COLOURS = {"hard": "red", "soft": "yellow", "info": "blue", "ok": "green"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab doctor`."""
    parser.add_argument("check", nargs="*", metavar="CHECK", help=f"only these checks of {', '.join(checks.NAMES)}")
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for")
    parser.add_argument("--root", type=Path, default=Path("/"), help="read /proc and /sys below here (default: /)")


def require_known(names: list[str]) -> None:
    """Refuses names that no check has."""
    for name in names:
        if name not in checks.NAMES and name != "all":
            raise UsageError(f'no check is called "{name}": there is {", ".join(checks.NAMES)}, and all')


def run(namespace: argparse.Namespace) -> int:
    """Prints the findings; exit 3 when one is hard and not waived."""
    require_known(namespace.check + namespace.waive)
    if not namespace.root.is_dir():
        raise UsageError(f"{namespace.root}: not a folder: name one that holds a copy of /proc and /sys")
    wanted = namespace.check if namespace.check and "all" not in namespace.check else checks.NAMES
    if namespace.dry_run:
        print("would check: " + ", ".join(wanted))
        return ExitCode.OK
    findings = [finding for finding in checks.examine(checks.situation(namespace.root)) if finding.check in wanted]
    verdict = checks.verdict(findings, namespace.waive)
    if namespace.json:
        print(json.dumps({"verdict": verdict, "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            mark = colour(f"{finding.severity:4}", _COLOURS[finding.severity], sys.stdout)
            if namespace.quiet and finding.severity in ("ok", "info"):
                continue
            print(f"{mark}  {finding.check:{width}}  {finding.found}")
            if finding.advice and finding.severity != "ok":
                print(f"{'':4}  {'':{width}}  -> {finding.advice}")
        print(f"verdict: {verdict}")
    return ExitCode.NOISE_GATE if verdict == "hard" else ExitCode.OK
