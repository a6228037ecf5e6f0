"""`lab compare` beside Google Benchmark's own compare tool, on the same files: equal statistics must be equal."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lab_process import ROOT, lab

TOOL = Path("/usr/share/benchmark/compare.py")  # of Debian's libbenchmark-tools, which puts it on no PATH
INPUTS = TOOL.parent / "gbench" / "Inputs"


def google(before: Path, after: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What the tool says, by the benchmark's name."""
    finished = subprocess.run(
        ["/usr/bin/python3", TOOL, "--no-color", "-d", out, "benchmarks", before, after],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return {row["name"]: row for row in json.loads(out.read_text())}


def ours(before: Path, after: Path) -> dict[str, dict[str, Any]]:
    """What `lab compare` says, by the cell's name."""
    finished = lab(Path("nowhere"), "compare", str(before), str(after), "--json")
    assert finished.code in (0, 1), finished.err
    return {cell["parameters"]["benchmark"]: cell for cell in finished.json["cells"]}


def file_of(path: Path, times: dict[str, list[float]], unit: str) -> Path:
    """What a Google Benchmark program writes: the repetitions, and the library's aggregates."""
    rows = []
    for name, values in times.items():
        common = {"run_name": name, "repetitions": len(values), "time_unit": unit, "iterations": 1000, "threads": 1}
        rows += [
            {"name": name, "run_type": "iteration", "repetition_index": index, "real_time": value, "cpu_time": 0.9 * value, **common}
            for index, value in enumerate(values)
        ]
        for aggregate, value in (("mean", statistics.mean(values)), ("median", statistics.median(values))):
            about = {"run_type": "aggregate", "aggregate_name": aggregate, "real_time": value, "cpu_time": 0.9 * value}
            rows.append({"name": f"{name}_{aggregate}", **about, **common})
    context = {"date": "2026-01-01T00:00:00+00:00", "host_name": "here", "executable": "./bench_x", "num_cpus": 2, "library_build_type": "release"}
    path.write_text(json.dumps({"context": context, "benchmarks": rows}))
    return path


@pytest.mark.parametrize(("repetitions", "unit", "shift"), [(9, "ns", 1.0), (11, "us", 1.04), (10, "ms", 0.9), (3, "ns", 2.0)])
def test_medians_and_the_u_test_agree(tmp_path: Path, repetitions: int, unit: str, shift: float) -> None:
    generator = np.random.default_rng(repetitions)
    sides = [{"BM_a": shift**side * generator.lognormal(3, 0.05, repetitions), "BM_b": generator.lognormal(1, 0.3, repetitions)} for side in (0, 1)]
    before, after = (
        file_of(tmp_path / f"{side}.json", {name: [float(x) for x in values] for name, values in times.items()}, unit)
        for side, times in enumerate(sides)
    )
    theirs, mine = google(before, after, tmp_path / "out.json"), ours(before, after)
    assert set(mine) == {"BM_a", "BM_b"}
    for name, cell in mine.items():
        assert cell["rank_p_value"] == pytest.approx(theirs[name]["utest"]["time_pvalue"], rel=1e-9)
        assert "Mann-Whitney over the repetitions" in cell["rank_test"] and cell["verdict"] == "not enough data"
        change = theirs[f"{name}_median"]["measurements"][0]["time"]
        assert cell["score"] / cell["base_score"] - 1 == pytest.approx(change, rel=1e-9)
        if repetitions % 2:  # the middle of an even number is taken of logarithms here, and of times there
            assert cell["ratio"] - 1 == pytest.approx(change, rel=1e-9)


def test_the_tools_own_example_is_read_and_agrees(tmp_path: Path) -> None:
    """Single repetitions: only a change of the time to agree on."""
    before, after = INPUTS / "test1_run1.json", INPUTS / "test1_run2.json"
    theirs, mine = google(before, after, tmp_path / "out.json"), ours(before, after)
    checked = [name for name, row in theirs.items() if len(row["measurements"]) == 1 and name in mine]
    assert len(checked) > 8
    for name in checked:
        assert mine[name]["ratio"] - 1 == pytest.approx(theirs[name]["measurements"][0]["time"], rel=1e-9, abs=1e-12)
        assert mine[name]["rank_p_value"] is None


def test_the_tool_reads_records_of_this_lab_and_agrees(tmp_path: Path) -> None:
    """Both read the record itself; its `benchmarks` are Google's, its `cells` ours."""
    def is_lookup_with_repetitions(path: Path) -> bool:
        data = json.loads(path.read_text())
        return data["cells"][0]["workload"] == "lookup" and len(data["cells"][0]["repetitions"]) > 2

    found = [path for path in sorted((ROOT / "results" / "example").glob("0*.json")) if is_lookup_with_repetitions(path)]
    before, after = found[:2]
    theirs = google(before, after, tmp_path / "out.json")
    finished = lab(Path("nowhere"), "compare", str(before), str(after), "--json")
    checked = 0
    for cell in finished.json["cells"]:
        row = theirs["/".join(["lookup", cell["variant"], *(f"{k}:{cell['parameters'][k]}" for k in ("pages", "pattern", "threads"))])]
        assert cell["rank_p_value"] == pytest.approx(row["utest"]["time_pvalue"], rel=1e-6)
        checked += 1
    assert checked > 10
