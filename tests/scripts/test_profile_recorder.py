"""What `lab profile` records of one variant, with a perf that is none: what may not be recorded costs its own view and no other."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import fake_perf
import pytest

from page_map_lab import profile_page, trace_attribution
from page_map_lab.cli_errors import LabError
from page_map_lab.machine import Machine
from page_map_lab.profile_views import HARDWARE_VIEWS, TRACEPOINTS, TRACEPOINTS_FOLDER, Recorder, VariantViews

VARIANT = "layout:radix"
MARKS = [
    asdict(trace_attribution.Mark("remove", name, "initiator", 1, 100, 5_000_001_000, 5_000_003_000)) for name in ("removal", "flush")
]
TRACE = """\
initiator 100 [000] 5.000001000: raw_syscalls:sys_enter: NR 10 (7f, 1000, 0, 0, 0, 0)
initiator 100 [000] 5.000001200: tlb:tlb_flush: pages:1 reason:remote ipi send (4)
initiator 100 [000] 5.000002000: raw_syscalls:sys_exit: NR 10 = 0
"""
WAIT = """\
initiator 100 [000] 5.000002100: lock:contention_begin: 0xff (flags=WRITE)
initiator 100 [000] 5.000002600: lock:contention_end: 0xff (ret=0)
"""


def launch(command: list[str], folder: Path, what: str) -> None:
    """Runs perf for its own part: there is no benchmark below it."""
    assert folder.is_dir() and what.startswith(VARIANT)
    if subprocess.run(command, check=False).returncode:
        raise LabError(f"{what} cannot be profiled")


@pytest.fixture(name="record")
def fixture_record(tmp_path: Path) -> Callable[[Machine], VariantViews]:
    """Records every view of one variant, whose removal is of MARKS, on a machine with those files."""

    def record(machine: Machine) -> VariantViews:
        folder = tmp_path / "session" / "variant"
        folder.mkdir(parents=True)

        def command_for(variant: str, below: Path, name: str, more: list[str]) -> list[str]:
            if "--timeline" in more:
                Path(more[more.index("--timeline") + 1]).write_text(json.dumps({"marks": MARKS}), encoding="utf-8")
            return ["bench", variant, str(below / name), *more]

        return Recorder(tmp_path / "session", launch, command_for, "cpu-clock", 99, False, machine).of_variant(1, VARIANT, folder)

    return record


def traceable(root: Path, *without: str) -> Machine:
    """A machine that shows every tracepoint but those."""
    for name in TRACEPOINTS:
        if name not in without:
            (root / TRACEPOINTS_FOLDER.lstrip("/") / name.replace(":", "/")).mkdir(parents=True)
    return Machine(root)


def why_not(views: VariantViews) -> dict[str, str]:
    """The views that could not be had, and why."""
    return {view.title: view.why_not for view in views.views if view.why_not}


def page_of(views: VariantViews) -> str:
    """The page of a session of that variant alone."""
    rows = views.attribution
    measured = {
        "record": {"cells": [{"variant": VARIANT, "parameters": {}, "score": {"unit": "ns"}, "repetitions": []}]}, "variants": [views],
        "differences": [], "hardware": [], "attribution": rows, "attribution_notes": trace_attribution.attribution_notes(rows, views.why_no_locks),
        "event": "cpu-clock", "frequency": 99, "why_no_perf": None, "arguments": [], "timeline": None,
    }  # fmt: skip
    workload = SimpleNamespace(name="remove", question="How fast?", score=SimpleNamespace(metric="ns"))
    return profile_page.page(workload, [VARIANT], measured, {}, [])  # type: ignore[arg-type]


TIMELINE = "Timeline, time inside the phases"


def test_a_tracing_folder_that_may_not_be_entered_costs_the_timeline_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews]
) -> None:
    fake_perf.install(tmp_path, monkeypatch)
    exists = Path.exists

    def locked(path: Path) -> bool:
        if "tracing" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", locked)
    found = record(Machine())
    assert [view.title for view in found.views] == ["Flame graph", "Off the processor", TIMELINE]
    assert list(why_not(found)) == [TIMELINE] and "root" in why_not(found)[TIMELINE]


def test_tracepoints_that_perf_may_not_record_cost_the_timeline_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews]
) -> None:
    fake_perf.install(tmp_path, monkeypatch, refuses="raw_syscalls:sys_enter")
    found = record(traceable(tmp_path / "machine"))
    assert list(why_not(found)) == [TIMELINE] and "No permission to enable this event." in why_not(found)[TIMELINE]
    assert f"{VARIANT}: not measured: " in page_of(found) and f"{VARIANT}: none." not in page_of(found)


def test_a_flush_without_an_answer_is_said_to_be_not_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews]
) -> None:
    tools = fake_perf.install(tmp_path, monkeypatch)
    (tools / "script-trace").write_text(TRACE, encoding="utf-8")
    page = page_of(record(traceable(tmp_path / "machine")))
    assert page.count('<td class="number">not told apart') == 2 and "the machine flushes without interrupts" in page


@pytest.mark.parametrize(
    ("trace", "without", "words"),
    [
        (TRACE, (), f"{VARIANT}: none."),
        (TRACE + WAIT, (), f"{VARIANT}, initiator: 1 waits, 0.5 us in all"),
        (TRACE, ("lock:contention_begin", "lock:contention_end"), f"{VARIANT}: not measured: lock:contention_begin, lock:contention_end cannot be"),
    ],
)
def test_no_wait_for_the_kernels_locks_is_told_from_none_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews], trace: str, without: tuple[str, ...], words: str
) -> None:
    tools = fake_perf.install(tmp_path, monkeypatch)
    (tools / "script-trace").write_text(trace, encoding="utf-8")
    page = page_of(record(traceable(tmp_path / "machine", *without)))
    assert words in page and ("which were not traced" in page) == bool(without)


def with_pmu(root: Path) -> Machine:
    """A machine with a PMU whose tracepoints are closed."""
    (root / "sys/bus/event_source/devices/cpu").mkdir(parents=True)
    return Machine(root)


def test_what_takes_hardware_counters_is_recorded_of_the_variant_while_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews]
) -> None:
    tools = fake_perf.install(tmp_path, monkeypatch)
    found = record(with_pmu(tmp_path / "machine"))
    views = {view.title: view for view in found.views if view.title in HARDWARE_VIEWS}
    assert list(views) == list(HARDWARE_VIEWS) and not any(view.why_not for view in views.values())
    texts = {name: (tmp_path / "session" / "variant" / f"{name}.txt").read_text() for name in ("c2c", "mem", "stat")}
    assert texts == {"c2c": "what perf c2c found\n", "mem": "what perf mem found\n", "stat": "recorded by perf stat\n"}
    folder = tmp_path / "session" / "variant"
    fifos = f"{folder / 'control.fifo'},{folder / 'answers.fifo'}"
    for words, target in zip(HARDWARE_VIEWS.values(), ("c2c.data", "mem.data", "stat.txt"), strict=True):
        benchmark = ["bench", VARIANT, str(folder / f"record-under-{words[0]}.json"), "--profiler-control", fifos]
        assert [*words, "--delay=-1", f"--control=fifo:{fifos}", f"--output={folder / target}", "--", *benchmark] in fake_perf.calls(tools)
    page = page_of(found)
    assert all(f"{title}: {VARIANT}</h3>" in page for title in HARDWARE_VIEWS) and 'href="variant/c2c.txt"' in page


def test_what_the_processor_cannot_count_is_said_of_that_view_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: Callable[[Machine], VariantViews]
) -> None:
    fake_perf.install(tmp_path, monkeypatch, refuses="c2c stat.txt")
    why = why_not(record(with_pmu(tmp_path / "machine")))
    assert list(why) == [TIMELINE, "False sharing (perf c2c)", "Top-down levels (perf stat)"]
    assert why["Top-down levels (perf stat)"] == f"{VARIANT}, perf stat cannot be profiled"
    assert why["False sharing (perf c2c)"] == "this processor cannot: No permission to enable this event."
