"""Whatever is in a file, the lab answers with success or with one line, and never with an error of its own."""

import contextlib
import copy
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_records import Noise, remove_launch, simple_run, write

from page_map_lab import claims_file, flame_graph, profile_views, report_model, sample_kinds, timeline, trace_attribution
from page_map_lab.cli_errors import LabError
from page_map_lab.host_settings import Change
from page_map_lab.host_snapshot import Snapshot, StateFolder, boot_id
from page_map_lab.main import main
from page_map_lab.open_files import OpenFiles
from page_map_lab.perf_script import read_events
from page_map_lab.records import load_record
from page_map_lab.report_page import Page
from page_map_lab.report_pictures import Gallery
from page_map_lab.run_folder import PLAN_FILE, RunFolder
from page_map_lab.strace_lines import read_lines
from page_map_lab.tables import RecordIndex
from page_map_lab.trace_format import encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
# A short run tries the same every time; a long one is many, each with its --hypothesis-seed (scripts/test/fuzz.sh).
LONG = bool(os.environ.get("PAGE_MAP_LAB_TEST_MINUTES"))
# An example takes a second at most; a minute is a file that something hangs on, on any machine.
QUICK = settings(
    max_examples=3000 if LONG else 150, deadline=60_000, derandomize=not LONG, database=None, print_blob=LONG,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
FEW = settings(QUICK, max_examples=800 if LONG else 40)
VERY_FEW = settings(QUICK, max_examples=200 if LONG else 16)  # most draw a report's pictures


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything that a JSON value holds, itself excluded."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, inner in entries for deeper in [(*path, key), *places(inner, (*path, key))]]


def alike(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same type, which a schema lets pass more often."""
    if isinstance(value, list):
        return st.sampled_from([[], value[:1], value * 2])
    kinds = {bool: st.booleans(), int: st.integers(), float: st.floats(), str: st.text(max_size=8), dict: st.just({})}
    return kinds.get(type(value), JSON)


@st.composite
def mutations(draw: st.DrawFn, valid: Any, changes: tuple[str, ...] = ("replace", "drop", "rename")) -> Any:
    """The value with one to three of its parts replaced (by anything, or by something alike), dropped or renamed."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        known = places(value)
        if not known:
            break
        *path, last = draw(st.sampled_from(known))
        holder = value
        for step in path:
            holder = holder[step]
        change = draw(st.sampled_from(changes))
        if change == "replace":
            holder[last] = draw(JSON)
        elif change == "alike":
            holder[last] = draw(alike(holder[last]))
        elif change == "drop":
            del holder[last]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = holder.pop(last)
    return value


def answers(call: Callable[[], Any]) -> Any:
    """Calls it: a LabError of one line is an answer, anything else that is thrown is a finding."""
    try:
        return call()
    except LabError as error:
        assert str(error).strip()
        return None


def one_line(*arguments: str) -> int:
    """Runs a verb in this process; its exit code, after a look at what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    assert "internal error" not in err.getvalue(), err.getvalue()
    assert code in (0, 1, 2, 5, 6), err.getvalue()
    assert code != 2 or err.getvalue().count("\n") == 1, err.getvalue()
    return code


RECORD = simple_run({"layout:radix": 10.0, "layout:flat": 8.0}, launches=1)["lookup-0.json"]
CLAIM = {
    "name": "a", "statement": "b", "workload": "lookup", "contender": "layout:radix", "relation": "<=", "bound": 1.1,
    "base": "floor:array", "parameters": {"pages": 4096, "pattern": "zipf"}, "repetitions": 3, "min_time_ms": 5,
    "relative_to": {"contender": "c", "base": "d"},
}  # fmt: skip
LAUNCH = {
    "index": 0, "block": 0, "kind": "interval", "workload": "lookup", "variants": ["layout:radix"], "cells": 1, "seed": 1,
    "timeout_s": 10.5, "arguments": ["--size", "smoke"],
}  # fmt: skip
PLAN = {
    "plan_version": 1, "run": "r", "host": "h", "created": "now", "request": {"mode": "quick", "seed": 4},
    "binaries": {"lookup": "0123"}, "launches": [LAUNCH],
}  # fmt: skip
GOOGLE = {
    "context": {"executable": "./bench", "num_cpus": 2, "host_name": "h"},
    "benchmarks": [
        {"name": "a/1", "run_name": "a/1", "run_type": "iteration", "real_time": 1.5, "time_unit": "us"},
        {"name": "a/1_mean", "run_type": "aggregate", "real_time": 1.5, "time_unit": "us"},
    ],
}
STRACE = (
    '10 openat(AT_FDCWD</a>, "b", O_RDWR|O_CREAT) = 3</a/b>\n10 read(3</a/b>, ""..., 4096) = 100\n'
    '10 pwrite64(3</a/b>, ""..., 10, 4096 <unfinished ...>\n11 clone(child_stack=NULL, flags=CLONE_FILES|SIGCHLD) = 12\n'
    "10 <... pwrite64 resumed>) = 10\n10 lseek(3</a/b>, 5, SEEK_SET) = 5\n12 dup2(3</a/b>, 7) = 7</a/b>\n"
    '12 preadv(7</a/b>, [{iov_base=""..., iov_len=8}], 1, 64) = 8\n10 ftruncate(3</a/b>, 9) = 0\n10 +++ exited with 0 +++\n'
)
CHANGES = st.lists(st.tuples(st.integers(0, 1000), st.text(max_size=6), st.integers(0, 12)), max_size=6)
ATTRIBUTION = {
    "host": "fixture", "workload": "lookup", "removals": 5,
    "rows": [{"variant": "layout:radix", "phase": "flush", "total_ns": 12.5, "kinds": dict.fromkeys(trace_attribution.KINDS, 1.5)}],
}  # fmt: skip
SNAPSHOT = asdict(Snapshot("/", "boot", 1234, ["lab", "run"], "now", [Change("turbo", "/sys/no_turbo", "0", "1")]))
MARKS = {"marks": [asdict(trace_attribution.Mark("a", "removal", "initiator", 1, 100, 1000, 2000))] * 2}
PERF_SCRIPT = (
    "initiator 100 [000] 10.000000100:     200000 cpu-clock:\n\tffffffff81000001 flush_tlb_mm_range\n\t 1000 map::f(int)\n\n"
    "initiator 100 [000] 10.000001000: raw_syscalls:sys_enter: NR 10 (7f, 1000)\n"
    "initiator 100 [000] 10.000001200: tlb:tlb_flush: pages:1 reason:remote ipi send (4)\n"
    "victim 101 [001] 10.000001300: irq_vectors:call_function_single_entry: vector=251\n"
    "victim 101 [001] 10.000001400: irq_vectors:call_function_single_exit: vector=251\n"
    "initiator 100 [000] 10.000001500: lock:contention_begin: 0xff (flags=WRITE)\n"
    "initiator 100 [000] 10.000001600: lock:contention_end: 0xff (ret=0)\n"
    "initiator 100 [000] 10.000001700: sched:sched_switch:\n\tffffffff81000001 schedule\n\n"
    "initiator 100 [-01] 10.000001750: PERF_RECORD_SWITCH OUT preempt\ninitiator 100 [-01] 10.000001790: PERF_RECORD_SWITCH IN\n"
    "initiator 100 [000] 10.000001800: raw_syscalls:sys_exit: NR 10 = 0\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("untrusted")


def written(folder: Path, name: str, contents: bytes | Any) -> Path:
    """A file that holds the bytes, or the value as JSON."""
    path = folder / name
    path.write_bytes(contents if isinstance(contents, bytes) else json.dumps(contents).encode())
    return path


@QUICK
@given(BYTES)
def test_bytes_are_no_file_of_the_lab(folder: Path, contents: bytes) -> None:
    path = written(folder, PLAN_FILE, contents)
    for read in (load_record, claims_file.load, lambda file: RunFolder.open(file.parent)):
        answers(lambda read=read: read(path))


@pytest.mark.parametrize("text", [b"[" * 100000, b'{"cells":' * 50000, b"[1" + b"0" * 5000 + b"]", b'"\\ud800"', b"[NaN]"])
def test_awkward_json_is_no_file_of_the_lab(folder: Path, text: bytes) -> None:
    path = written(folder, PLAN_FILE, text)
    for read in (load_record, claims_file.load, lambda file: RunFolder.open(file.parent)):
        assert answers(lambda read=read: read(path)) is None


@FEW
@given(mutations(RECORD))
def test_a_record_that_was_changed_is_compared_or_refused(folder: Path, record: Any) -> None:
    changed = written(folder, "changed.json", record)
    one_line("compare", str(changed), str(written(folder, "valid.json", RECORD)), "--json")


@FEW
@given(mutations(GOOGLE))
def test_google_benchmark_json_that_was_changed_is_compared_or_refused(folder: Path, record: Any) -> None:
    changed = written(folder, "changed.json", record)
    one_line("compare", str(changed), str(written(folder, "valid.json", GOOGLE)))


@QUICK
@given(mutations([CLAIM, {**CLAIM, "name": "b", "relative_to": None}]))
def test_claims_that_were_changed_are_planned_or_refused(folder: Path, claims: Any) -> None:
    one_line("claims", "--dry-run", "--file", str(written(folder, "claims.json", claims)))


@QUICK
@given(mutations(PLAN), JSON)
def test_a_plan_that_was_changed_is_resumed_or_refused(folder: Path, plan: Any, record: Any) -> None:
    path = written(folder, PLAN_FILE, plan)
    written(folder, "0000-lookup.json", record)
    run = answers(lambda: RunFolder.open(path.parent))
    if run is not None:
        run.missing()
        for launch in run.plan.launches:
            assert run.record_path(launch).parent == folder and run.log_path(launch).name
        answers(run.failed_checks)
        answers(lambda: run.check_same_binaries({"lookup": "4567"}))


def altered(text: str, changes: list[tuple[int, str, int]]) -> str:
    """The text with something else at each of the places, which go round."""
    for place, inserted, dropped in changes:
        place %= max(1, len(text))
        text = text[:place] + inserted + text[place + dropped :]
    return text


@QUICK
@given(CHANGES, st.text(max_size=60))
def test_a_log_of_strace_that_was_changed_makes_a_trace(changes: list[tuple[int, str, int]], line: str) -> None:
    files = OpenFiles("/a")
    for event in read_lines([*altered(STRACE, changes).splitlines(keepends=True), line]):
        files.take(event)
    files.finish()
    assert encode(files.file_names, files.operations)


@QUICK
@given(CHANGES)
def test_what_perf_script_says_makes_spans_and_pictures_whatever_it_says(changes: list[tuple[int, str, int]]) -> None:
    events = list(read_events(altered(PERF_SCRIPT, changes).splitlines()))
    assert all(span.started_ns <= span.ended_ns for span in trace_attribution.spans_of(events))
    profile_views.lock_waits(events)
    samples, weights = profile_views.off_cpu(events)
    assert flame_graph.draw(flame_graph.fold(samples, weights), "off", "us") and sample_kinds.shares(events) is not None


@QUICK
@given(mutations(MARKS))
def test_marks_that_were_changed_are_read_or_refused(folder: Path, marks: Any) -> None:
    read = answers(lambda: trace_attribution.read_marks(written(folder, "marks.json", marks)))
    trace_attribution.attribution_rows("layout:radix", read or [], [])
    if run := timeline.typical_run(read or []):
        assert timeline.draw("layout:radix", run, [])


@pytest.fixture(scope="module", name="stated")
def fixture_stated(folder: Path) -> str:
    """The table of a report that lies beside its records."""
    run = write(simple_run({report_model.DEFAULT_BASE: 10.0, "layout:flat": 8.0}), folder / "stated")
    assert one_line("report", str(run), "--formats", "csv") == 0
    return (run / "report" / "report.csv").read_text(encoding="utf-8")


@pytest.fixture(scope="module", name="page")
def fixture_page(folder: Path) -> Page:
    """A report without pictures of two removals with phases."""
    record = remove_launch(Noise(np.random.default_rng(1)), 0)
    record["cells"] = record["cells"][:2]
    hosts = report_model.build([load_record(written(folder, "remove.json", record))])
    index = RecordIndex(folder)
    index.add(hosts[0])
    return Page(hosts, [Gallery({}, [], [])], index, report_model.DEFAULT_BASE)


@FEW
@given(mutations(ATTRIBUTION))
def test_a_profiles_table_that_was_changed_is_shown_or_refused(folder: Path, page: Page, table: Any) -> None:
    session = written(folder, trace_attribution.FILE_NAME, table).parent
    for found in answers(lambda: trace_attribution.find([session])) or []:
        here = replace(found, host=page.hosts[0].name, workload="remove")
        assert "Inside the phases, from a trace of" in replace(page, attributions=[here]).render("report.html.j2")


@VERY_FEW
@given(mutations(RECORD, ("alike",)))
def test_a_record_that_was_changed_is_reported_or_refused(folder: Path, record: Any) -> None:
    run = folder / "reported"
    run.mkdir(exist_ok=True)
    written(run, "valid.json", RECORD)
    one_line("report", str(written(run, "changed.json", record).parent), "--out", str(folder / "report"), "--formats", "html,csv")


@FEW
@given(CHANGES)
def test_a_reports_table_that_was_changed_is_reproduced_or_refused(folder: Path, stated: str, changes: list[tuple[int, str, int]]) -> None:
    written(folder / "stated" / "report", "report.csv", altered(stated, changes).encode("utf-8", "surrogatepass"))
    one_line("reproduce", str(folder / "stated" / "report"), "--dry-run", "--json")


@QUICK
@given(mutations(SNAPSHOT))
def test_a_snapshot_of_the_host_that_was_changed_is_loaded_or_refused(folder: Path, snapshot: Any) -> None:
    state = StateFolder(folder)
    written(folder, state.path.name, snapshot)
    found = answers(state.load)
    if found is not None:
        boot_id(Path(found.root))
        assert all(isinstance(text, str) for change in found.changes for text in astuple(change))
