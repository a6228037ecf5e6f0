"""lab record, on real programs where strace may trace here, and on what goes wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_process import LAB, ROOT, Finished, environment, lab
from trace_decoder import Decoded, decode

PYTHON = sys.executable


def strace_works() -> bool:
    """Whether this machine lets strace trace."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    return subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not strace_works(), reason="strace is missing or not permitted here")


def record(folder: Path, *command: str, only: str = "*.data") -> tuple[Finished, Decoded]:
    """Records the command with `folder` as its place, and reads the trace back."""
    finished = subprocess.run(
        [LAB, "record", "--out", "out.trace", "--only", only, "--json", "--", *command],
        cwd=folder, capture_output=True, text=True, env=environment(folder), timeout=120, check=False,
    )  # fmt: skip
    result = Finished(finished.returncode, finished.stdout, finished.stderr)
    assert result.code == 0, result
    return result, decode((folder / "out.trace").read_bytes())


def script(folder: Path, text: str) -> tuple[str, str]:
    """A Python program to record."""
    (folder / "program.py").write_text("import os, sys, threading\n" + text)
    return PYTHON, "program.py"


@needs_strace
def test_dd_is_recorded_read_by_read_and_write_by_write(tmp_path: Path) -> None:
    (tmp_path / "in.data").write_bytes(b"x" * 10_000)
    _, trace = record(tmp_path, "dd", "if=in.data", "of=out.data", "bs=4096", "seek=2", "conv=fsync", "status=none")
    assert trace.operations == [
        ("read", "in.data", 0, 4096),
        ("write", "out.data", 8192, 4096),
        ("read", "in.data", 4096, 4096),
        ("write", "out.data", 12288, 4096),
        ("read", "in.data", 8192, 1808),
        ("write", "out.data", 16384, 1808),
        ("sync", "out.data", 0, 0),
    ]


@needs_strace
def test_every_kind_of_call_is_recorded(tmp_path: Path) -> None:
    program = """
f = os.open('a.data', os.O_RDWR | os.O_CREAT)
g = os.open('b.data', os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.write(f, b'x' * 100)
os.pwrite(f, b'y' * 50, 4096)
os.writev(f, [b'z' * 3, b'z' * 4])
os.pwritev(f, [b'z', b'z'], 200)
os.lseek(f, 10, os.SEEK_SET)
os.readv(f, [bytearray(5), bytearray(6)])
os.preadv(f, [bytearray(7)], 4090)
os.read(f, 0)
os.write(g, b'1234')
os.pwrite(g, b'56', 0)
os.copy_file_range(f, f, 8, 0, 8192)
os.sendfile(f, f, 0, 9)
os.fdatasync(f)
"""
    _, trace = record(tmp_path, *script(tmp_path, program))
    assert trace.operations == [
        ("write", "a.data", 0, 100),
        ("write", "a.data", 4096, 50),
        ("write", "a.data", 100, 7),
        ("write", "a.data", 200, 2),
        ("read", "a.data", 10, 11),
        ("read", "a.data", 4090, 7),
        ("write", "b.data", 0, 4),
        ("write", "b.data", 4, 2),
        ("read", "a.data", 0, 8),
        ("write", "a.data", 8192, 8),
        ("read", "a.data", 0, 9),
        ("write", "a.data", 21, 9),
        ("sync", "a.data", 0, 0),
    ]


@needs_strace
def test_children_and_threads_share_positions(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(b"x" * 4096)
    program = """
f = os.open('a.data', os.O_RDONLY)
os.read(f, 10)
if os.fork() == 0:
    os.read(f, 20)
    os._exit(0)
os.wait()
os.set_inheritable(f, True)
os.dup2(f, 9)
t = threading.Thread(target=lambda: os.read(9, 30)); t.start(); t.join()
pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'dd bs=50 count=1 status=none <&9 >/dev/null'], os.environ)
os.waitpid(pid, 0)
os.read(f, 60)
"""
    _, trace = record(tmp_path, *script(tmp_path, program))
    first_four = [("read", "a.data", offset, size) for offset, size in ((0, 10), (10, 20), (30, 30), (60, 50))]
    assert trace.operations == [*first_four, ("read", "a.data", 110, 60)]


@needs_strace
def test_threads_at_once_lose_nothing(tmp_path: Path) -> None:
    program = """
def work(number):
    for round in range(200):
        os.pwrite(f, b'x' * (number + 1), round * 4096)
        os.close(os.open('b.data', os.O_RDONLY | os.O_CREAT))
f = os.open('a.data', os.O_RDWR | os.O_CREAT)
threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""
    _, trace = record(tmp_path, *script(tmp_path, program))
    expected = [("write", "a.data", turn * 4096, size + 1) for size in range(4) for turn in range(200)]
    assert sorted(trace.operations) == sorted(expected)


@needs_strace
def test_shell_redirection_and_standard_input_have_their_offsets(tmp_path: Path) -> None:
    (tmp_path / "log.data").write_bytes(b"x" * 500)
    (tmp_path / "in.data").write_bytes(b"abcdefghij")
    with open(tmp_path / "in.data", "rb") as stream:
        os.lseek(stream.fileno(), 4, os.SEEK_SET)
        subprocess.run(
            [LAB, "record", "--quiet", "--only", "*.data", "--", "sh", "-c", "dd bs=6 status=none >> log.data"],
            cwd=tmp_path, stdin=stream, check=True, timeout=120, capture_output=True,
        )  # fmt: skip
    assert decode((tmp_path / "sh.trace").read_bytes()).operations == [
        ("read", "in.data", 4, 6),
        ("write", "log.data", 500, 6),
    ]


@needs_strace
def test_accesses_through_a_mapping_are_not_recorded(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(b"x" * 8192)
    program = """
import mmap
f = os.open('a.data', os.O_RDWR)
m = mmap.mmap(f, 0)
m[5000]
m[0] = 1
os.read(f, 3)
"""
    _, trace = record(tmp_path, *script(tmp_path, program))
    assert trace.operations == [("read", "a.data", 0, 3)]


@needs_strace
def test_the_summary_counts_what_the_trace_holds(tmp_path: Path) -> None:
    (tmp_path / "in.data").write_bytes(b"x" * 10_000)
    finished, trace = record(tmp_path, "dd", "if=in.data", "of=out.data", "bs=5000", "status=none")
    summary = finished.json
    assert (summary["operations"], summary["reads"], summary["writes"], summary["syncs"]) == (4, 2, 2, 0)
    assert (summary["bytes_read"], summary["bytes_written"], summary["pages_touched"]) == (10_000, 10_000, 6)
    assert summary["files"] == len(trace.files) == 2
    assert summary["trace_bytes"] == (tmp_path / "out.trace").stat().st_size
    assert summary["left_out_not_understood"] == summary["left_out_unknown_position"] == 0


@needs_strace
def test_a_program_that_fails_keeps_its_trace_and_is_reported(tmp_path: Path) -> None:
    finished, trace = record(tmp_path, "sh", "-c", "echo hello > a.data; exit 7")
    assert trace.operations == [("write", "a.data", 0, 6)]
    assert finished.json["command_status"] == 7
    assert "status 7" in finished.err


@needs_strace
def test_an_interrupted_recording_keeps_what_was_recorded(tmp_path: Path) -> None:
    # `ready` by its number: where the interruption meets a file object on its way out, Python ignores it.
    program = "import time\nf = os.open('a.data', os.O_RDWR | os.O_CREAT)\nos.write(f, b'x')\nos.open('ready', os.O_CREAT)\n"
    command = [LAB, "record", "--out", "out.trace", "--only", "*.data", "--"]
    # In naps: an interruption just before a sleep begins is seen at its end.
    command += script(tmp_path, program + "for _ in range(600):\n    time.sleep(0.1)\n")
    pipe = subprocess.PIPE
    running = subprocess.Popen(
        command, cwd=tmp_path, stderr=pipe, stdout=pipe, start_new_session=True,
        # A shell gives its background jobs an interrupt that is ignored, and this test may be part of one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    for _ in range(1200):
        if (tmp_path / "ready").exists():
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert decode((tmp_path / "out.trace").read_bytes()).operations == [("write", "a.data", 0, 1)]


@needs_strace
def test_nothing_recorded_is_an_error_and_leaves_no_trace(tmp_path: Path) -> None:
    out = tmp_path / "out.trace"
    assert lab(tmp_path, "record", "--out", str(out), "--", "true").failed_with(2, "nothing was recorded", "mmap")
    unmatched = lab(tmp_path, "record", "--out", str(out), "--only", "no.such", "--", "cat", "/etc/passwd")
    assert "nothing was recorded" in unmatched.err and "--only" in unmatched.err and unmatched.code == 2
    assert lab(tmp_path, "record", "--out", str(out), "--", "false").failed_with(2, "nothing", "ended with status 1")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert lab(tmp_path, "record", "--", "no-such-program").failed_with(2, "no-such-program", "PATH")


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    assert lab(tmp_path, "record").failed_with(2, "after --")
    assert lab(tmp_path, "record", "--out", "x", "--").failed_with(2, "after --")


def test_missing_strace_names_the_package(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert lab(tmp_path, "record", "--", str(program), PATH=str(tmp_path)).failed_with(2, "package strace")


def fake_strace(folder: Path, text: str) -> str:
    """A PATH on which strace does nothing but say `text` and fail."""
    program = folder / "strace"
    program.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit 1\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_not_permitted_to_trace_says_how_to_be(tmp_path: Path) -> None:
    path = fake_strace(tmp_path, "strace: test_ptrace_get_syscall_info: PTRACE_TRACEME: Operation not permitted")
    finished = lab(tmp_path, "record", "--out", str(tmp_path / "x"), "--", "true", PATH=path)
    assert finished.failed_with(2, "not permitted", "ptrace_scope", "CAP_SYS_PTRACE")
    assert not (tmp_path / "x").exists()


def test_a_strace_that_does_not_work_is_quoted(tmp_path: Path) -> None:
    path = fake_strace(tmp_path, "strace: exotic failure")
    assert lab(tmp_path, "record", "--", "true", PATH=path).failed_with(2, "exotic failure")


@needs_strace
def test_a_place_that_cannot_be_written_stops_before_the_program_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    finished = lab(tmp_path, "record", "--out", str(tmp_path / "no" / "x.trace"), "--", "touch", str(mark))
    assert finished.failed_with(2, "x.trace", "--out")
    assert not mark.exists()


def test_a_dry_run_says_the_command_and_runs_nothing(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    mark = tmp_path / "mark"
    finished = lab(tmp_path, "record", "--dry-run", "--", "touch", str(mark))
    assert finished.code == 0 and "strace" in finished.out and str(mark) in finished.out
    assert not mark.exists()


@needs_strace
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is missing")
def test_the_shipped_traces_recipe_records_such_a_trace(tmp_path: Path) -> None:
    made = tmp_path / "made.trace"
    subprocess.run([ROOT / "bench" / "traces" / "record-sqlite.sh", made], check=True, capture_output=True, timeout=120)
    shipped = decode((ROOT / "bench" / "traces" / "sqlite-transactions.trace").read_bytes())
    recorded = decode(made.read_bytes())
    assert set(recorded.files) == set(shipped.files) == {"accounts.db", "accounts.db-journal"}
    # Another version of sqlite3 orders its work a little differently.
    assert abs(len(recorded.operations) - len(shipped.operations)) < len(shipped.operations) / 4
    assert made.stat().st_size < 200 << 10
