"""`lab reproduce`: a report that still holds, one that does not, and what cannot be reproduced at all."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import fake_benchmark
import pytest
from lab_process import Finished, lab

from page_map_lab.reproduce_claims import StatedRatio, judge
from page_map_lab.statistics import FASTER, INDISTINGUISHABLE, SLOWER

SMALL = (
    "--workload", "lookup", "--variant", "layout:radix/read:*", "--threads", "1", "--pattern", "uniform", "--launches", "5",
)  # fmt: skip
NOISE = {"FAKE_NOISE": "0.01,0.01"}


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path_factory.mktemp("fake"), "lookup")


@pytest.fixture(name="measured", scope="module")
def fixture_measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and its report."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert lab(folder, "run", *SMALL, "--seed", "5", "--out", str(out), **NOISE).code == 0
    assert lab(folder, "report", str(out)).code == 0
    return out


def reproduce(folder: Path, report: Path, out: Path, *arguments: str, **more: str) -> Finished:
    """Measures again with seeds of its own, the same each time: of all seeds, some few in a hundred miss the ratio."""
    return lab(folder, "reproduce", str(report), "--out", str(out), "--seed", "77", *arguments, **{**NOISE, **more})


def test_what_holds_is_said_claim_by_claim(folder: Path, measured: Path, tmp_path: Path) -> None:
    finished = reproduce(folder, measured / "report" / "report.html", tmp_path / "again", "--json")
    said = finished.json
    assert finished.code == 0 and said["held"] == len(said["claims"]) == 2 and said["not_held"] == said["not_measured"] == 0
    for claim in said["claims"]:
        assert claim["outcome"] == "held" and claim["low"] <= claim["ratio"] <= claim["high"]
        assert claim["claim"]["verdict"] == claim["verdict"] == "slower"
    plans = [json.loads((run / "plan.json").read_text())["launches"] for run in (measured, tmp_path / "again")]
    assert len(plans[0]) == len(plans[1]) and not {x["seed"] for x in plans[0]} & {x["seed"] for x in plans[1]}


def test_a_ratio_that_changed_does_not_hold_and_exits_1(folder: Path, measured: Path, tmp_path: Path) -> None:
    finished = reproduce(folder, measured / "report", tmp_path / "again", FAKE_SHIFT="20")
    assert finished.code == 1 and finished.out.count("not held") == 3 and "2 claims: 0 held, 0 not contradicted, 2 not held" in finished.out


def test_a_difference_that_is_no_longer_seen_is_not_contradicted_but_did_not_hold_either() -> None:
    claim = StatedRatio("lookup", "v", "b", "", "smoke", "", "", 1.1, 1.02, 1.2, SLOWER, ())

    def outcome(low: float, high: float, verdict: str, stated: StatedRatio = claim) -> tuple[str, str]:
        found = SimpleNamespace(estimate=SimpleNamespace(ratio=(low + high) / 2, low=low, high=high, why=None), verdict=verdict)
        judged = judge(stated, found)  # type: ignore[arg-type]
        return judged.outcome, judged.why

    assert outcome(1.05, 1.15, SLOWER) == ("held", "")
    weaker = outcome(0.9, 1.3, INDISTINGUISHABLE)
    assert weaker[0] == "not contradicted" and "it was slower, and is indistinguishable" in weaker[1]
    assert outcome(1.01, 1.1, SLOWER, dataclasses.replace(claim, verdict=INDISTINGUISHABLE, low=0.95))[0] == "not contradicted"
    assert outcome(1.3, 1.4, SLOWER)[0] == "not held" and outcome(0.8, 0.9, FASTER)[0] == "not held"


def test_what_is_not_contradicted_is_counted_apart_and_exits_1(folder: Path, measured: Path, tmp_path: Path) -> None:
    finished = reproduce(folder, measured / "report", tmp_path / "again", "--seed", "7", "--json", FAKE_NOISE="0.3,0.01")
    said = finished.json
    assert finished.code == 1 and said["not_contradicted"] + said["held"] == 2 and said["not_contradicted"] > 0
    assert {claim["outcome"] for claim in said["claims"]} <= {"held", "not contradicted"}


def test_a_run_folder_without_a_report_states_the_same_ratios(folder: Path, measured: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for record in measured.glob("[0-9]*.json"):
        (bare / record.name).write_bytes(record.read_bytes())
    finished = reproduce(folder, bare, tmp_path / "again", "--json")
    assert finished.code == 0 and finished.json["held"] == 2


def test_another_host_is_refused_unless_allowed(folder: Path, measured: Path, tmp_path: Path) -> None:
    assert reproduce(folder, measured, tmp_path / "a", FAKE_HOST="fake-11111111").failed_with(6, "host.name", "--allow")
    assert not (tmp_path / "a").exists()
    arguments = ("--allow", "host.name", "--quiet")
    assert reproduce(folder, measured, tmp_path / "a", *arguments, FAKE_HOST="fake-11111111").code == 0


def test_what_cannot_be_measured_any_more_is_said(folder: Path, measured: Path, tmp_path: Path) -> None:
    finished = reproduce(folder, measured, tmp_path / "again", FAKE_LOOKUP="crash")
    assert finished.code == 1 and "2 not measured" in finished.out and "SIGSEGV" in finished.err
    assert reproduce(folder, measured, tmp_path / "wrong", FAKE_LOOKUP="check").code == 5


def test_dry_run_prints_the_launches_with_new_seeds(folder: Path, measured: Path, tmp_path: Path) -> None:
    finished = reproduce(folder, measured, tmp_path / "again", "--dry-run", "--seed", "3")
    assert finished.code == 0 and finished.out.count("bench_lookup --size smoke") == 5 and not (tmp_path / "again").exists()


def test_bad_input_is_refused_in_one_line(folder: Path, measured: Path, tmp_path: Path) -> None:
    assert reproduce(folder, Path("/nowhere"), tmp_path / "x").failed_with(2, "/nowhere")
    assert reproduce(folder, measured, tmp_path / "x", "--workload", "remove").failed_with(2, "no ratio")
    assert reproduce(folder, measured, tmp_path / "x", "--seed", "-1").failed_with(2, "--seed")
    few = tmp_path / "few"
    assert lab(folder, "run", *SMALL[:-1], "2", "--seed", "5", "--out", str(few), **NOISE).code == 0
    assert reproduce(folder, few, tmp_path / "x").failed_with(2, "no ratio with an interval")
    page = tmp_path / "page"
    assert lab(folder, "report", str(measured), "--out", str(page), "--formats", "html").code == 0
    for report in (page, page / "report.html"):
        assert reproduce(folder, report, tmp_path / "x").failed_with(2, "report.csv", "csv among --formats", "run folder")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "report.csv").write_text((measured / "report" / "report.csv").read_text())
    assert reproduce(folder, damaged, tmp_path / "x").failed_with(2, "raw record is missing")
    for text in ("a,b\n1,2\n", (measured / "report" / "report.csv").read_text().replace("-lookup.json", "-look\0up.json")):
        (damaged / "report.csv").write_text(text)
        assert reproduce(folder, damaged, tmp_path / "x").failed_with(2, "not a report's table")
