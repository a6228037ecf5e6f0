"""Whatever is in a file, the lab answers with success or with one line, and never with an error of its own."""

import contextlib
import copy
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_records import simple_run

from page_map_lab import claims_file
from page_map_lab.cli_errors import LabError
from page_map_lab.main import main
from page_map_lab.open_files import OpenFiles
from page_map_lab.records import load_record
from page_map_lab.run_folder import PLAN_FILE, RunFolder
from page_map_lab.strace_lines import read_lines
from page_map_lab.trace_format import encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
# A short run tries the same every time; a long one is many, each with its --hypothesis-seed (scripts/test/fuzz.sh).
LONG = bool(os.environ.get("PAGE_MAP_LAB_TEST_MINUTES"))
QUICK = settings(
    max_examples=3000 if LONG else 150, deadline=None, derandomize=not LONG, database=None, print_blob=LONG,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
FEW = settings(QUICK, max_examples=800 if LONG else 40)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything that a JSON value holds, itself excluded."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, inner in entries for deeper in [(*path, key), *places(inner, (*path, key))]]


@st.composite
def mutations(draw: st.DrawFn, valid: Any) -> Any:
    """The value with one to three of its parts replaced, dropped or renamed."""
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        known = places(value)
        if not known:
            break
        *path, last = draw(st.sampled_from(known))
        holder = value
        for step in path:
            holder = holder[step]
        change = draw(st.sampled_from(["replace", "drop", "rename"]))
        if change == "replace":
            holder[last] = draw(JSON)
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
    assert code in (0, 1, 2, 6), err.getvalue()
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


@QUICK
@given(st.lists(st.tuples(st.integers(0, len(STRACE) - 1), st.text(max_size=6), st.integers(0, 12)), max_size=6), st.text(max_size=60))
def test_a_log_of_strace_that_was_changed_makes_a_trace(changes: list[tuple[int, str, int]], line: str) -> None:
    text = STRACE
    for place, inserted, dropped in changes:
        text = text[:place] + inserted + text[place + dropped :]
    files = OpenFiles("/a")
    for event in read_lines([*text.splitlines(keepends=True), line]):
        files.take(event)
    files.finish()
    assert encode(files.file_names, files.operations)
