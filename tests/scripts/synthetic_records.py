"""Makes records that no machine measured: the tests' stand-in for hosts that the machine at hand is not.

Every record says so in three places: the host's name starts with `fixture-`, `launch.run` with `fixture-`, and
`host.fixture` is true. All numbers come from the small models below and a fixed seed.

`/usr/bin/python3 tests/scripts/synthetic_records.py` writes tests/scripts/fixtures/two_node_pmu again: a host with two
memory nodes, sixteen processors and a PMU, five launches of each workload. A test holds the committed files against it.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent / "fixtures"
LAUNCHES = 5

HOST: dict[str, Any] = {
    "name": "fixture-two-node-0f0f0f0f",
    "fixture": True,
    "cpu_model": "Fixture CPU (no such machine)",
    "vendor": "GenuineIntel",
    "logical_cpus": 16,
    "cores": 16,
    "packages": 2,
    "numa_nodes": 2,
    "memory_bytes": 64 << 30,
    "kernel": "6.1.0-fixture",
    "hypervisor": None,
    "hypervisor_why": "bare metal",
    "microcode": "0x1",
    "page_size": 4096,
    "caches": [{"name": "L3", "size_bytes": 32 << 20, "instances": 2, "line_bytes": 64}],
    "shared_virtual_machine": False,
    "tlb_mechanism": {"value": "ipi", "why": "no INVLPGB on this vendor"},
}

ENVIRONMENT: dict[str, Any] = {
    "max_map_count": 65530,
    "transparent_huge_pages": "madvise",
    "shared_memory_huge_pages": "never",
    "numa_balancing": False,
    "perf_event_paranoid": -1,
    "governor": "performance",
    "boost": False,
    "smt": False,
    "swap_total_bytes": 0,
    "ksm": False,
    "load_1m": 0.1,
    "steal_ticks": 0,
    "malloc_conf": "dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false",
}

BUILD: dict[str, Any] = {
    "git_revision": "0000000000000000000000000000000000000000",
    "git_dirty": False,
    "preset": "bench",
    "build_type": "Release",
    "sanitizer": "",
    "debug_checks": False,
    "compiler": "g++ 12.2.0",
    "flags": "-O3",
    "libraries": {"benchmark": "1.7.1", "hwloc": "2.9.0", "pfm": "4.13", "jemalloc": "5.3.0", "urcu": "0.13.2"},
}

LOWER_NS = {"metric": "ns_per_operation", "unit": "ns", "direction": "lower_is_better"}


@dataclass
class Noise:
    """Where randomness comes from: one generator, and how far launches and repetitions scatter (relative)."""

    generator: np.random.Generator
    between_launches: float = 0.02
    within_launch: float = 0.01

    def factor(self, spread: float) -> float:
        """A factor around 1."""
        return float(np.exp(self.generator.normal(0, spread)))


def policies_of(variant: str) -> dict[str, str]:
    """layout:radix/read:rcu_qsbr as a dictionary; a floor has none."""
    if variant.startswith("floor:"):
        return {}
    return dict(part.split(":", 1) for part in variant.split("/"))


def role_of(workload: str, thread: int) -> str:
    """What a thread does in a workload: in a shootdown the first one revokes and the others suffer."""
    return "reader" if workload != "shootdown" else "victim" if thread else "initiator"


def cell(
    workload: str,
    variant: str,
    parameters: dict[str, Any],
    scores: Sequence[float],
    score: dict[str, str] | None = None,
    beside: tuple[str, Sequence[float]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One cell with the given score for each repetition; `more` replaces fields such as metrics or histograms."""
    name = "/".join([workload, variant, *(f"{key}:{value}" for key, value in parameters.items())])
    threads = int(parameters.get("threads", 1))
    repetitions = []
    for index, value in enumerate(scores):
        duration = 2_000_000
        operations = max(1, round(duration / value)) if value > 0 else 0
        repetitions.append(
            {
                "index": index,
                "score": round(value, 4),
                "threads": [
                    {
                        "role": role_of(workload, cpu),
                        "cpu": cpu,
                        "asked_cpu": cpu,
                        "operations": operations,
                        "duration_ns": duration,
                        "cpu_ns": duration,
                    }
                    for cpu in range(threads)
                ],
                "metrics": {},
                "beside": None if beside is None else {"name": beside[0], "score": round(beside[1][index], 4)},
                "excluded": None,
            }
        )
    made = {
        "name": name,
        "workload": workload,
        "variant": variant,
        "policies": policies_of(variant),
        "floor": variant.startswith("floor:"),
        "parameters": parameters,
        "size": "smoke",
        "score": score or LOWER_NS,
        "repetitions": repetitions,
        "metrics": {},
        "histograms": [],
        "counters": [],
        "phases": [],
        "check": {"passed": True, "digest": "00000000deadbeef", "message": ""},
        "failed": None,
    }
    return {**made, **more}


def record(cells: list[dict[str, Any]], index: int = 0, plan: str = "compact", memory: str = "local", **more: Any) -> dict[str, Any]:
    """One launch with the given cells; `more` replaces top-level fields."""
    node = int(memory.removeprefix("node:")) if memory.startswith("node:") else (8 <= _first_cpu(plan)) * 1
    nodes = [0, 1] if memory == "interleave" else [node]
    threads = max((len(r["threads"]) for c in cells for r in c["repetitions"]), default=1)
    cpus = [_first_cpu(plan) + i for i in range(threads)]
    made = {
        "schema_version": 1,
        "context": {"date": "2026-01-01T00:00:00+00:00", "host_name": "fixture", "num_cpus": 16},
        "benchmarks": [],
        "launch": {
            "run": "fixture-run",
            "index": index,
            "block": index,
            "seed": 42,
            "command": [f"bench_{cells[0]['workload']}" if cells else "bench_none"],
            "started": f"2026-01-01T00:{index:02d}:00Z",
            "finished": f"2026-01-01T00:{index:02d}:30Z",
        },
        "build": copy.deepcopy(BUILD),
        "host": copy.deepcopy(HOST),
        "environment": copy.deepcopy(ENVIRONMENT),
        "placement": {
            "plan": plan,
            "asked_cpus": cpus,
            "observed_cpus": cpus,
            "state": "ok",
            "why": None,
            "memory": {
                "policy": memory,
                "asked_nodes": nodes,
                "observed_pages_by_node": {str(n): 4096 // len(nodes) for n in nodes},
                "state": "ok",
                "why": None,
            },
        },
        "gate": {"before": {"verdict": "pass", "findings": []}, "after": {"verdict": "pass", "findings": []}},
        "cells": cells,
    }
    return {**made, **more}


def histogram(name: str, role: str, centre_ns: float, tail: float, count: int, generator: np.random.Generator) -> dict[str, Any]:
    """Log-normal latencies with a heavier tail, in buckets an eighth of a power of two wide."""
    values = centre_ns * np.exp(generator.normal(0, 0.15, count) + (generator.random(count) < 0.02) * tail)
    edges = [round(2 ** (exponent / 8)) for exponent in range(24, 8 * 26)]
    edges = sorted(set(edges))
    counts, _ = np.histogram(values, bins=edges)
    buckets = [[edges[i], edges[i + 1], int(n)] for i, n in enumerate(counts) if n]
    return {
        "name": name,
        "role": role,
        "unit": "ns",
        "significant_digits": 1,
        "count": int(counts.sum()),
        "min": round(float(values.min())),
        "max": round(float(values.max())),
        "sum": round(float(values.sum())),
        "buckets": buckets,
    }


def counter(name: str, value: float | None, operations: int, state: str = "ok", why: str | None = None, **more: Any) -> dict[str, Any]:
    """One counter reading; without a value, state and why say the reason."""
    made = {
        "name": name,
        "event": f"fixture::{name}",
        "role": "reader",
        "scope": "thread",
        "mode": "both",
        "cpu": None,
        "value": value,
        "enabled_ns": 1_000_000,
        "running_ns": 1_000_000,
        "state": state,
        "why": why,
        "per_operation": None if value is None else value / operations,
    }
    return {**made, **more}


def _first_cpu(plan: str) -> int:
    return int(plan.removeprefix("list:").split(",")[0]) if plan.startswith("list:") else 0


def _scores(noise: Noise, launch_factor: float, cost: float, repetitions: int = 3) -> list[float]:
    launch = launch_factor * noise.factor(noise.within_launch)
    return [cost * launch * noise.factor(noise.within_launch) for _ in range(repetitions)]


LOOKUP_COSTS = {
    "layout:flat/read:rcu_qsbr": 10.8,
    "layout:radix/read:rcu_qsbr": 11.4,
    "layout:xarray/read:rcu_qsbr": 12.9,
    "layout:radix/read:rcu_memb": 12.6,
    "layout:radix/read:rcu_mb": 74.0,
    "layout:radix/read:spinlock": 17.0,
    "layout:xarray/read:spinlock": 18.6,
    "floor:array": 10.6,
}


def lookup_launch(noise: Noise, index: int) -> dict[str, Any]:
    """Reads scale, except under the lock; hardware counters are there. Two variants have one launch only."""
    launch, cells = noise.factor(noise.between_launches), []
    for pages in (4096, 262144):
        for threads in (1, 2, 4, 8):
            for variant, cost in LOOKUP_COSTS.items():
                if index > 0 and variant == "layout:xarray/read:spinlock":
                    continue
                contention = threads**1.1 if "spinlock" in variant else 1 + 0.02 * (threads - 1)
                misses = 1.0 if pages == 4096 else (1.6 if "flat" in variant or "floor" in variant else 2.1)
                scores = _scores(noise, launch, cost * contention * misses)
                operations = 3 * round(2e6 / scores[0]) * threads
                walks = 0.001 if pages == 4096 else 0.4
                counters = [
                    counter("cycles", operations * scores[0] * 3.0, operations, mode="user"),
                    counter("instructions", operations * (40 + cost), operations, mode="user"),
                    counter("dtlb_load_walks", operations * walks * noise.factor(0.05), operations),
                    counter("remote_hitm", operations * 0.01 * (threads - 1), operations, state="multiplexed", running_ns=400_000),
                    counter("tlb_flushes", None, operations, state="absent", why="no event for TLB flushes on this CPU"),
                ]
                wanted = threads == 1 and index == 0
                cells.append(
                    cell(
                        "lookup",
                        variant,
                        {"pages": pages, "pattern": "uniform", "threads": threads},
                        scores,
                        counters=counters if wanted or threads == 8 and index == 0 else [],
                        metrics={"bytes_per_page": 9.4 if "xarray" in variant else 8.6, "fairness": 0.98},
                    )
                )
    return record(cells, index)


SHOOTDOWNS = {
    "shootdown:per_page": lambda n: 13_000.0,
    "shootdown:batched": lambda n: 13_000.0 / n + (60.0 if n > 33 else 250.0),
    "shootdown:whole_space": lambda n: 26_000.0 / n + 90.0,
    "floor:raw_mprotect_single": lambda n: 12_800.0,
    "floor:raw_mprotect_ranged": lambda n: 12_600.0 / n + (55.0 if n > 33 else 240.0),
}


def shootdown_launch(noise: Noise, index: int) -> dict[str, Any]:
    """One interrupt a page or one a batch, and victims that stall as often."""
    launch, cells = noise.factor(noise.between_launches), []
    score = {"metric": "ns_per_page", "unit": "ns", "direction": "lower_is_better"}
    for layout in ("contiguous", "strided"):
        for pages in (1, 8, 33, 64, 512, 4096) if layout == "contiguous" else (8, 512):
            for variant, cost in SHOOTDOWNS.items():
                one_by_one = variant in ("shootdown:per_page", "floor:raw_mprotect_single")
                nanoseconds = cost(pages) if layout == "contiguous" or "whole" in variant else 13_500.0
                interrupts = pages if one_by_one or (layout == "strided" and "whole" not in variant) else 1
                total = nanoseconds * pages
                metrics = {
                    "interrupts_per_operation": float(interrupts),
                    "interrupts_per_page": interrupts / pages,
                    "victim_lost_iterations_per_operation": interrupts * 1600.0 * noise.factor(0.05),
                    "victim_stall_ns_per_operation": interrupts * 8000.0 * noise.factor(0.05),
                }
                parameters = {"pages": pages, "layout": layout, "victims_touch": "outside", "threads": 2}
                made = cell("shootdown", variant, parameters, _scores(noise, launch, nanoseconds), score, metrics=metrics)
                for repetition in made["repetitions"]:
                    repetition["metrics"] = {
                        "interrupts_per_operation": float(interrupts),
                        # One of them is made to disagree, so that a report has something to find.
                        "expected_interrupts_per_operation": interrupts / (0.8 if variant == "floor:raw_mprotect_ranged" else 1.0),
                        "operations": 400.0,
                        "operations_discarded": 1.0,
                        "victims_away_per_operation": 0.0,
                        "attempts_discarded": 0.0,
                    }
                if pages == 512 and layout == "contiguous":
                    generator = noise.generator
                    made["histograms"] = [
                        histogram("latency", "initiator", total, 0.9, 400, generator),
                        histogram("stall", "victim", 8000.0 if one_by_one else 9000.0, 1.2, 400 * (5 if one_by_one else 1), generator),
                    ]
                    made["counters"] = [
                        counter("tlb_flush_remote_received", 400.0 * interrupts, 400, role="victim"),
                        counter("call_function_interrupts", 400.0 * interrupts, 400, role="victim"),
                    ]
                if variant == "shootdown:per_page" and index == 1:
                    made["repetitions"][0]["excluded"] = "the victim was descheduled: 0 interrupts counted"
                cells.append(made)
    return record(cells, index)


PHASE_COSTS = {"mark": 9.0, "revoke": 45.0, "shoot down": 30.0, "collect dirty": 6.0, "write back": 0.0, "free": 104.0, "lock": 2.0, "grace_period": 4.0}


def remove_launch(noise: Noise, index: int) -> dict[str, Any]:
    """The passes of a removal and what it waits for; page by page the shootdown is nearly all of it."""
    launch, cells = noise.factor(noise.between_launches), []
    score = {"metric": "ns_per_page", "unit": "ns", "direction": "lower_is_better"}
    for dirty in (0, 50):
        for variant, shoot, layout in (
            ("layout:radix/read:rcu_qsbr/shootdown:batched", 30.0, 1.0),
            ("layout:xarray/read:rcu_qsbr/shootdown:batched", 30.0, 0.9),
            ("layout:radix/read:rcu_qsbr/shootdown:per_page", 13_000.0, 1.0),
            ("layout:radix/read:rcu_qsbr/shootdown:whole_space", 55.0, 1.0),
        ):
            costs = {**PHASE_COSTS, "shoot down": shoot, "mark": 9.0 * layout, "write back": dirty * 14.0}
            scores = _scores(noise, launch, sum(costs.values()))
            phases = [{"name": name, "ns": round(cost * 512 * 100), "operations": 512 * 100} for name, cost in costs.items()]
            for phase in phases:
                sent = {"shoot down": 512.0 if "per_page" in variant else 1.0}.get(phase["name"], 0.0)
                phase["counters"] = [counter("tlb_flush_remote_sent_intent", sent, 1, role="initiator", mode="kernel")]
            parameters = {"pages": 512, "dirty_percent": dirty, "threads": 1}
            cells.append(cell("remove", variant, parameters, scores, score, phases=phases))
    return record(cells, index)


def mixed_launch(noise: Noise, index: int) -> dict[str, Any]:
    """More is better here: operations a second, with a hit ratio and tails."""
    launch, cells = noise.factor(noise.between_launches), []
    score = {"metric": "operations_per_second", "unit": "1/s", "direction": "higher_is_better"}
    for threads in (1, 4, 8):
        for variant, cost, tail in (
            ("layout:radix/read:rcu_qsbr/shootdown:batched", 900.0, 1.0),
            ("layout:radix/read:rcu_qsbr/shootdown:per_page", 1500.0, 2.2),
            ("layout:radix/read:spinlock/shootdown:batched", 1100.0, 1.2),
        ):
            scores = [1e9 * threads / value for value in _scores(noise, launch, cost * math.sqrt(threads))]
            histograms = [histogram("latency", "reader", cost, tail, 3000, noise.generator)] if threads == 4 else []
            metrics = {"hit_ratio": 0.93 if "per_page" not in variant else 0.91}
            cells.append(cell("mixed", variant, {"pages": 4096, "threads": threads}, scores, score, histograms=histograms, metrics=metrics))
    return record(cells, index)


def node_pair_launches(noise: Noise, index: int) -> Iterable[dict[str, Any]]:
    """One thread on each node, against memory on each node and interleaved: remote costs 1.6 times local."""
    for plan, home in (("list:0", 0), ("list:8", 1)):
        for memory in ("local", "node:0", "node:1", "interleave"):
            remote = {"local": 0.0, "interleave": 0.5}.get(memory, float(memory != f"node:{home}"))
            launch = noise.factor(noise.between_launches)
            cells = [
                cell("lookup", variant, {"pages": 4194304, "pattern": "uniform", "threads": 1}, _scores(noise, launch, cost * 3 * (1 + 0.6 * remote)))
                for variant, cost in (("layout:radix/read:rcu_qsbr", 11.4), ("layout:flat/read:rcu_qsbr", 10.8))
            ]
            yield record(cells, index, plan, memory)


def two_node_run(launches: int = LAUNCHES, seed: int = 2014) -> dict[str, dict[str, Any]]:
    """File name to record: every workload of the model above, `launches` times."""
    noise = Noise(np.random.default_rng(seed))
    files = {}
    for index in range(launches):
        files[f"lookup-{index}.json"] = lookup_launch(noise, index)
        files[f"shootdown-{index}.json"] = shootdown_launch(noise, index)
        files[f"remove-{index}.json"] = remove_launch(noise, index)
        files[f"mixed-{index}.json"] = mixed_launch(noise, index)
        for made in node_pair_launches(noise, index):
            placement = made["placement"]
            name = f"{placement['plan']}-{placement['memory']['policy']}".replace(":", "").replace(",", "_")
            files[f"nodes-{name}-{index}.json"] = made
    return files


def simple_run(
    costs: dict[str, float], launches: int = 6, seed: int = 1, noise: float = 0.02, workload: str = "lookup", **more: Any
) -> dict[str, dict[str, Any]]:
    """The smallest run: one cell for each variant and launch, with the given costs."""
    source = Noise(np.random.default_rng(seed), noise, min(noise / 2, 0.01))
    files = {}
    for index in range(launches):
        launch = source.factor(source.between_launches)
        parameters = {"pages": 4096, "pattern": "uniform", "threads": 1}
        cells = [cell(workload, variant, parameters, _scores(source, launch, cost)) for variant, cost in costs.items()]
        files[f"{workload}-{index}.json"] = record(cells, index, **copy.deepcopy(more))
    return files


def write(files: dict[str, dict[str, Any]], folder: Path) -> Path:
    """Writes the records, one to a file, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    shutil.rmtree(FOLDER / "two_node_pmu", ignore_errors=True)
    print(write(two_node_run(), FOLDER / "two_node_pmu"))
