"""`lab run`: what it writes, how it fails, and that nothing is lost when it is cut short."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import fake_benchmark
import pytest
from lab_process import QUIET_LAB, environment, lab
from made_up_machine import machine, show_to_the_gate

from page_map_lab import build, launch, main, paths, run_request

SMALL = ("--workload", "lookup", "--launches", "2", "--seed", "5")


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path / "bin", "lookup", "remove")


def clone_that_cannot_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workloads: list[str]) -> None:
    """Lets the lab find a clone of the workload lookup, in whose build folder these workloads are built; to build fails the test."""
    (tmp_path / "clone" / "bench").mkdir(parents=True)
    (tmp_path / "clone" / "bench" / "bench_lookup.cpp").touch()
    fake_benchmark.install(tmp_path / "clone" / "build" / "bench" / "bench", *workloads)
    monkeypatch.delenv("PAGE_MAP_LAB_BINARIES", raising=False)
    monkeypatch.setattr(paths, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(paths, "BUILD", tmp_path / "clone" / "build" / "bench")
    monkeypatch.setattr(build, "ensure_built", lambda *_, **__: pytest.fail("a dry run builds"))


def records(run: Path) -> list[dict]:
    """The records of a run."""
    return [json.loads(path.read_text()) for path in sorted(run.glob("[0-9]*.json"))]


def test_a_run_leaves_a_plan_and_one_whole_record_a_launch(folder: Path, tmp_path: Path) -> None:
    finished = lab(folder, "run", *SMALL, "--out", str(tmp_path / "run"))
    assert finished.code == 0 and finished.out.strip().splitlines()[-1] == str(tmp_path / "run")
    made = records(tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert len(made) == len(plan["launches"]) == 3 and plan["request"]["seed"] == 5
    for planned, record in zip(plan["launches"], made):
        assert record["launch"]["index"] == planned["index"] and record["launch"]["seed"] == planned["seed"]
        assert record["launch"]["run"] == plan["run"]
        assert record["gate"]["before"]["verdict"] in ("pass", "soft") and "findings" in record["gate"]["after"]
    assert not list((tmp_path / "run").rglob("*.partial")) and not list((tmp_path / "run" / "logs").iterdir())


def test_the_default_place_is_the_host_and_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_to_the_gate(machine(tmp_path / "quiet"), monkeypatch.setattr)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("PAGE_MAP_LAB_BINARIES", str(folder))
    assert main.main(["run", *SMALL, "--quiet"]) == 0
    plans = list((tmp_path / "results").glob("fake-00000000/*-quick/plan.json"))
    assert len(plans) == 1


def test_json_says_what_became_of_it(folder: Path, tmp_path: Path) -> None:
    said = lab(folder, "run", *SMALL, "--json", "--out", str(tmp_path / "run")).json
    assert said["launches"] == said["finished"] == 3 and said["failed"] == [] and said["host"] == "fake-00000000"


def test_dry_run_prints_the_launches_and_does_nothing(folder: Path, tmp_path: Path) -> None:
    finished = lab(folder, "run", *SMALL, "--dry-run", "--out", str(tmp_path / "run"))
    assert finished.code == 0 and finished.out.count("bench_lookup --size smoke") == 3
    assert not (tmp_path / "run").exists()


DRY = [("run", *SMALL), ("profile", "lookup", "layout:radix/read:rcu_qsbr"), ("list", "lookup")]


@pytest.mark.parametrize("is_built", [True, False])
@pytest.mark.parametrize("arguments", DRY, ids=lambda arguments: arguments[0])
def test_a_dry_run_asks_what_is_built_and_builds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_built: bool, arguments: tuple[str, ...]
) -> None:
    clone_that_cannot_build(tmp_path, monkeypatch, ["lookup"] if is_built else [])
    assert main.main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert ("would run: cmake" in said) != is_built and ("layout:radix/read:rcu_qsbr" in said) == (is_built or arguments[0] == "profile")


@pytest.mark.parametrize("is_built", [True, False])
def test_a_dry_run_that_would_resume_builds_nothing_either(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_built: bool
) -> None:
    run = tmp_path / "run"
    assert lab(folder, "run", *SMALL, "--out", str(run), FAKE_LOOKUP="crash").code == 5
    clone_that_cannot_build(tmp_path, monkeypatch, ["lookup"] if is_built else [])
    before = sorted(run.rglob("*"))
    assert main.main(["run", "--resume", "--dry-run", "--out", str(run)]) == 0
    assert capsys.readouterr().out.count("would run: 000") == 3 and sorted(run.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workload", "lokup"), "lokup"),
        (("--variant", "layout:nonsense"), "layout:nonsense"),
        (("--threads", "0"), "--threads"),
        (("--threads", "one"), "--threads"),
        (("--processes", "none"), "--processes"),
        (("--threads", "9999"), "9999"),
        (("--pages", "4..2"), "--pages"),
        (("--pattern", "spiral"), "spiral"),
        (("--set", "pages"), "KEY=VALUE"),
        (("--set", "colour=red"), "colour"),
        (("--plan", "everywhere"), "everywhere"),
        (("--memory", "mars"), "mars"),
        (("--counters", "sheep"), "sheep"),
        (("--counters", "none", "--require-counters"), "--require-counters"),
        (("--counters", "tlb,sheep"), "sheep"),
        (("--counters", "tlb,none"), "leave none out"),
        (("--launches", "0"), "--launches"),
        (("--repetitions", "-1"), "--repetitions"),
        (("--timeout", "0"), "--timeout"),
        (("--seed", "-1"), "--seed"),
        (("--waive", "weather"), "weather"),
        (("--trace", "/nowhere/x.trace"), "/nowhere/x.trace"),
        (("--trace", "/dev/null"), "empty"),
        (("--out", "/dev/null"), "/dev/null"),
        (("--resume", "--out", "/nowhere/run"), "no run to resume"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert lab(folder, "run", *arguments).failed_with(2, words)


@pytest.mark.parametrize(
    ("kind", "words", "arguments"),
    [
        ("crash", "SIGSEGV", ()),
        # The limit holds for sound launches, too, so it has to be long; then only one launch may come to wait for it.
        ("hang", "no end after 10 s", ("--timeout", "10", "--variant", "layout:radix/read:rcu_qsbr*")),
    ],
)
def test_a_crash_and_a_hang_are_reported_and_the_others_go_on(
    folder: Path, tmp_path: Path, kind: str, words: str, arguments: tuple[str, ...]
) -> None:
    run = tmp_path / kind
    finished = lab(folder, "run", "--launches", "1", *arguments, "--seed", "1", "--out", str(run), FAKE_LOOKUP=kind)
    assert finished.code == 5 and words in finished.err and "Traceback" not in finished.err
    assert {record["cells"][0]["workload"] for record in records(run)} == {"remove"}
    assert list((run / "logs").glob("*lookup.log"))
    assert lab(folder, "run", "--resume", "--out", str(run)).code == 0
    assert len(records(run)) == len(json.loads((run / "plan.json").read_text())["launches"])


def test_a_failed_check_keeps_its_record_and_exits_5(folder: Path, tmp_path: Path) -> None:
    finished = lab(folder, "run", *SMALL, "--out", str(tmp_path / "run"), FAKE_LOOKUP="check")
    assert finished.failed_with(5, "a page was lost") and len(records(tmp_path / "run")) == 3
    assert lab(folder, "run", "--resume", "--out", str(tmp_path / "run")).code == 5


def test_unavailable_counters_exit_4_before_anything_is_measured(folder: Path, tmp_path: Path) -> None:
    arguments = ("--counters", "tlb", "--require-counters", "--out", str(tmp_path / "run"))
    assert lab(folder, "run", *SMALL, *arguments, FAKE_LOOKUP="counters").failed_with(4, "tlb")
    several = ("--counters", "cycles,cache", "--require-counters", "--out", str(tmp_path / "run"))
    assert lab(folder, "run", *SMALL, *several, FAKE_LOOKUP="counters:cache").failed_with(4, "lab doctor")
    assert lab(folder, "run", "--launches", "2", *several, FAKE_REMOVE="counters:cache").failed_with(4, "lab doctor")
    assert not (tmp_path / "run").exists()


def test_numbers_of_another_build_are_refused(folder: Path, tmp_path: Path) -> None:
    arguments = (*SMALL, "--out", str(tmp_path / "run"))
    assert lab(folder, "run", *arguments, FAKE_LOOKUP="other_build").failed_with(2, "dev", "only the preset bench")
    (folder.parent / "CMakeCache.txt").write_text("PAGE_MAP_LAB_PRESET:STRING=tsan\n")
    assert lab(folder, "run", *arguments).failed_with(2, "tsan")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_stops_the_run_and_keeps_what_is_there(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finished = lab(folder, "run", "--launches", "1", "--seed", "3", "--out", str(run), FAKE_LOOKUP="full_disk")
    assert finished.failed_with(2, "disk is full", "--resume")
    before = len(records(run))
    assert lab(folder, "run", "--resume", "--out", str(run)).code == 0
    assert 0 < before < len(records(run)) == 4


def wait_for(condition, seconds: float = 60) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_cut_short_resumes_without_measuring_again(folder: Path, tmp_path: Path, how: int) -> None:
    run, hanging = tmp_path / "run", tmp_path / "hanging"
    command = [*QUIET_LAB, "run", "--workload", "lookup", "--launches", "4", "--seed", "5", "--out", run]
    with subprocess.Popen(
        command, env=environment(folder, FAKE_LOOKUP="hang", FAKE_AFTER="2", FAKE_HANGING=str(hanging)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell gives its background jobs an interrupt that is ignored, and this test may be part of one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        wait_for(hanging.exists)
        os.kill(process.pid, how)
        said = process.communicate()[1]
    kept = {path.name: path.stat().st_mtime_ns for path in run.glob("[0-9]*.json")}
    assert len(kept) == 2
    if how != signal.SIGKILL:
        assert process.returncode == 130 and said.count("\n") == 1 and "--resume" in said
    assert lab(folder, "run", "--resume", "--out", str(run)).code == 0
    after = {path.name: path.stat().st_mtime_ns for path in run.glob("[0-9]*.json")}
    assert len(after) == 5 and all(after[name] == modified for name, modified in kept.items())


def test_resume_refuses_other_settings_and_other_binaries(folder: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert lab(folder, "run", *SMALL, "--out", run, FAKE_LOOKUP="crash").code == 5
    assert lab(folder, "run", "--resume", "--out", run, "--launches", "9").failed_with(2, "launches")
    with open(folder / "bench_lookup", "a", encoding="utf-8") as program:
        program.write("# built anew\n")
    assert lab(folder, "run", "--resume", "--out", run).failed_with(6, "bench_lookup")


def test_a_run_from_before_hardware_was_counted_by_default_resumes_as_it_began(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert lab(folder, "run", *SMALL, "--counters", "none", "--out", str(run), FAKE_LOOKUP="crash").code == 5
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["counters"] = None
    for planned in plan["launches"]:
        at = planned["arguments"].index("--counters")
        del planned["arguments"][at : at + 2]
    (run / "plan.json").write_text(json.dumps(plan))
    assert lab(folder, "run", "--resume", "--out", str(run), "--counters", "cycles").failed_with(2, "counters None")
    assert lab(folder, "run", "--resume", "--out", str(run)).code == 0
    assert len(records(run)) == 3 and not any("--counters" in record["launch"]["command"] for record in records(run))


def test_a_run_asks_for_hardware_counters(folder: Path, tmp_path: Path) -> None:
    assert lab(folder, "run", *SMALL, "--out", str(tmp_path / "run")).code == 0
    for record in records(tmp_path / "run"):
        words = record["launch"]["command"]
        assert words[words.index("--counters") + 1] == "cycles" and "--require-counters" not in words
    required = ("--require-counters", "--out", str(tmp_path / "required"))
    assert lab(folder, "run", *SMALL, *required, FAKE_LOOKUP="counters:cycles").failed_with(4, "lab doctor")


def test_a_folder_that_holds_a_run_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert lab(folder, "run", *SMALL, "--out", run).code == 0
    assert lab(folder, "run", *SMALL, "--out", run).failed_with(2, "--resume")


def test_a_damaged_plan_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    assert lab(folder, "run", "--resume", "--out", str(tmp_path)).failed_with(2, "plan.json", "malformed")


def test_replay_gets_a_trace_or_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_benchmark.install(tmp_path / "bin", "lookup", "replay")
    trace = tmp_path / "a.trace"
    trace.write_text("x")
    finished = lab(folder, "run", "--dry-run", "--launches", "1", "--trace", str(trace))
    assert f"--trace {trace}" in finished.out
    monkeypatch.setattr(run_request.paths, "TRACES", tmp_path / "none")
    assert run_request.shipped_trace() is None
    monkeypatch.setattr(run_request.paths, "TRACES", tmp_path)
    assert run_request.shipped_trace() == str(trace)


def test_lists_of_numbers_are_written_out() -> None:
    assert run_request.numbers("1..3,2,8", "--threads") == ["1", "2", "3", "8"]
    assert run_request.numbers("0,2", "--processes", least=0) == ["0", "2"]
    assert run_request.numbers("4Ki,1Mi", "--pages") == ["4096", "1048576"]


def test_a_process_says_why_it_failed() -> None:
    assert launch.message_of("noise\nbench_lookup: no such page: look\n", 2) == "bench_lookup: no such page: look"
    assert launch.message_of("", -9) == "ended by SIGKILL"
    assert launch.message_of("", 3) == "exit status 3"
