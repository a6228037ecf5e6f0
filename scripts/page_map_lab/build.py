"""Builds the benchmark binaries with the bench preset, the only one that may produce numbers."""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from page_map_lab import calibration, paths
from page_map_lab.cli_errors import LabError, UsageError

PRESET = "bench"


def benchmark_targets() -> list[str]:
    """The names of the benchmark binaries, one for each bench_<workload>.cpp."""
    return sorted(source.stem for source in (paths.ROOT / "bench").glob("bench_*.cpp"))


def policy_files() -> dict[str, set[str]]:
    """Each axis, and the names of the files in its folder: a policy's file is called as the policy is."""
    folders = [folder for folder in (paths.ROOT / "variants").glob("*") if folder.is_dir()]
    return {folder.name.removesuffix("_path"): {header.stem for header in folder.glob("*.hpp")} for folder in folders}


def commands() -> list[list[str]]:
    """The commands that build the benchmark binaries, and what the gate measures with."""
    return [
        ["cmake", "--preset", PRESET],
        ["cmake", "--build", "--preset", PRESET, "--parallel", str(os.cpu_count() or 1), "--target", *benchmark_targets(),
         calibration.PROGRAM],
    ]  # fmt: skip


def is_built() -> bool:
    """Whether every benchmark binary is there (it may still be older than its sources)."""
    folder = paths.binaries_folder()
    if paths.binaries_override():
        return any(folder.glob("bench_*"))
    targets = benchmark_targets()
    return bool(targets) and all((folder / target).exists() for target in targets)


def preset_of(folder: Path) -> str | None:
    """The preset that configured the build this folder of binaries belongs to; None when nothing says."""
    for parent in (folder, folder.parent):
        cache = parent / "CMakeCache.txt"
        if cache.is_file():
            found = re.search(r"^PAGE_MAP_LAB_PRESET:\w+=(.*)$", cache.read_text(errors="replace"), re.MULTILINE)
            return found.group(1) if found else "none"
    return None


def first_error(log: str) -> str:
    """The first line of a build log that says what went wrong, as compilers, CMake and Ninja begin one; without any, the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if re.search(r"\berror(:| at )", line, re.IGNORECASE)), lines[-1] if lines else "")


def ensure_built(quiet: bool = False) -> Path:
    """Brings the bench build up to date, and returns the folder of its binaries."""
    if override := paths.binaries_override():
        if not any(override.glob("bench_*")):
            raise UsageError(f"PAGE_MAP_LAB_BINARIES={override} holds no bench_* program: name a folder that does")
        return override
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        if is_built():
            return paths.binaries_folder()
        raise UsageError("cmake and ninja are needed to build: scripts/run.sh installs what is missing")
    if not is_built() and not quiet:
        sys.stderr.write("building the benchmarks first (preset bench; some minutes)\n")
    paths.BUILD.mkdir(parents=True, exist_ok=True)
    log_path = paths.BUILD / "lab-build.log"
    with open(paths.BUILD / ".lab-lock", "w", encoding="utf-8") as lock, open(log_path, "w+", encoding="utf-8") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in commands():
            finished = subprocess.run(command, cwd=paths.ROOT, stdout=log, stderr=subprocess.STDOUT, check=False)
            if finished.returncode:
                message = first_error(log_path.read_text(encoding="utf-8", errors="replace"))
                raise LabError(f"the bench preset does not build ({message}): see {paths.shown(log_path)}")
    if not is_built():
        raise LabError(f"the build made no benchmark binaries in {paths.binaries_folder()}: is bench/ complete?")
    return paths.binaries_folder()


def binaries_for(dry_run: bool, quiet: bool) -> Path | None:
    """The folder of the binaries, brought up to date; for a dry run as they are, and where they are missing None, once it said so."""
    if not dry_run or paths.binaries_override():
        return ensure_built(quiet)
    if is_built():
        return paths.binaries_folder()
    for command in commands():
        print("would run: " + shlex.join(command))
    return None
