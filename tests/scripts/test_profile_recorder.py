"""What `lab profile` records of one variant, with a perf that is none: what may not be recorded costs its own view and no other."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import fake_perf
import pytest

from page_map_lab.machine import Machine
from page_map_lab.profile_views import TRACEPOINTS, TRACEPOINTS_FOLDER, Recorder, VariantViews

VARIANT = "layout:radix"


def launch(command: list[str], folder: Path, what: str) -> None:
    """Runs perf for its own part: there is no benchmark below it."""
    assert folder.is_dir() and what.startswith(VARIANT)
    subprocess.run(command, check=True)


@pytest.fixture(name="record")
def fixture_record(tmp_path: Path) -> Callable[[Machine], VariantViews]:
    """Records every view of one variant of a workload without phases, on a machine with those files."""

    def record(machine: Machine) -> VariantViews:
        folder = tmp_path / "session" / "variant"
        folder.mkdir(parents=True)

        def command_for(variant: str, below: Path, name: str, more: list[str]) -> list[str]:
            if "--timeline" in more:
                Path(more[more.index("--timeline") + 1]).write_text('{"marks": []}', encoding="utf-8")
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
