"""`lab profile`: the session folder, with and without perf."""

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import fake_benchmark
import pytest
from lab_process import ROOT, Finished, lab

from page_map_lab import perf
from page_map_lab.machine import Machine
from page_map_lab.profile_views import TRACEPOINTS

BENCH = ROOT / "build" / "bench" / "bench"  # what scripts/test/python.sh builds
BASE = "layout:radix/read:rcu_qsbr/shootdown:"


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path / "bin", "lookup", "remove")


def without_perf(tmp_path: Path) -> str:
    """A PATH on which everything but perf is found."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("python3", "env", "cmake"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    return str(tools)


def test_without_perf_the_session_still_has_phases_and_counters(folder: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    finished = lab(folder, "profile", "remove", BASE + "*", "--out", str(session), PATH=without_perf(tmp_path))
    assert finished.code == 0 and finished.out.strip().splitlines()[-1] == str(session)
    page = (session / "index.html").read_text()
    for words in ("shoot_down", "no PMU here", "linux-perf", BASE + "per_page", BASE + "batched"):
        assert words in page
    assert (session / "record.json").exists()


@pytest.mark.skipif(perf.why_absent() is not None, reason=perf.why_absent() or "")
def test_with_perf_every_variant_is_sampled(folder: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    said = lab(folder, "profile", "lookup", "layout:radix/read:rcu_qsbr", "--json", "--out", str(session)).json
    assert said["session"] == str(session) and said["why_no_perf"] is None
    sampled = session / "layout-radix+read-rcu_qsbr"
    for name in ("perf.data", "functions.txt", "callers.txt", "record-under-perf.json"):
        assert (sampled / name).stat().st_size > 0
    assert ("There is no PMU here" in (session / "index.html").read_text()) == (said["event"] == "cpu-clock")


def test_samples_are_the_clocks_without_a_pmu(tmp_path: Path) -> None:
    assert perf.event(Machine(tmp_path)) == "cpu-clock"
    (tmp_path / "sys/bus/event_source/devices/cpu").mkdir(parents=True)
    assert perf.event(Machine(tmp_path)) == "cycles"


def test_the_hottest_functions_are_the_users() -> None:
    text = "# Overhead  Symbol\n 40.00%  [k] flush_tlb\n 30.10%  [.] page_map_lab::find(unsigned long)\n 9.00%  [.] put\n"
    assert perf.hottest(text) == ["page_map_lab::find(unsigned long)", "put"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("remove", "layout:nonsense"), "layout:nonsense"),
        (("remuve", "layout:*"), "remuve"),
        (("remove", "layout:*", "--frequency", "0"), "--frequency"),
        (("remove", "layout:*", "--counters", "sheep"), "sheep"),
        (("remove",), "VARIANT"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert lab(folder, "profile", *arguments).failed_with(2, words)


def test_a_session_is_not_overwritten_and_a_failed_check_is_5(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "kept").write_text("")
    assert lab(folder, "profile", "remove", "floor:*", "--out", str(tmp_path / "session")).failed_with(2, "not an empty")
    assert lab(folder, "profile", "remove", "floor:*", "--out", str(tmp_path / "new"), FAKE_REMOVE="check").code == 5


def can_trace() -> bool:
    """Whether this user may trace the kernel, so that a session has to have a timeline."""
    events = Path("/sys/kernel/tracing/events")
    return os.geteuid() == 0 and all((events / name.replace(":", "/")).exists() for name in TRACEPOINTS)


def samples_in(drawing: Path) -> dict[str, int]:
    """How many samples of each role a flame graph says it shows."""
    counts = re.findall(r"(\w+) ([\d,]+) samples", drawing.read_text())
    return {role: int(count.replace(",", "")) for role, count in counts}


def frames_in(drawing: Path) -> set[str]:
    """The functions that a flame graph shows."""
    return set(re.findall(r"<title>(.+?): ", drawing.read_text()))


def require_every_view(finished: Finished, session: Path, phases: set[str], spans: set[str]) -> None:
    """A session of two removals has every view that this machine can give, drawn of what was recorded: these phases in the table
    inside the phases, these spans in the timeline."""
    assert finished.code == 0, finished.err
    assert finished.out.strip().splitlines()[-1] == str(session)
    page = (session / "index.html").read_text()
    assert page.index(BASE + "per_page") < page.index(BASE + "batched")
    for name in ("per_page", "batched"):
        drawing = session / f"layout-radix+read-rcu_qsbr+shootdown-{name}" / "flame.svg"
        assert sum(samples_in(drawing).values()) > 0 and len(frames_in(drawing)) > 2
    assert "points" in (session / "difference-1.svg").read_text()
    assert len(frames_in(session / "difference-1.svg")) > 2
    if not Machine().has_pmu():
        assert page.count("this machine shows no PMU") == 3
    for source in re.findall(r'<img src="([^"]+)"', page):
        assert (session / unquote(source)).is_file(), source
    assert not re.search(r'(src|href)="https?:', page)
    if not can_trace():
        assert "Not to be had here" in page
        return
    events = json.loads((session / "timeline.json").read_text())["traceEvents"]
    assert spans <= {event["name"] for event in events}
    rows = json.loads((session / "attribution.json").read_text())["rows"]
    assert {row["phase"] for row in rows} >= phases and len({row["variant"] for row in rows}) == 2


TWO = ("remove", BASE + "per_page", BASE + "batched", "--seconds", "0.1")


@pytest.mark.skipif(perf.why_absent() is not None, reason=perf.why_absent() or "")
def test_a_session_of_two_variants_has_every_view_or_says_why_not(folder: Path, tmp_path: Path) -> None:
    session = tmp_path / "session"
    finished = lab(folder, "profile", *TWO, "--out", str(session))
    require_every_view(finished, session, {"mark", "shoot_down"}, {"removal", "mark", "at work", "stall"})


@pytest.mark.skipif(perf.why_absent() is not None, reason=perf.why_absent() or "")
@pytest.mark.skipif(not (BENCH / "bench_remove").exists(), reason="bench_remove is not built, and takes minutes: scripts/run.sh builds it")
def test_a_session_of_real_removals_has_every_view_or_says_why_not(tmp_path: Path) -> None:
    # Alone: `calibrate` beside it would say how busy this machine is.
    folder, session = tmp_path / "bin", tmp_path / "session"
    folder.mkdir()
    (folder / "bench_remove").symlink_to(BENCH / "bench_remove")
    finished = lab(folder, "profile", *TWO, "--pages", "64", "--repetitions", "3", "--out", str(session))
    require_every_view(finished, session, {"mark", "revoke", "flush", "collect", "free"}, {"removal", "mark", "flush"})
    flames = {name: frames_in(session / f"layout-radix+read-rcu_qsbr+shootdown-{name}" / "flame.svg") for name in ("per_page", "batched")}
    assert all(any("remove_contig" in frame for frame in found) for found in flames.values())
    # A batched removal is in the call for so short a time that some fifty samples may miss it.
    assert any("mprotect" in frame for frame in flames["per_page"])
    record = json.loads((session / "record.json").read_text())
    assert record["build"]["preset"] == "bench" and all(cell["check"]["passed"] for cell in record["cells"])


@pytest.mark.skipif(perf.why_absent() is not None, reason=perf.why_absent() or "")
def test_an_event_that_cannot_be_sampled_is_named(folder: Path, tmp_path: Path) -> None:
    finished = lab(folder, "profile", "remove", BASE + "batched", "--event", "no:such", "--out", str(tmp_path / "session"))
    assert finished.failed_with(2, "no:such", "perf list")
