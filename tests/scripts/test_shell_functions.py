"""Functions of the parts of scripts/test.sh that judge what was said: made-up words, and what they make of them."""

import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

PARTS = Path(__file__).resolve().parents[2] / "scripts" / "test"


def function_of(part: str, name: str) -> str:
    """The text of a function of a part."""
    lines = iter((PARTS / f"{part}.sh").read_text(encoding="utf-8").splitlines())
    first = next(line for line in lines if line.startswith(f"{name}() {{"))
    rest = [] if "}" in first else [*takewhile(lambda line: line != "}", lines), "}"]
    return "\n".join([first, *rest])


def call(part: str, functions: tuple[str, ...], command: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where these functions of a part are known; nothing else of the part is run."""
    script = "\n".join([*(function_of(part, name) for name in functions), command])
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


STALE = "violation: core 1 writes to page 0 through a translation that is stale: its memory was freed"
LEAK = "violation: the memory of page 1 leaks"
CHECK = "violation: a check of the page map failed (above)"


@pytest.mark.parametrize(
    ("said", "said_again", "found", "complaint"),
    [
        (STALE, STALE, True, ""),
        (LEAK, LEAK, False, "breaks another rule than the one expected, 'that is stale'"),
        (STALE, LEAK, False, "does not replay"),
        ("nothing", "nothing", False, "is not found in 9 schedules"),
        (f"a.hpp:1: check failed: what is free that is stale\n{CHECK}", "", False, "does not replay"),
        (f"a.hpp:1: check failed: that is stale\n{CHECK}", f"a.hpp:1: check failed: that is stale\n{CHECK}", True, ""),
        (f"a.hpp:1: check failed: that is stale\n{CHECK}", f"b.hpp:1: check failed: another\n{CHECK}", False, "does not replay"),
    ],
    ids=["found", "another", "replays_another", "nothing", "replays_nothing", "check", "replays_another_check"],
)
def test_a_mutant_is_found_by_the_violation_it_expects(tmp_path: Path, said: str, said_again: str, found: bool, complaint: str) -> None:
    (tmp_path / "made_up.mutant").write_text("Is broken.\n\nscenario: any\nschedules: 9\nexpect: that is stale\n", encoding="utf-8")
    program = tmp_path / "explorer_mutant_made_up"
    program.write_text(
        f"#!/bin/bash\n[[ \"$*\" == *--replay* ]] && said='{said_again}' || said='{said}'\n"
        'printf "%s\\n  replay: --scenario any --replay choices:\\n" "$said"\n[ "$said" = nothing ]\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    functions = ("field", "wrong_in", "is_found", "search")
    finished = call("explorer", functions, f"folder={tmp_path} seed=1\nsearch {tmp_path}/made_up.mutant")
    assert finished.stdout == ("made_up\n" if found else "")
    assert complaint in finished.stderr and bool(finished.stderr) == bool(complaint)


def log_of_the_guest(kills: int = 4, stale: int = 0, code: int = 0) -> str:
    """What the large guest says, with so many kills of worker processes on each read path."""
    lines = ["placement: cpus 8, nodes 4, plans 32 of 32, policies 12 of 12"]
    for path in ("spinlock", "rcu_memb", "rcu_qsbr", "rcu_mb", "rcu_bp"):
        lines += [
            f"{path}: of the kills, in a fault {kills // 2}, in a write 0, in a shootdown {kills - kills // 2}",
            f"{path}: seconds 60, operations 200012, evictions 9, kills {kills}, stale {stale}, lost 0, leaked 0",
            f"{path}: exit {code}",
        ]
    return "\r\n".join([*lines, "guest: ended", ""])


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (log_of_the_guest(), "kills 20 (in a fault 10, in a write 0, in a shootdown 10), plans 32 of 32, policies 12 of 12, stale 0, lost 0\n"),
        (log_of_the_guest(kills=0), "guest: no worker process was killed\n"),
        (log_of_the_guest(stale=1), "stale 5"),
        (log_of_the_guest(code=1), "kills 20"),
        (log_of_the_guest().replace("guest: ended", ""), "guest: it did not come to its end\n"),
    ],
    ids=["sound", "no_kill", "stale", "exit_code", "cut_short"],
)
def test_the_guest_is_judged_by_all_that_it_said(tmp_path: Path, log: str, said: str) -> None:
    (tmp_path / "stress.log").write_text(log, encoding="utf-8")
    finished = call("guest", ("judge",), f"folder={tmp_path} operations=200000\njudge")
    assert said in finished.stdout
    assert finished.returncode == (0 if log == log_of_the_guest() else 1)
    assert "operations 200012 per read path" in finished.stdout and not finished.stderr
