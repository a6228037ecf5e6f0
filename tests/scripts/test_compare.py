"""`lab compare` as a user calls it: verdicts, refusals, exit codes."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import synthetic_records as synthetic
from lab_process import Finished, lab

BASE = "layout:radix/read:rcu_qsbr"
FULL_BASE = f"{BASE}/shootdown:batched"
COSTS = {BASE: 11.0, "layout:radix/read:spinlock": 17.0, "floor:array": 10.0}


def run_folder(folder: Path, costs: dict[str, float] = COSTS, **more: Any) -> Path:
    return synthetic.write(synthetic.simple_run(costs, **more), folder)


def edit(folder: Path, change: Any) -> Path:
    """Applies the change to every record of the folder."""
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")
    return folder


def compare(*arguments: Any) -> Finished:
    return lab(Path("nowhere"), "compare", *map(str, arguments))


def verdicts(finished: Finished) -> dict[str, str]:
    return {cell["variant"]: cell["verdict"] for cell in finished.json["cells"]}


def test_a_set_compared_with_itself_is_indistinguishable(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    finished = compare(folder, folder, "--json")
    assert finished.code == 0
    assert set(verdicts(finished).values()) == {"indistinguishable"}


def test_two_runs_of_the_same_thing_are_indistinguishable(tmp_path: Path) -> None:
    finished = compare(run_folder(tmp_path / "a", seed=1), run_folder(tmp_path / "b", seed=2), "--json")
    assert finished.code == 0
    assert set(verdicts(finished).values()) == {"indistinguishable"}


def test_a_planted_regression_is_found_and_exits_with_1(tmp_path: Path) -> None:
    slower = {**COSTS, BASE: COSTS[BASE] * 1.2}
    before, after = run_folder(tmp_path / "a", seed=1), run_folder(tmp_path / "b", slower, seed=2)
    finished = compare(before, after, "--json")
    assert finished.code == 1
    assert verdicts(finished) == {BASE: "slower", "layout:radix/read:spinlock": "indistinguishable", "floor:array": "indistinguishable"}
    cell = next(cell for cell in finished.json["cells"] if cell["variant"] == BASE)
    assert cell["low"] <= 1.2 <= cell["high"] and cell["regression"]
    assert compare(before, after, "--threshold", "50").code == 0
    assert compare(after, before).code == 0


def test_the_text_names_verdict_interval_and_revision(tmp_path: Path) -> None:
    finished = compare(run_folder(tmp_path / "a", seed=1), run_folder(tmp_path / "b", {**COSTS, BASE: 22.0}, seed=2))
    assert "slower REGRESSION" in finished.out and "Benjamini-Hochberg" in finished.out
    assert synthetic.BUILD["git_revision"] in finished.out


def test_variants_of_one_set_are_compared_inside_each_launch(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a", noise=0.3)
    finished = compare(folder, "--baseline", FULL_BASE, "--json")
    assert finished.code == 0
    assert verdicts(finished) == {"layout:radix/read:spinlock": "slower", "floor:array": "faster"}
    assert all("paired" in cell["method"] and cell["base"] == BASE for cell in finished.json["cells"])
    assert compare(folder, "--baseline", FULL_BASE, "--threshold", "10").code == 1


def test_a_base_measured_beside_each_repetition_is_used(tmp_path: Path) -> None:
    cells = lambda factor: [  # noqa: E731
        synthetic.cell("lookup", BASE, {"pages": 4}, [11.0 * factor] * 3, beside=("floor:array", [10.0 * factor] * 3))
    ]
    factors = (1.0, 1.5, 0.7, 2.0, 1.1)
    folder = synthetic.write({f"{i}.json": synthetic.record(cells(f), i) for i, f in enumerate(factors)}, tmp_path / "a")
    cell = compare(folder, "--baseline", "floor:array", "--json").json["cells"][0]
    assert cell["ratio"] == pytest.approx(1.1) and cell["verdict"] == "slower"


def test_fewer_than_five_launches_are_not_enough_data(tmp_path: Path) -> None:
    finished = compare(run_folder(tmp_path / "a", launches=4), run_folder(tmp_path / "b", {**COSTS, BASE: 90.0}, launches=4), "--json")
    assert finished.code == 0
    assert set(verdicts(finished).values()) == {"not enough data"}
    assert finished.json["cells"][0]["low"] is None and "4 launches" in finished.json["cells"][0]["why"]


def test_excluded_repetitions_are_left_out_and_counted(tmp_path: Path) -> None:
    def spoil(data: dict[str, Any]) -> None:
        data["cells"][0]["repetitions"][1].update(score=9000.0, excluded="the victim slept")

    finished = compare(run_folder(tmp_path / "a", seed=1), edit(run_folder(tmp_path / "b", seed=2), spoil), "--json")
    assert finished.code == 0
    assert finished.json["cells"][0]["verdict"] == "indistinguishable"
    assert finished.json["excluded_repetitions"] == 6


def test_a_failed_check_exits_with_5_and_names_the_cell(tmp_path: Path) -> None:
    def fail(data: dict[str, Any]) -> None:
        data["cells"][1]["check"] = {"passed": False, "digest": "00", "message": "lost 3 writes"}

    finished = compare(run_folder(tmp_path / "a"), edit(run_folder(tmp_path / "b", launches=1), fail))
    assert finished.failed_with(5, "lost 3 writes", "#/cells/1")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("host", "name"), "fixture-other-12345678"),
        (("host", "kernel"), "6.2.0"),
        (("build", "flags"), "-O0"),
        (("build", "sanitizer"), "thread"),
        (("environment", "governor"), "powersave"),
        (("environment", "max_map_count"), 7),
        (("environment", "shared_memory_huge_pages"), "always"),
    ],
)
def test_what_is_not_comparable_is_refused_by_the_name_of_the_field(tmp_path: Path, place: tuple[str, str], value: Any) -> None:
    def differ(data: dict[str, Any]) -> None:
        data[place[0]][place[1]] = value

    before, after = run_folder(tmp_path / "a"), edit(run_folder(tmp_path / "b"), differ)
    field = ".".join(place)
    assert compare(before, after).failed_with(6, field, str(value))
    assert compare(before, after, "--allow", field).code == 0


def test_another_tlb_mechanism_is_not_comparable(tmp_path: Path) -> None:
    def differ(data: dict[str, Any]) -> None:
        data["host"]["tlb_mechanism"] = {"value": "invlpgb", "why": "the CPU has it"}

    after = edit(run_folder(tmp_path / "b"), differ)
    assert compare(run_folder(tmp_path / "a"), after).failed_with(6, "host.tlb_mechanism", "invlpgb")


def test_another_revision_or_load_is_comparable(tmp_path: Path) -> None:
    def differ(data: dict[str, Any]) -> None:
        data["build"]["git_revision"] = "f" * 40
        data["environment"].update(load_1m=3.5, steal_ticks=99)

    assert compare(run_folder(tmp_path / "a"), edit(run_folder(tmp_path / "b"), differ)).code == 0


def test_another_unit_is_not_comparable(tmp_path: Path) -> None:
    def differ(data: dict[str, Any]) -> None:
        data["cells"][0]["score"] = {"metric": "ns_per_operation", "unit": "us", "direction": "lower_is_better"}

    assert compare(run_folder(tmp_path / "a"), edit(run_folder(tmp_path / "b"), differ)).failed_with(6, "score.unit")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 2, "cells": []}'])
def test_malformed_input_exits_with_2_and_names_the_file(tmp_path: Path, text: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text, encoding="utf-8")
    assert compare(run_folder(tmp_path / "a"), bad).failed_with(2, "bad.json")


def test_nothing_in_common_exits_with_2(tmp_path: Path) -> None:
    other = run_folder(tmp_path / "b", workload="insert")
    assert compare(run_folder(tmp_path / "a"), other).failed_with(2, "insert/")
    assert compare(tmp_path / "a", "--baseline", "layout:cuckoo").failed_with(2, "layout:cuckoo", BASE)
    assert compare(tmp_path / "a", tmp_path / "a", "--workload", "fault").failed_with(2, "fault")


@pytest.mark.parametrize("arguments", [("A",), ("A", "B", "--baseline", "x"), ("A", "B", "--threshold", "much"), ("A", "B", "--threshold", "-1")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    finished = compare(*arguments)
    assert finished.code == 2 and finished.err.count("\n") == 1


def test_the_rank_test_stands_beside_the_interval(tmp_path: Path) -> None:
    slower = {**COSTS, BASE: COSTS[BASE] * 1.2}
    before, after = run_folder(tmp_path / "a", seed=1), run_folder(tmp_path / "b", slower, seed=2)
    cells = {cell["variant"]: cell for cell in compare(before, after, "--json").json["cells"]}
    assert cells[BASE]["rank_p_value"] == pytest.approx(2 / math.comb(12, 6)) and "Mann-Whitney over launches" == cells[BASE]["rank_test"]
    paired = compare(before, "--baseline", FULL_BASE, "--json").json["cells"]
    assert all("Wilcoxon" in cell["rank_test"] for cell in paired)
    assert "rank p is of Mann-Whitney" in compare(before, after).out


def test_the_comparison_as_csv_markdown_and_latex(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    rows = list(csv.DictReader(io.StringIO(compare(folder, "--baseline", FULL_BASE, "--csv").out)))
    assert [row["verdict"] for row in rows] == ["slower", "faster"] and float(rows[0]["low"]) > 1 and rows[0]["regression"] == "0"
    lines = compare(folder, "--baseline", FULL_BASE, "--markdown").out.splitlines()
    assert lines[0].startswith("| workload |") and len({line.count("|") for line in lines[:4]}) == 1
    latex = compare(folder, "--baseline", FULL_BASE, "--latex").out
    assert all(word in latex for word in (r"\toprule", r"\midrule", r"\bottomrule", r"95 \%")) and "_" not in latex.replace(r"\_", "")
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 2 and all(line.count(" & ") == 7 and line.endswith(r"\\") for line in body)
    assert compare(folder, "--baseline", FULL_BASE, "--csv", "--latex").code == 2
    assert compare(folder, "--baseline", FULL_BASE, "--latex", "--threshold", "10").code == 1


def test_plain_google_benchmark_files_can_be_compared(tmp_path: Path) -> None:
    for name, time in (("a", 10.0), ("b", 20.0)):
        for launch in range(5):
            rows = [{"name": "BM_x", "run_type": "iteration", "real_time": time * (1 + 0.01 * launch), "time_unit": "ns"}]
            context = {"host_name": "here", "executable": "bench_x", "num_cpus": 2, "library_build_type": "release"}
            synthetic.write({f"{launch}.json": {"context": context, "benchmarks": rows}}, tmp_path / name)
    finished = compare(tmp_path / "a", tmp_path / "b", "--json")
    assert finished.code == 1 and finished.json["cells"][0]["ratio"] == pytest.approx(2.0)
    assert compare(tmp_path / "a", run_folder(tmp_path / "c")).failed_with(6, "schema_version")
