"""One launch: a fresh process that is watched, ended when it hangs, and never outlives the lab."""

import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from page_map_lab.cli_errors import ExitCode
from page_map_lab.paths import ROOT

_PR_SET_PDEATHSIG = 1
_DISK_FULL = "No space left on device"
_PADDING = "PAGE_MAP_LAB_PADDING"
_MOST_ENVIRONMENT_PADDING = 4096
_MOST_HEAP_PADDING = 1 << 20
_NO_RANDOMIZATION = 0x0040000  # ADDR_NO_RANDOMIZE of a process's personality


@dataclass(frozen=True)
class Outcome:
    """How a launch ended; `message` is empty when all was well."""

    exit_code: int
    message: str
    seconds: float
    disk_full: bool = False

    @property
    def has_record(self) -> bool:
        """Whether the binary says that it wrote a record."""
        return self.exit_code in (ExitCode.OK, ExitCode.CHECK_FAILED) and not self.timed_out

    @property
    def timed_out(self) -> bool:
        """Whether the launch had to be ended."""
        return self.message.startswith("no end after")


def heap_padding_bytes(seed: int) -> int:
    """How far a launch's heap is shifted: the luck of a layout shows as variance where every launch has another one."""
    return random.Random(f"heap {seed}").randrange(_MOST_HEAP_PADDING)


def environment_padding_bytes(seed: int) -> int:
    """How much larger a launch's environment is made, which shifts its stack."""
    return random.Random(f"environment {seed}").randrange(_MOST_ENVIRONMENT_PADDING)


def layout_of(seed: int) -> dict[str, int | None]:
    """What a record says of a launch's layout; the last is the kernel's randomize_va_space, 0 where it is off for us."""
    try:
        randomization: int | None = int(Path("/proc/sys/kernel/randomize_va_space").read_text())
        if int(Path("/proc/self/personality").read_text(), 16) & _NO_RANDOMIZATION:
            randomization = 0
    except (OSError, ValueError):
        randomization = None
    return {
        "environment_padding_bytes": environment_padding_bytes(seed),
        "heap_padding_bytes": heap_padding_bytes(seed),
        "address_space_randomization": randomization,
    }


def _die_with_parent() -> None:
    # kill -9 of the lab must not leave a process behind that measures on, and disturbs whoever measures next.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def message_of(stderr: str, exit_code: int) -> str:
    """The one line that says why a process failed: its own last `program: …` line, else the signal or status."""
    if exit_code < 0:
        return f"ended by {signal.Signals(-exit_code).name}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("bench_")]
    return (own or lines or [f"exit status {exit_code}"])[-1]


def run_process(command: list[str], timeout_s: float, log: Path, padding_bytes: int = 0) -> Outcome:
    """Runs the command to its end; what it printed goes to the log, which stays only when it failed.

    `padding_bytes` is how much is added to the process's environment.
    """
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(log, "w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True, preexec_fn=_die_with_parent, cwd=ROOT,
                env={**os.environ, _PADDING: "x" * padding_bytes} if padding_bytes else None,
            )  # fmt: skip
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                _end(process)
                return Outcome(process.returncode, f"no end after {timeout_s:g} s", time.monotonic() - started)
            except BaseException:
                _end(process)
                raise
            output.seek(0)
            text = output.read()
    except OSError as error:
        return Outcome(ExitCode.USAGE, f"cannot be started ({error.strerror})", 0, _DISK_FULL in str(error))
    seconds = time.monotonic() - started
    if process.returncode == 0:
        log.unlink(missing_ok=True)
        return Outcome(0, "", seconds)
    return Outcome(process.returncode, message_of(text, process.returncode), seconds, _DISK_FULL in text)


def command_of(binary: Path, arguments: list[str], record: Path, launch: dict | None = None) -> list[str]:
    """The whole command line of a launch, as it is typed in the clone's folder: records name no other place."""
    words = [str(binary.absolute()), *arguments, "--record", str(record.absolute())]
    command = [word.removeprefix(f"{ROOT}/") for word in words]
    return command + (["--launch", json.dumps(launch)] if launch is not None else [])
