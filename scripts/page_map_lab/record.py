"""lab record: runs a program under strace and writes its file reads and writes as a trace that `replay` runs.

Recorded are read, write and their vectored and positioned forms, copies inside the kernel, and syncs of regular files,
in the order in which they completed. Accesses through the program's own mmap, io_uring and aio are not: strace does not
see them. Nor are the heads of shared libraries that the loader reads, unless --only asks for them.
"""

import argparse
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.open_files import OpenFiles
from page_map_lab.strace_lines import read_lines
from page_map_lab.trace_format import PAGE_SIZE, Kind, TraceWriter, encode

_CALLS = (
    "open openat openat2 creat close close_range dup dup2 dup3 fcntl lseek ftruncate read write pread64 pwrite64 readv "
    "writev preadv pwritev preadv2 pwritev2 sendfile copy_file_range splice fsync fdatasync sync_file_range clone "
    "clone3 fork vfork execve execveat"
).split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own options."""
    parser.usage = "lab record [--out FILE] [--only GLOB]... -- COMMAND [ARGUMENT]..."
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the trace to write (default: the command's name with .trace)"
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="GLOB",
        help="record only files whose name, or path as the trace would show it, matches (repeatable)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program to record")


def run(options: argparse.Namespace) -> int:
    """Records the command and says what the trace holds."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise UsageError("no command to record: put it after --, for example `lab record -- sqlite3 a.db 'select 1'`")
    if shutil.which(command[0]) is None:
        raise UsageError(f"{command[0]}: the command is not there or not executable: check its name and PATH")
    strace = shutil.which("strace")
    if strace is None:
        raise UsageError("strace is not installed: install Debian's package strace")
    out = options.out or Path(Path(command[0]).name + ".trace")
    if getattr(options, "dry_run", False):
        print(" ".join(_strace_command(strace, Path("LOG"), ["--seccomp-bpf"], command)))
        return ExitCode.OK
    faster = _probe(strace)
    writer = TraceWriter(out)
    try:
        recording = _record(strace, faster, command, options.only)
        if not any(operation.kind != Kind.SYNC for operation in recording.files.operations):
            raise UsageError(_nothing(command, recording, options.only))
        data = encode(recording.files.file_names, recording.files.operations)
        writer.finish(data)
    finally:
        writer.discard()
    _report(out, len(data), recording, options)
    return ExitCode.OK


@dataclass(slots=True)
class _Recording:
    files: OpenFiles
    exit_status: int


def _strace_command(strace: str, log: Path, extra: list[str], command: list[str]) -> list[str]:
    calls = ",".join("?" + name for name in _CALLS)  # ? lets pass what this architecture does not have
    return [
        strace, "-f", "-q", "-y", "-s", "0", *extra, "-e", f"trace={calls}", "-e", "signal=none",
        "-o", str(log), "--", *command,
    ]  # fmt: skip


def _probe(strace: str) -> list[str]:
    """Whether strace may trace here; returns the options that make it stop the program for the traced calls only."""
    problem = ""
    for extra in (["--seccomp-bpf"], []):
        probe = subprocess.run(
            _strace_command(strace, Path(os.devnull), extra, ["true"]),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if probe.returncode == 0:
            return extra
        problem = probe.stderr.strip().splitlines()[0] if probe.stderr.strip() else f"exit status {probe.returncode}"
    if "not permitted" in problem or "ermission denied" in problem:
        raise UsageError(
            f"not permitted to trace programs ({problem}): run as root, set kernel.yama.ptrace_scope to 1 or less, or "
            "give the container CAP_SYS_PTRACE"
        )
    raise UsageError(f"strace does not work here ({problem}): try `strace true`")


def _inherit(files: OpenFiles) -> None:
    """Tells of the regular files that the program gets as its standard input, output and error."""
    for number in (0, 1, 2):
        try:
            facts = os.fstat(number)
            if stat.S_ISREG(facts.st_mode):
                path = os.readlink(f"/proc/self/fd/{number}")
                position = os.lseek(number, 0, os.SEEK_CUR)
                appends = bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND)
                files.inherit(number, path, position, facts.st_size, appends)
        except OSError:
            continue  # closed, or gone: the program will not use it either


def _record(strace: str, extra: list[str], command: list[str], only: list[str] | None) -> _Recording:
    files = OpenFiles(os.getcwd(), only)
    _inherit(files)
    with tempfile.TemporaryDirectory(prefix="lab-record-") as folder:
        log = Path(folder) / "strace.log"
        program = subprocess.Popen(_strace_command(strace, log, extra, command))
        while True:
            try:
                status = program.wait()
                break
            except KeyboardInterrupt:
                continue  # the program got it too, and what it did until then is worth keeping
        if log.exists():
            with open(log, encoding="utf-8", errors="surrogateescape") as lines:
                for event in read_lines(lines):
                    files.take(event)
    files.finish()
    return _Recording(files, status)


def _nothing(command: list[str], recording: _Recording, only: list[str] | None) -> str:
    name = Path(command[0]).name
    status = recording.exit_status
    if status != 0:
        return f"nothing was recorded, and {name} ended with status {status}: make it run without `lab record` first"
    if only:
        return f"nothing was recorded: no file that {name} read or wrote matches --only"
    return f"nothing was recorded: {name} reads and writes no regular file except, perhaps, through mmap"


def _summary(out: Path, trace_bytes: int, recording: _Recording) -> dict[str, int | str]:
    operations = recording.files.operations
    count = Counter(operation.kind for operation in operations)
    moved: Counter[Kind] = Counter()
    pages: dict[int, list[tuple[int, int]]] = {}
    for operation in operations:
        moved[operation.kind] += operation.length
        if operation.length:
            first, end = operation.offset // PAGE_SIZE, -(-(operation.offset + operation.length) // PAGE_SIZE)
            pages.setdefault(operation.file, []).append((first, end))
    return {
        "trace": str(out),
        "trace_bytes": trace_bytes,
        "files": len(recording.files.file_names),
        "operations": len(operations),
        "reads": count[Kind.READ],
        "writes": count[Kind.WRITE],
        "syncs": count[Kind.SYNC],
        "bytes_read": moved[Kind.READ],
        "bytes_written": moved[Kind.WRITE],
        "pages_touched": sum(_union_size(ranges) for ranges in pages.values()),
        "left_out_unknown_position": recording.files.unknown_positions,
        "left_out_out_of_bounds": recording.files.out_of_bounds,
        "left_out_not_understood": recording.files.not_understood,
        "command_status": recording.exit_status,
    }


def _union_size(ranges: list[tuple[int, int]]) -> int:
    """How many pages the ranges hold together, counting none twice."""
    total = 0
    counted_to = 0
    for first, end in sorted(ranges):
        total += max(0, end - max(first, counted_to))
        counted_to = max(counted_to, end)
    return total


def _report(out: Path, trace_bytes: int, recording: _Recording, options: argparse.Namespace) -> None:
    summary = _summary(out, trace_bytes, recording)
    if recording.exit_status != 0:
        name = Path(options.command[0] if options.command[0] != "--" else options.command[1]).name
        print(f"lab record: {name} ended with status {recording.exit_status}; the trace is kept", file=sys.stderr)
    if getattr(options, "json", False):
        print(json.dumps(summary))
        return
    if getattr(options, "quiet", False):
        print(out)
        return
    print(
        f"{out}: {summary['operations']} operations on {summary['files']} files: {summary['reads']} reads of "
        f"{summary['bytes_read']} bytes, {summary['writes']} writes of {summary['bytes_written']} bytes, "
        f"{summary['syncs']} syncs; {summary['pages_touched']} pages touched; {trace_bytes} bytes of trace"
    )
    left_out = {
        "at a position that is not known": summary["left_out_unknown_position"],
        "beyond what a trace holds": summary["left_out_out_of_bounds"],
        "in a form that is not understood": summary["left_out_not_understood"],
    }
    for why, number in left_out.items():
        if number:
            print(f"left out: {number} operations {why}")
