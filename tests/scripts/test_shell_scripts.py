"""scripts/test.sh, install.sh and .ci/run: their arguments, without running what they run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = (ROOT / "scripts" / "run.sh", ROOT / "scripts" / "test.sh", ROOT / "scripts" / "install.sh", ROOT / ".ci" / "run")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_run_and_parsed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize("arguments", [("--only", "nonsense"), ("--frobnicate",), ("--only=",), ("--only",)])
def test_test_sh_refuses_unknown_parts(arguments: tuple[str, ...]) -> None:
    finished = subprocess.run([SCRIPTS[1], *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2 and finished.stderr.count("\n") == 1 and "unit" in finished.stderr


def test_install_sh_refuses_unknown_sets() -> None:
    finished = subprocess.run([SCRIPTS[2], "nonsense"], capture_output=True, text=True, check=False)
    assert finished.returncode == 2 and finished.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("said", "code", "printed", "reported"),
    [
        ("usage: lab run", 0, "usage: lab run\n", False),
        ("", 2, "", False),
        ("1 of 1 launches\nmeasured", 0, "the report\n", True),
        ("1 of 1 launches\nmeasured", 5, "the report\n", True),
    ],
)
def test_run_sh_reports_what_was_measured_and_says_what_was_not(
    tmp_path: Path, said: str, code: int, printed: str, reported: bool
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (tmp_path / "measured").mkdir()
    shutil.copy(SCRIPTS[0], scripts)
    lab = f"case $1 in run) printf '%s' '{said}'; exit {code};; report) echo the report; touch reported;; esac"
    for name, body in (("install.sh", ""), ("lab", lab)):
        (scripts / name).write_text(f"#!/bin/bash\n{body}\n")
        (scripts / name).chmod(0o755)
    finished = subprocess.run([scripts / "run.sh", "--anything"], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (code, printed)
    assert (tmp_path / "reported").exists() == reported


def test_every_unit_test_is_run_by_a_part() -> None:
    lists = (ROOT / "tests" / "CMakeLists.txt").read_text()
    built = {folder.replace("/", "_") for folder in re.search(r"foreach\(folder IN ITEMS (.*)\)", lists)[1].split()}
    calls = [line for part in (ROOT / "scripts" / "test").glob("*.sh") for line in part.read_text().splitlines()]
    calls = [line for line in calls if re.match(r"unit_tests \S", line)]
    run = subprocess.run(["bash", "-c", f"echo {' '.join(calls)}"], capture_output=True, text=True, check=True).stdout.split()
    assert len(calls) == 3
    assert built | {"bench_harness_threads", "bench"} == set(run) - {"unit_tests", "dev", "asan-ubsan", "tsan"}


def test_continuous_integration_runs_the_tests_and_nothing_else() -> None:
    lines = [line for line in SCRIPTS[3].read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == 1 and re.search(r"/scripts/test\.sh\"?$", lines[0])
