"""A benchmark binary that measures nothing: it answers --describe and writes records, so that the lab can be tested alone.

`install(folder, workload)` puts an executable bench_<workload> there. FAKE_<WORKLOAD> in the environment makes it misbehave:
crash, hang, check, counters, uncounted, usage, full_disk, other_build; a suffix `:NAME` limits that to launches with the variant, or the
set of counters, NAME, and FAKE_AFTER to those that find so many whole records beside theirs. A launch that hangs makes the file
FAKE_HANGING first.
FAKE_NOISE, two numbers such as `0.01,0.02`, makes the scores scatter between launches and within them, as their seeds decide;
FAKE_SHIFT makes everything but the base slower by so many percent. Planted twins are as much slower as their names say.
"""

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

PROGRAM = """#!/usr/bin/python3
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {folder!r})
import fake_benchmark
sys.exit(fake_benchmark.main({workload!r}, sys.argv[1:]))
"""

LAYOUTS = ("flat", "radix", "xarray")
READS = ("spinlock", "rcu_memb", "rcu_qsbr")
SHOOTDOWNS = ("per_page", "batched")
BASE_POLICIES = {"layout": LAYOUTS, "read": READS, "shootdown": SHOOTDOWNS}
BASE_VARIANT = {"layout": "radix", "read": "rcu_qsbr", "shootdown": "batched"}
AXES = {"lookup": ("layout", "read"), "remove": ("layout", "read", "shootdown"), "replay": ("layout", "read")}
FLOORS = {"lookup": ["floor:array"], "remove": ["floor:raw_mprotect_ranged", "floor:raw_mprotect_single"], "replay": []}


HOST = {
    "name": "fake-00000000", "shared_virtual_machine": True, "cpu_model": "fake", "vendor": "fake", "logical_cpus": 2,
    "cores": 2, "packages": 1, "numa_nodes": 1, "memory_bytes": 1 << 30, "kernel": "6.1", "hypervisor": "fake",
    "microcode": "0x1", "page_size": 4096, "caches": [], "tlb_mechanism": {"value": "ipi", "why": "fake"},
}  # fmt: skip
ENVIRONMENT = {
    "max_map_count": 65530, "transparent_huge_pages": "madvise", "shared_memory_huge_pages": "never", "numa_balancing": False, "perf_event_paranoid": -1,
    "governor": "performance", "boost": False, "smt": False, "swap_total_bytes": 0, "ksm": False, "load_1m": 0.1,
    "steal_ticks": 0, "malloc_conf": "",
}  # fmt: skip


def install(folder: Path, *workloads: str) -> Path:
    """Puts fake binaries into the folder and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for workload in workloads:
        path = folder / f"bench_{workload}"
        path.write_text(PROGRAM.format(folder=str(Path(__file__).parent), workload=workload))
        path.chmod(0o755)
    return folder


def describe(workload: str) -> dict:
    """What --describe prints."""
    variants = [{}]
    for axis in AXES[workload]:
        variants = [{**policies, axis: value} for policies in variants for value in BASE_POLICIES[axis]]
    return {
        "workload": workload,
        "question": f"what does {workload} cost?",
        "axes": list(AXES[workload]),
        "base": BASE_VARIANT,
        "variants": [{"name": name_of(policies), "policies": policies} for policies in variants],
        "floors": FLOORS[workload],
        "parameters": {
            "pages": {"smoke": [4096], "real": [4096, 262144]},
            "pattern": {
                "smoke": ["sequential", "uniform"], "real": ["sequential", "uniform"],
                "choices": ["sequential", "uniform", "zipf", "one_hot"],
            },
            "threads": {"smoke": [1, 2], "real": "1..cpus"},
        },
        "score": {"metric": "ns_per_operation", "unit": "ns", "direction": "lower_is_better"},
        "trace": workload == "replay",
    }  # fmt: skip


def name_of(policies: dict[str, str]) -> str:
    """The name of a variant."""
    return "/".join(f"{axis}:{value}" for axis, value in policies.items())


def options_of(arguments: list[str]) -> dict[str, list[str]]:
    """The options of a command line, each with every value it was given."""
    options: dict[str, list[str]] = {}
    position = 0
    while position < len(arguments):
        name = arguments[position]
        has_value = position + 1 < len(arguments) and not arguments[position + 1].startswith("--")
        options.setdefault(name, []).append(arguments[position + 1] if has_value else "")
        position += 2 if has_value else 1
    return options


def score_of(variant: str, repetition: int) -> float:
    """A made-up cost: floors 10 ns, the base 10.5 ns, all else 12 ns, single calls dear."""
    noise = 0.01 * (repetition % 3)
    if "single" in variant or "per_page" in variant:
        return 1000 + noise
    if variant.startswith("floor:"):
        return 10 + noise
    return (10.5 if variant.startswith("layout:radix/read:rcu_qsbr") else 12) + noise


def noisy_scores(variant: str, place: str, options: dict) -> list[float]:
    """The scores of one launch's repetitions."""
    between, within = map(float, os.environ.get("FAKE_NOISE", "0,0").split(","))
    chance = random.Random(f"{options['--seed'][0]} {variant} {place}")
    original, _, planted = variant.partition("/planted:")
    factor = (1 + int(planted or 0) / 100) * math.exp(chance.gauss(0, between))
    if not original.startswith("layout:radix/read:rcu_qsbr"):
        factor *= 1 + float(os.environ.get("FAKE_SHIFT", "0")) / 100
    count = int(options["--repetitions"][0])
    return [score_of(original, index) * factor * math.exp(chance.gauss(0, within)) for index in range(count)]


def cell_of(workload: str, variant: str, pages: str, pattern: str, threads: str, options: dict, passed: bool) -> dict:
    """One cell of a record."""
    beside = options.get("--beside", [None])[0]
    return {
        "name": f"{workload}/{variant}/pages:{pages}/pattern:{pattern}/threads:{threads}",
        "workload": workload,
        "variant": variant,
        "policies": dict(p.split(":") for p in variant.split("/") if "planted" not in p) if not variant.startswith("floor:") else {},
        "floor": variant.startswith("floor:"),
        "parameters": {"pages": int(pages), "pattern": pattern, "threads": int(threads)},
        "size": options["--size"][0],
        "score": describe(workload)["score"],
        "repetitions": [
            {
                "index": index,
                "score": score,
                "threads": [
                    {"role": "reader", "cpu": 0, "asked_cpu": 0, "operations": 1000, "duration_ns": 12000, "cpu_ns": 12000},
                ],
                "metrics": {"shootdown_interrupts": 1.0, "bytes_per_page": 8.6},
                "beside": {"name": beside, "score": score_of(beside, index)} if beside else None,
                "excluded": None,
            }
            for index, score in enumerate(noisy_scores(variant, f"{pages} {pattern} {threads}", options))
        ],
        "metrics": {"bytes_per_page": 8.6},
        "failed": None,
        "histograms": [],
        "counters": [
            {"name": "cycles", "event": "cycles", "role": "reader", "cpu": None, "scope": "thread", "mode": "user", "value": None,
             "enabled_ns": 0, "running_ns": 0, "state": "absent", "why": "no PMU here", "per_operation": None},
        ],
        "phases": [{"name": "mark", "ns": 100, "operations": 10}, {"name": "shoot_down", "ns": 900, "operations": 10}],
        "check": {"passed": passed, "digest": "0", "message": "" if passed else "a page was lost"},
    }  # fmt: skip


def uncounted(cell: dict) -> dict:
    """The cell of a machine that counts no interrupts."""
    for repetition in cell["repetitions"]:
        repetition["metrics"] |= {"shootdown_interrupts": None, "shootdown_interrupts_why": "no permission to count"}
    return cell


def record_of(workload: str, options: dict, arguments: list[str], misbehaviour: str) -> dict:
    """The record of one launch."""
    said = describe(workload)
    given = dict(text.split("=") for text in options.get("--set", []))
    given |= {name: options[f"--{name}"][0] for name in ("threads", "pages", "pattern") if f"--{name}" in options}
    threads = given.get("threads", "1,2").split(",")
    pages = given.get("pages", "4096").split(",")
    patterns = given.get("pattern", "sequential,uniform").split(",")
    variants = options.get("--variant") or [variant["name"] for variant in said["variants"]]
    planted = [percent for text in options.get("--plant", []) for percent in text.split(",")]
    variants = [*variants, *(f"{name}/planted:{percent}" for name in variants for percent in planted)]
    cells = [
        cell_of(workload, variant, page, pattern, thread, options, misbehaviour != "check")
        for variant in variants for page in pages for pattern in patterns for thread in threads
    ]  # fmt: skip
    return {
        "schema_version": 1,
        "context": {"num_cpus": 2, "date": "2026-01-01T00:00:00+00:00"},
        "benchmarks": [],
        "launch": {
            "run": None, "index": None, "block": None, "seed": int(options.get("--seed", ["1"])[0]),
            **json.loads(options.get("--launch", ["{}"])[0]), "command": [f"bench_{workload}", *arguments],
            "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z",
        },
        "build": {
            "git_revision": "0" * 40, "git_dirty": False, "preset": "dev" if misbehaviour == "other_build" else "bench",
            "build_type": "Release", "sanitizer": "", "debug_checks": False, "compiler": "g++ 12.2.0", "flags": "-O2",
            "libraries": dict.fromkeys(("benchmark", "hwloc", "pfm", "jemalloc", "urcu"), "1"),
        },
        "host": {**HOST, "name": os.environ.get("FAKE_HOST", HOST["name"])},
        "environment": ENVIRONMENT,
        "placement": {"plan": options.get("--plan", ["compact"])[0], "asked_cpus": [0], "observed_cpus": [0], "state": "ok",
                      "why": None, "memory": {"policy": "local", "asked_nodes": [0], "observed_pages_by_node": {"0": 1},
                                              "state": "ok", "why": None}},
        "gate": None,
        "cells": [uncounted(cell) for cell in cells] if misbehaviour == "uncounted" else cells,
    }  # fmt: skip


def misbehaviour_of(workload: str, options: dict) -> str:
    """How this launch is to misbehave, or nothing."""
    kind, _, variant = os.environ.get(f"FAKE_{workload.upper()}", "").partition(":")
    is_probe = "probe.json" in options.get("--record", [""])[0]
    if is_probe and kind not in ("other_build", "counters"):
        return ""
    record = Path(options.get("--record", [""])[0])
    is_due = len(list(record.parent.glob("[0-9]*.json"))) >= int(os.environ.get("FAKE_AFTER", "0"))
    is_meant = not variant or variant in [*options.get("--variant", []), *options.get("--counters", [])]
    return kind if is_due and is_meant else ""


def be_profiled(commands: str, answers: str) -> None:
    """Switches the profiler on, works for some samples' worth of processor time, and switches it off, as a benchmark does."""
    with open(commands, "r+b", buffering=0) as to, open(answers, "r+b", buffering=0) as back:
        to.write(b"enable\n")
        back.read(16)
        until = time.process_time() + 0.2
        while time.process_time() < until:
            sum(range(1000))
        to.write(b"disable\n")
        back.read(16)


def marks_of(workload: str) -> list[dict]:
    """The marks of one watched removal, which had two phases and one victim."""
    if workload != "remove":
        return []
    now, me = time.monotonic_ns(), os.getpid()
    spans = [("removal", "initiator", me, 0, 1000), ("mark", "initiator", me, 100, 200), ("shoot_down", "initiator", me, 200, 900)]
    spans += [("at work", "victim", me + 1, 0, 1000), ("stall", "victim", me + 1, 300, 500)]
    return [
        {"cell": workload, "name": name, "role": role, "run": 1, "thread": thread, "started_ns": now + start, "ended_ns": now + end}
        for name, role, thread, start, end in spans
    ]


def main(workload: str, arguments: list[str]) -> int:
    """What the binary does."""
    if arguments == ["--describe"]:
        print(json.dumps(describe(workload)))
        return 0
    options = options_of(arguments)
    kind = misbehaviour_of(workload, options)
    endings = {
        "counters": (4, "the counters tlb are not available: see lab doctor"),
        "usage": (2, "this machine has too few processors: ask for fewer threads"),
        "full_disk": (2, "the record cannot be written (No space left on device): free some space"),
    }
    if kind in endings:
        code, message = endings[kind]
        print(f"bench_{workload}: {message}", file=sys.stderr)
        return code
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        if "FAKE_HANGING" in os.environ:
            Path(os.environ["FAKE_HANGING"]).touch()
        time.sleep(1000)
    if "--profiler-control" in options:
        be_profiled(*options["--profiler-control"][0].split(","))
    if "--timeline" in options:
        Path(options["--timeline"][0]).write_text(json.dumps({"clock": "CLOCK_MONOTONIC", "marks": marks_of(workload)}))
    path = Path(options["--record"][0])
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(record_of(workload, options, arguments, kind)))
    partial.rename(path)
    if kind == "check":
        print(f"bench_{workload}: a page was lost: do not trust this variant", file=sys.stderr)
        return 5
    return 0
