"""The gate around launches: what it measures, when it refuses, and that what it let pass stays and is shown as flagged."""

import json
from pathlib import Path

import fake_benchmark
import pytest
import synthetic_records as synthetic
from lab_process import lab
from made_up_machine import machine, show_to_the_gate

from page_map_lab import calibration, checks, gate, main, paths, perf
from page_map_lab.calibration import Calibration, Drift, Sharing
from page_map_lab.cli_errors import NoiseGateError
from page_map_lab.machine import Machine
from page_map_lab.record_flags import flags_of, sharing_sentence

PROGRAM = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
    *--drift-only*) echo '{{"drift": {{"cpu": 0, "round_ns": {rounds}}}}}' ;;
    *) echo '{{"drift": {{"cpu": 0, "round_ns": {rounds}}}, "sharing": {{"cpus": [0, 1], "alone_round_ns": [9.0, null],
        "pairs": [{{"cpus": [0, 1], "throughputs": [1.04, 1.06, 1.05]}}], "pairs_left_out": 0}}}}' ;;
esac
"""
BASE = "layout:radix/read:rcu_qsbr"
POINT = {"pages": 4096, "pattern": "uniform", "threads": 1}
NOTHING = {"verdict": "pass", "findings": []}
ONE_WORKLOAD = ("run", "--workload", "lookup", "--launches", "1", "--seed", "5", "--variant", "layout:radix*")


def with_calibrate(folder: Path, rounds: str = str([100.0] * 30)) -> Path:
    """Adds a program that says it measured two siblings; returns where it logs how it was called."""
    log = folder.parent / "calibrate.log"
    (folder / calibration.PROGRAM).write_text(PROGRAM.format(log=log, rounds=rounds))
    (folder / calibration.PROGRAM).chmod(0o755)
    return log


def whole_records(gates: list[dict], folder: Path) -> Path:
    """Records that keep the schema, which the fake binary's do not, each with a gate that the lab made."""
    files = synthetic.simple_run({"layout:radix/read:rcu_qsbr": 10.0, "layout:flat/read:rcu_qsbr": 9.0}, launches=6)
    for place, record in enumerate(files.values()):
        record["gate"] = gates[place % len(gates)]
    return synthetic.write(files, folder)


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path / "bin", "lookup")


def test_records_and_the_report_say_that_processors_share_a_core(folder: Path, tmp_path: Path) -> None:
    log = with_calibrate(folder)
    assert lab(folder, *ONE_WORKLOAD, "--out", str(tmp_path / "run"), "--quiet").code == 0
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "run").glob("[0-9]*.json"))]
    for record in records:
        kept = record["gate"]["calibration"]
        assert kept["round_ns"] == 100 and kept["core_sharing"]["cores"] == [[0, 1]]
        assert "1.05 times" in kept["core_sharing"]["sentence"] and "one core" in sharing_sentence(record)
        assert "core_sharing" in [finding["check"] for finding in record["gate"]["before"]["findings"]]
    # The sharing of cores is measured once for a run, the drift before and after each launch.
    calls = log.read_text().splitlines()
    assert sum("--drift-only" not in call for call in calls) == 1
    assert sum("--drift-only" in call for call in calls) == 1 + 2 * len(records) - 1
    whole = whole_records([record["gate"] for record in records], tmp_path / "whole")
    assert lab(folder, "report", str(whole), "--out", str(tmp_path / "report")).code == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "scaling beyond one core is not visible here" in page


def test_doctor_measures_and_says_so(folder: Path, tmp_path: Path) -> None:
    with_calibrate(folder)
    said = lab(folder, "doctor", "core_sharing", "drift", "--json")
    assert said.code == 0 and said.json["calibration"]["core_sharing"]["cores"] == [[0, 1]]
    assert {finding["check"]: finding["severity"] for finding in said.json["findings"]} == {"core_sharing": "soft", "drift": "ok"}


def test_a_broken_calibration_stops_nobody(folder: Path) -> None:
    (folder / calibration.PROGRAM).write_text("#!/bin/sh\necho '{\"drift\": 7}'\n")
    (folder / calibration.PROGRAM).chmod(0o755)
    assert calibration.measure(folder, Machine()) is None
    (folder / calibration.PROGRAM).write_text("#!/bin/sh\nexit 2\n")
    assert calibration.measure(folder, Machine()) is None
    assert "not measured" in lab(folder, "doctor", "drift").out


@pytest.fixture(name="noisy")
def fixture_noisy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A bare machine on which two others want to run; returns the root of its files."""
    root = machine(tmp_path / "root", proc__loadavg="2.00 2.00 2.00 3/100 1")
    show_to_the_gate(root, monkeypatch.setattr)
    monkeypatch.setattr(gate, "PATIENCE_S", 0)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("PAGE_MAP_LAB_BINARIES", str(folder))
    monkeypatch.setenv("PAGE_MAP_LAB_STATE", str(tmp_path / "state"))
    return root


def test_a_hard_finding_refuses_the_run_with_exit_3(noisy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main.main([*ONE_WORKLOAD, "--out", str(run)]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "load: 3 other threads" in said and "--waive load" in said and not run.exists()


def test_waived_findings_flag_their_records_in_list_compare_and_report(
    noisy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main.main([*ONE_WORKLOAD, "--waive", "load", "--out", str(run), "--quiet"]) == 0
    records = [json.loads(path.read_text()) for path in sorted(run.glob("[0-9]*.json"))]
    assert records and all(flags_of(record) == ["load"] for record in records)
    assert all(record["gate"][moment]["verdict"] == "soft" for record in records for moment in ("before", "after"))
    whole = str(whole_records([records[0]["gate"], {**records[0]["gate"], "before": NOTHING, "after": NOTHING}], tmp_path / "whole"))
    capsys.readouterr()
    assert main.main(["list", "--records", whole, "--json"]) == 0
    assert [entry["flags"] for entry in json.loads(capsys.readouterr().out)] == [["load"], []] * 3
    assert main.main(["list", "--records", whole]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.startswith("!") and line.endswith("load") for line in lines] == [True, False] * 3
    assert main.main(["compare", whole, "--baseline", "layout:radix/read:rcu_qsbr", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["flagged"]) == 3 and said["cells"][0]["flagged_launches"] == 6
    assert main.main(["compare", whole, "--baseline", "layout:radix/read:rcu_qsbr"]) == 0
    text = capsys.readouterr().out
    assert "6/6!" in text and "! 3 launches were measured although the gate found load" in text
    assert main.main(["report", whole, "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert ">R1!<" in page and ">R2<" in page and "3 of 6 launches, marked !, were measured although the gate found load" in page


def test_a_quiet_machine_flags_nothing(noisy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine(noisy)
    run = tmp_path / "run"
    assert main.main([*ONE_WORKLOAD, "--out", str(run), "--quiet"]) == 0
    assert not any(flags_of(json.loads(path.read_text())) for path in run.glob("[0-9]*.json"))
    whole = whole_records([json.loads(next(run.glob("[0-9]*.json")).read_text())["gate"]], tmp_path / "whole")
    capsys.readouterr()
    assert main.main(["list", "--records", str(whole)]) == 0
    assert main.main(["compare", str(whole), "--baseline", "layout:radix/read:rcu_qsbr"]) == 0
    assert "!" not in capsys.readouterr().out


def test_what_happened_during_a_launch_is_found_after_it(noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = [Calibration(Drift((100.0,) * 30), Sharing((0,), {})), Calibration(Drift((120.0,) * 30), None)]
    monkeypatch.setattr(checks.calibration, "measure", lambda *_: measured.pop(0))
    machine(noisy)
    watching = gate.Gate(tmp_path, [])
    assert "drift" not in [finding["check"] for finding in watching.before()["findings"]]
    machine(noisy, sys__devices__system__cpu__cpu0__thermal_throttle__core_throttle_count="5")
    machine(noisy, sys__devices__system__cpu__cpu0__thermal_throttle__core_throttle_count="5", proc__stat="cpu  200 0 200 900 0 0 0 90 0 0")
    after = {finding["check"]: finding for finding in watching.after()["findings"]}
    assert {after[name]["severity"] for name in ("drift", "throttling", "steal")} == {"hard"}
    assert "+20.0 % since before" in after["drift"]["found"] and "5 times meanwhile" in after["throttling"]["found"]


@pytest.mark.parametrize("verb", ["claims", "selftest", "profile"])
@pytest.mark.parametrize(("stolen", "flags"), [(0, []), (90, ["steal"])])
def test_noise_that_came_meanwhile_flags_what_a_verb_measured(
    noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, stolen: int, flags: list[str]
) -> None:
    claim = {"name": "a", "statement": "b", "workload": "lookup", "contender": BASE, "base": "floor:array", "parameters": POINT}
    (tmp_path / "claims.json").write_text(json.dumps([{**claim, "repetitions": 3, "min_time_ms": 1, "relation": None, "bound": None}]))
    session = tmp_path / "session"
    arguments = {
        "claims": ("--file", str(tmp_path / "claims.json"), "--launches", "1"),
        "selftest": ("--tries", "1", "--seed", "3"),
        "profile": ("lookup", BASE, "--out", str(session)),
    }[verb]
    monkeypatch.setenv("FAKE_NOISE", "0.002,0.002")
    monkeypatch.setattr(perf, "why_absent", lambda: "perf is left out of this test")
    after = gate.Gate.after
    later = f"cpu  100 0 100 1800 0 0 0 {stolen} 0 0"
    monkeypatch.setattr(gate.Gate, "after", lambda self: machine(noisy, proc__stat=later) and after(self))
    machine(noisy)
    assert main.main([verb, *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert (said[0] if verb == "claims" else said)["flags"] == flags
    assert err == (f"lab {verb}: flagged: measured although the gate found steal: see `lab doctor`, then measure again\n" if flags else "")
    assert verb != "profile" or ("Flagged: measured although the gate found steal." in (session / "index.html").read_text()) == bool(flags)


def test_an_unwaivable_refusal_offers_no_waiver(noisy: Path, tmp_path: Path) -> None:
    machine(noisy)
    (tmp_path / "CMakeCache.txt").write_text("PAGE_MAP_LAB_PRESET:STRING=dev\n")
    with pytest.raises(NoiseGateError, match="build_type: preset dev") as refused:
        gate.Gate(tmp_path, ["all"]).before()
    assert "--waive" not in str(refused.value)
