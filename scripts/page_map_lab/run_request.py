"""The command line of `lab run`, checked as far as that goes without binaries: before any build, and before the gate."""

import argparse
import os
import re
import secrets
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from page_map_lab import binaries, checks, doctor, paths
from page_map_lab.cli_errors import UsageError
from page_map_lab.machine import Machine
from page_map_lab.plan import Request

COUNTER_SETS = ("cycles", "tlb", "cache", "numa", "interrupts", "none")
# What is counted unless the user says otherwise, so that a machine that has a PMU shows it, and a record of one that has none says so.
DEFAULT_COUNTERS = {"quick": ("cycles",), "full": ("cycles", "tlb", "cache", "numa")}
QUICK_BUDGET_MINUTES = 10
_NUMBER = re.compile(r"(\d+)(Ki|Mi|Gi)?$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab run`."""
    parser.add_argument("mode", nargs="?", choices=("quick", "full"), help="small sizes, ten minutes (default); or the real sizes")
    add = parser.add_argument_group("what").add_argument
    add("--workload", action="append", metavar="W", help="only this workload (repeatable, or a list; default: all)")
    add("--variant", action="append", metavar="V", help="only this variant or floor: a name or a shell glob (repeatable)")
    add("--threads", metavar="LIST", help="thread counts, such as 1,2,4 or 1..4")
    add("--pages", metavar="LIST", help="pages of the object, such as 4096 or 4Ki,256Ki")
    add("--pattern", metavar="LIST", help="key patterns")
    add("--processes", metavar="LIST", help="worker processes that map the object, 0 for this process's threads (default)")
    add("--set", action="append", metavar="KEY=LIST", default=None, help="values of any other parameter (repeatable)")
    add("--trace", metavar="FILE", help="the trace that replay replays (default: the shipped ones)")
    add = parser.add_argument_group("where").add_argument
    add("--plan", metavar="P", help="which processors: compact, scatter, per_node, list:0,2")
    add("--memory", metavar="M", help="which memory: local, interleave, node:N")
    add(
        "--counters", metavar="SET[,SET...]", help=f"counters: {', '.join(COUNTER_SETS)}; several sets, which the hardware cannot "
        "count together, are split over the launches, one set each (default: "
        + "; ".join(f"{mode} {','.join(sets)}" for mode, sets in DEFAULT_COUNTERS.items()) + ")",
    )
    add("--require-counters", action="store_true", default=None, help="exit 4 when they are not available, the default ones included")
    add = parser.add_argument_group("how").add_argument
    add("--launches", type=int, metavar="N", help="fresh processes for each cell with an interval (default 8)")
    add(
        "--target-width", type=float, metavar="PCT", help="take a pilot, and then as many launches and repetitions as make "
        "the 95 %% interval of every ratio at most this wide, in percent of the ratio",
    )
    add(
        "--budget", type=float, metavar="MINUTES", help="take a pilot, and then the launches and repetitions that fit (with "
        f"--target-width: no more than it needs; quick with --target-width: {QUICK_BUDGET_MINUTES} unless given)",
    )
    add("--repetitions", type=int, metavar="N", help="repetitions in one launch")
    add("--min-time-ms", type=int, metavar="N", help="time of one repetition")
    add("--timeout", type=float, metavar="SECONDS", help="end a launch after so long")
    add("--seed", type=int, metavar="S", help="decides every order and key (default: random, and kept)")
    add("--waive", action="append", default=[], metavar="CHECK", help="a hard finding of the gate not to stop for, or all")
    add("--resume", action="store_true", help="go on with a run that was cut short")
    add("--out", type=Path, metavar="DIR", help="the folder of this run (default: results/<host>/<run>)")


def numbers(text: str, option: str, least: int = 1) -> list[str]:
    """The numbers of a list such as `1,2,4`, `1..4` or `4Ki,256Ki`, written out."""
    values: list[str] = []
    for part in text.split(","):
        ends = part.strip().split("..")
        found = [_NUMBER.match(end) for end in ends]
        if len(ends) > 2 or not all(found):
            raise UsageError(f'{option} "{text}" is not a list of numbers: write it as 1,2,4 or 1..4 or 4Ki,256Ki')
        low, high = (
            int(match.group(1)) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30}[match.group(2)] for match in (found[0], found[-1])
        )
        if low < least or high < low or (len(ends) == 2 and high - low > 4096):
            raise UsageError(f'{option} "{text}": numbers start at {least} and ranges rise: write it as 1,2,4 or 1..4')
        values += [str(value) for value in range(low, high + 1)]
    return list(dict.fromkeys(values))


def words(text: str, option: str) -> list[str]:
    """The words of a list."""
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise UsageError(f'{option} "{text}" has an empty part: write it as a,b,c')
    return list(dict.fromkeys(values))


def check_pinning_plan(text: str) -> str:
    """A pinning plan that can be one; whether the machine has the processors is the binary's to say."""
    if not re.fullmatch(r"compact|scatter|per_node|list:\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise UsageError(f'--plan "{text}" is no plan: use compact, scatter, per_node or list:0,2')
    return text


def check_memory(text: str) -> str:
    """A memory policy that can be one."""
    if not re.fullmatch(r"local|interleave|node:\d+", text):
        raise UsageError(f'--memory "{text}" is no policy: use local, interleave or node:N')
    return text


def check_counters(text: str) -> str:
    """A set of counters, or several, that exist."""
    sets = words(text, "--counters")
    for name in sets:
        if name not in COUNTER_SETS:
            raise UsageError(f'--counters "{name}" is no set: use {", ".join(COUNTER_SETS)}')
    if len(sets) > 1 and "none" in sets:
        raise UsageError(f'--counters "{text}" asks for counters and for none: leave none out')
    return ",".join(sets)


def seen_from_root(path: Path) -> str:
    """The path as launches see it, which run in the clone's folder."""
    return str(path.resolve()).removeprefix(f"{paths.ROOT}/")


def check_trace(text: str) -> str:
    """A trace that can be read; what is in it is the binary's to judge."""
    path = Path(text)
    try:
        with open(path, "rb") as stream:
            if not stream.read(1):
                raise UsageError(f"{text}: the trace is empty: record one with `lab record`")
    except OSError as error:
        raise UsageError(f"{text}: the trace cannot be read ({error.strerror}): check the path") from error
    return seen_from_root(path)


def check_threads(values: list[str]) -> list[str]:
    """Thread counts that this machine can place on processors of their own."""
    cpus = len(os.sched_getaffinity(0))
    most = max(int(value) for value in values)
    if most > cpus:
        raise UsageError(f"--threads {most} asks for more processors than the {cpus} at hand: ask for at most {cpus}")
    return values


def positive(value: float | None, option: str) -> None:
    """Refuses a number that is not above zero."""
    if value is not None and value <= 0:
        raise UsageError(f"{option} {value:g} is not above 0: give a larger number")


def sweep(namespace: argparse.Namespace) -> dict[str, list[str]]:
    """The sweep values that the user gave."""
    values: dict[str, list[str]] = {}
    if namespace.threads:
        values["threads"] = check_threads(numbers(namespace.threads, "--threads"))
    if namespace.pages:
        values["pages"] = numbers(namespace.pages, "--pages")
    if namespace.pattern:
        values["pattern"] = words(namespace.pattern, "--pattern")
    if namespace.processes:
        values["processes"] = numbers(namespace.processes, "--processes", least=0)
    for text in namespace.set or []:
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            raise UsageError(f'--set "{text}" is not KEY=VALUE[,VALUE]: `lab list` shows the parameters')
        values[key] = words(value, "--set")
    return values


def given(namespace: argparse.Namespace) -> dict[str, Any]:
    """What the user said explicitly, checked, by the names of a Request's fields."""
    for value, option in (
        (namespace.launches, "--launches"),
        (namespace.repetitions, "--repetitions"),
        (namespace.min_time_ms, "--min-time-ms"),
        (namespace.timeout, "--timeout"),
        (namespace.target_width, "--target-width"),
        (namespace.budget, "--budget"),
    ):
        positive(value, option)
    if namespace.launches and (namespace.target_width or namespace.budget):
        raise UsageError("--launches fixes what --target-width and --budget compute: give one or the other")
    if namespace.seed is not None and not 0 <= namespace.seed < 1 << 63:
        raise UsageError(f"--seed {namespace.seed} is out of range: give 0 to 2^63-1")
    if namespace.require_counters and namespace.counters == "none":
        raise UsageError("--require-counters with --counters none asks for nothing: name a set")
    doctor.require_waivable(namespace.waive)
    workloads = [name for text in namespace.workload or [] for name in words(text, "--workload")]
    binaries.check_names_before_building(workloads, namespace.variant or [])
    said = {
        "mode": namespace.mode,
        "workloads": workloads or None,
        "variants": namespace.variant,
        "parameters": sweep(namespace) or None,
        "placement_plan": check_pinning_plan(namespace.plan) if namespace.plan else None,
        "memory": check_memory(namespace.memory) if namespace.memory else None,
        "counters": check_counters(namespace.counters) if namespace.counters else None,
        "require_counters": namespace.require_counters,
        "trace": check_trace(namespace.trace) if namespace.trace else None,
        "launches": namespace.launches,
        "target_width_percent": namespace.target_width,
        "budget_minutes": namespace.budget,
        "repetitions": namespace.repetitions,
        "min_time_ms": namespace.min_time_ms,
        "timeout_s": namespace.timeout,
        "seed": namespace.seed,
    }
    return {name: value for name, value in said.items() if value is not None}


def check_place(out: Path | None, resume: bool) -> None:
    """Refuses a folder that cannot take records."""
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder")
    if (out / "plan.json").exists() and not resume:
        raise UsageError(f"--out {out} already holds a run: add --resume, or name another folder")
    if resume and not (out / "plan.json").exists():
        raise UsageError(f"--out {out} holds no run to resume: leave --resume out")
    above = out
    while not above.exists() and above != above.parent:
        above = above.parent
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out} cannot be written to: check the permissions of {above}")


def shipped_trace() -> str | None:
    """The trace that comes with the project; None before there is one."""
    if not paths.TRACES.is_dir():
        return None
    found = sorted(path for path in paths.TRACES.iterdir() if path.suffix in (".trace", ".iolog"))
    return seen_from_root(found[0]) if found else None


def make_request(said: dict[str, Any]) -> Request:
    """The request, with defaults for what was left unsaid."""
    request = Request(**{"seed": secrets.randbelow(1 << 31), **said})
    if request.mode == "quick" and request.target_width_percent and request.budget_minutes is None:
        request = replace(request, budget_minutes=float(QUICK_BUDGET_MINUTES))
    if request.counters is None:  # no more sets than there are launches to split them over: what nobody asked for is no reason to fail
        request = replace(request, counters=",".join(DEFAULT_COUNTERS[request.mode][: request.first_blocks]))
    if request.mode == "full" and not (request.variants or request.placement_plan or request.memory):
        request = replace(request, places=[list(place) for place in Machine().places(os.sched_getaffinity(0))])
    return request


def check_agrees(said: dict[str, Any], kept: Request) -> None:
    """Refuses to resume a run with other settings than it began with."""
    known = asdict(kept)
    for name, value in said.items():
        if known[name] != value:
            raise UsageError(f"the run began with {name.replace('_', ' ')} {known[name]}, not {value}: resume it without that")


def waived_names(waived: list[str]) -> list[str]:
    """The checks that were waived, all of them written out."""
    return [name for name in checks.NAMES if name not in checks.NOT_WAIVABLE] if "all" in waived else waived
