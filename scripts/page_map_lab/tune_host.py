"""`lab tune-host -- COMMAND`: mends what can be mended for the time of a command, and restores and verifies on every exit."""

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from page_map_lab import host_settings, host_snapshot
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.host_settings import LEFT_ALONE, TuningPlan
from page_map_lab.host_snapshot import Snapshot, StateFolder, Written

# What ends a process by default and can be waited for; SIGKILL cannot, and is what the snapshot is for.
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM}
PATIENCE_S = 10  # for a command to end once it was told to
_FROM_KERNEL = 0x80  # si_code of a Ctrl-C: the terminal has told the command, too
_PR_SET_PDEATHSIG = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab tune-host`."""
    parser.usage = "lab tune-host [--cpus LIST] -- COMMAND [ARGUMENT]... | --status | --restore"
    parser.add_argument("--cpus", metavar="LIST", help="the measured processors, such as 2-7: device interrupts are kept from them")
    parser.add_argument("--status", action="store_true", help="say what is tuned now, what would be changed, and what is left alone")
    parser.add_argument("--restore", action="store_true", help="restore what a killed tune-host left behind")
    parser.add_argument("--root", type=Path, default=Path("/"), help="change /proc and /sys below here (default: /)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run tuned")


def processors(text: str | None) -> list[int]:
    """The processors of a list."""
    if text is None:
        return []
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise UsageError(f'--cpus "{text}" is no list of processors: write it as 2,3 or 2-7')
    ends = [part.partition("-") for part in text.split(",")]
    return sorted({cpu for low, _, high in ends for cpu in range(int(low), int(high or low) + 1)})


def grouped(settings: list[Written]) -> list[str]:
    """One line for each setting, many files of one kind together; a file that did not take is named."""
    groups: dict[tuple[str, str | None, str, str], list[str]] = {}
    for setting in settings:
        groups.setdefault((setting.name, setting.before, setting.wanted, setting.why), []).append(setting.path)
    lines = []
    for (name, before, wanted, why), files in groups.items():
        count = f" ({len(files)} files)" if len(files) > 1 else ""
        lines.append(f"{name}: {before} -> {wanted}{count}" + (f" not taken: {', '.join(files)}: {why}" if why else ""))
    return lines


def say(line: str, quiet: bool = False) -> None:
    """A line for people; stdout is the command's."""
    if not quiet:
        sys.stderr.write(f"lab tune-host: {line}\n")


def _prepare_child(mask: set[signal.Signals]) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # Killed with SIGKILL, we can tell nobody; the command must not measure on, on settings that the next call restores.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return prepare


def wait_for(child: subprocess.Popen) -> bool:
    """Waits for the command, handing on what we are told; True when we were told to end."""
    told = False
    while child.poll() is None:
        awaited = {signal.SIGCHLD, *ENDING}
        info = signal.sigtimedwait(awaited, PATIENCE_S) if told else signal.sigwaitinfo(awaited)
        if info is None:
            child.kill()
        elif info.si_signo != signal.SIGCHLD:
            told = True
            if info.si_code != _FROM_KERNEL:
                child.send_signal(info.si_signo)
    return told


def run_command(command: list[str], mask: set[signal.Signals], stdout_is_ours: bool) -> int:
    """Runs the command to its end; the exit code it stands for."""
    out = sys.stderr if stdout_is_ours else None
    try:
        child = subprocess.Popen(command, stdout=out, preexec_fn=_prepare_child(mask))
    except OSError as error:
        raise UsageError(f"{command[0]}: cannot be started ({error.strerror}): check its name and PATH") from error
    told = wait_for(child)
    if told:
        return ExitCode.INTERRUPTED
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def tuned(plan: TuningPlan, state: StateFolder, namespace: argparse.Namespace, command: list[str]) -> tuple[int, dict[str, Any]]:
    """Applies the plan, runs the command, restores and verifies. Hold the lock.

    The ending signals are blocked throughout and waited for beside the command's end, so that none of them can come
    between a change and its restoration.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *ENDING})
    snapshot = Snapshot.take(namespace.root, command, plan.changes)
    applied: list[Written] = []
    code = int(ExitCode.INTERRUPTED)
    try:
        state.save(snapshot)
        for change in plan.changes:
            if signal.sigpending() & ENDING:
                break
            applied.append(host_snapshot.write(namespace.root, change.name, change.path, change.wanted))
        for line in grouped(applied):
            say(line, namespace.quiet)
        if not signal.sigpending() & ENDING:
            code = run_command(command, mask, namespace.json)
    finally:
        given_back = state.restore(snapshot)
        while signal.sigtimedwait(ENDING, 0):
            pass  # told to end: that is what we do
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    failed = [setting for setting in given_back if not setting.took]
    if failed:
        code = int(ExitCode.NOISE_GATE)
        for line in grouped(failed):
            say(f"cannot restore: {line}")
        count = f"{len(failed)} of {len(given_back)} settings"
        say(f"{count} are not as they were: {state.path} keeps them; `lab tune-host --restore` tries again")
    else:
        say(f"restored and verified {len(given_back)} settings", namespace.quiet)
    result = {
        "applied": [asdict(setting) for setting in applied],
        "restored": [asdict(setting) for setting in given_back],
        "verified": not failed,
        "exit_code": code,
    }
    return code, result


def describe(plan: TuningPlan, namespace: argparse.Namespace, active: Snapshot | None) -> None:
    """What is tuned, and what would be."""
    if namespace.json:
        said = {
            "active": asdict(active) if active else None,
            "changes": [asdict(change) for change in plan.changes],
            "remarks": [asdict(remark) for remark in plan.remarks],
            "left_alone": LEFT_ALONE,
        }
        print(json.dumps(said, indent=1))
        return
    if namespace.status:
        print(f"tuned by pid {active.pid} since {active.created}: {' '.join(active.command)}" if active else "nothing is tuned")
    for change in plan.changes:
        print(f"would change  {change.name}: {change.before} -> {change.wanted}  ({change.path})")
    for remark in plan.remarks:
        print(f"no change     {remark.name}: {remark.found}")
    for name, why in LEFT_ALONE.items():
        print(f"left alone    {name}: {why}")


def restore(namespace: argparse.Namespace) -> int:
    """Restores what was left behind; refuses while a tune-host is at work."""
    for folder in host_snapshot.state_folders():
        refuse_active(StateFolder(folder))
    found = host_snapshot.recover()
    if namespace.json:
        given_back = [asdict(setting) for recovery in found for setting in recovery.given_back]
        print(json.dumps({"restored": given_back, "verified": all(recovery.ok for recovery in found)}, indent=1))
    for recovery in found:
        say(recovery.line, namespace.quiet and recovery.ok)
    if not found:
        say("nothing to restore", namespace.quiet)
    return ExitCode.OK if all(recovery.ok for recovery in found) else ExitCode.NOISE_GATE


def active_snapshot(state: StateFolder) -> Snapshot | None:
    """The snapshot of a tune-host that is at work."""
    if not state.has_snapshot():
        return None
    with state.locked(create=False) as free:
        return None if free else state.load()


def refuse_active(state: StateFolder) -> None:
    """Refuses to disturb another tune-host."""
    if active := active_snapshot(state):
        command = " ".join(active.command)
        raise UsageError(f"another tune-host is at work (pid {active.pid}: {command}): wait for its end, or end it with kill {active.pid}")


def run(namespace: argparse.Namespace) -> int:
    """Runs the command tuned, or says how things stand."""
    command = namespace.command[1:] if namespace.command[:1] == ["--"] else namespace.command
    measured = processors(namespace.cpus)
    if not namespace.root.is_dir():
        raise UsageError(f"{namespace.root}: not a folder: name one that holds a copy of /proc and /sys")
    if bool(command) + namespace.status + namespace.restore > 1:
        raise UsageError("a COMMAND, --status or --restore: give one of them")
    if namespace.restore and not namespace.dry_run:
        return restore(namespace)
    for recovery in host_snapshot.recover():
        say(recovery.line)
    state = StateFolder(host_snapshot.state_folders()[0])
    if namespace.status or namespace.dry_run:
        describe(host_settings.make_plan(namespace.root, measured), namespace, active_snapshot(state))
        return ExitCode.OK
    if not command:
        raise UsageError("nothing to run: put a command after --, for example `lab tune-host -- scripts/lab run`")
    if shutil.which(command[0]) is None:
        raise UsageError(f"{command[0]}: the command is not there or not executable: check its name and PATH")
    if namespace.root == Path("/") and os.geteuid() != 0:
        raise UsageError("the settings of a machine need root: sudo scripts/lab tune-host -- COMMAND")
    with state.locked(create=True) as free:
        if not free:
            refuse_active(state)
            raise UsageError("another tune-host is at work: wait for its end")
        left = state.load()
        if left is not None:
            raise UsageError(f"an earlier tune-host left settings that cannot be restored: mend those in {state.path}, then --restore")
        code, result = tuned(host_settings.make_plan(namespace.root, measured), state, namespace, command)
    if namespace.json:
        print(json.dumps(result, indent=1))
    return code
