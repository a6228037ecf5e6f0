"""`lab selftest`: it passes on honest noise, and fails where the lab would call differences that are none, or miss one."""

import json
from pathlib import Path
from typing import Any

import fake_benchmark
import numpy as np
import pytest
from lab_process import ROOT, lab

BARS = ("comparisons", "false_verdicts", "planted", "planted_found", "not_enough_data")


def noise_file(path: Path, between: float, within: float, launches: int = 100, bias: float = 0.0, **changes: Any) -> Path:
    """Recorded noise that nobody recorded: two sides with the given standard deviations, and a bias of the twin."""
    generator = np.random.default_rng(1)
    sides = [
        [list(10 * np.exp(shift + generator.normal(0, between) + generator.normal(0, within, 5))) for _ in range(launches)]
        for shift in (0, bias)
    ]
    cell = {"name": "lookup simulated", "scores": sides[0], "twin_scores": sides[1]}
    path.write_text(json.dumps({"noise_version": 1, "host": "simulated", "recorded": "", "cells": [cell], **changes}))
    return path


def selftest(*arguments: Any, **more: str) -> Any:
    return lab(Path("nowhere"), "selftest", *map(str, arguments), **more)


def test_honest_noise_passes_both_bars(tmp_path: Path) -> None:
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.015, 0.02), "--tries", "300", "--json")
    said = finished.json
    assert finished.code == 0 and said["holds"] and all(name in said for name in BARS)
    assert said["comparisons"] == said["planted"] == 300 and said["not_enough_data"] == 0
    assert said["false_verdicts"] <= 18 and said["planted_found"] >= 255 and said["launches_median"] > 8


def test_a_lab_that_calls_what_is_not_there_fails(tmp_path: Path) -> None:
    """A twin that is 3 % slower in every launch is a difference: recorded noise has none."""
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.004, 0.004, bias=0.03), "--tries", "40")
    assert finished.failed_with(1, "a bar does not hold") and "A BAR DOES NOT HOLD" in finished.out


def test_a_lab_that_finds_too_little_fails(tmp_path: Path) -> None:
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.4, 0.1), "--tries", "40", "--json")
    assert finished.code == 1 and finished.json["planted_found"] < 32 and finished.json["false_verdicts"] <= 2


def test_the_same_seed_gives_the_same_tally(tmp_path: Path) -> None:
    path = noise_file(tmp_path / "a.json", 0.03, 0.03)
    first, again = (selftest("--recorded", "--noise", path, "--tries", "30", "--json").json for _ in range(2))
    assert {**first, "seconds": 0} == {**again, "seconds": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recorded", "--noise", "/nowhere"), "no recorded noise"),
        (("--recorded", "--tries", "0"), "--tries"),
        (("--recorded", "--record"), "not allowed with"),
        (("--seed", "-1"), "--seed"),
        (("--waive", "weather"), "weather"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    assert selftest(*arguments).failed_with(2, words)


@pytest.mark.parametrize("changes", [{"noise_version": 2}, {"cells": [{"name": "x"}]}, {"cells": [{"name": "x", "scores": [[1]], "twin_scores": [[1]]}]}])
def test_a_damaged_file_of_noise_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = noise_file(tmp_path / "a.json", 0.01, 0.01, **changes)
    assert selftest("--recorded", "--noise", path).failed_with(2, "a.json")


RECORDED = sorted((ROOT / "results" / "noise").glob("*.json"))


@pytest.mark.skipif(not RECORDED, reason="no noise is recorded yet: `scripts/lab selftest --record`")
def test_the_recorded_noise_of_real_machines_passes_both_bars() -> None:
    finished = selftest("--recorded", "--tries", "400", "--json")
    assert finished.code == 0, finished.out
    assert max(path.stat().st_size for path in RECORDED) < 100_000


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of a fake binary."""
    return fake_benchmark.install(tmp_path / "bin", "lookup")


def test_live_tries_measure_until_the_planted_slowdown_can_be_found(folder: Path) -> None:
    finished = lab(folder, "selftest", "--tries", "3", "--seed", "3", "--json", FAKE_NOISE="0.012,0.01")
    said = finished.json
    assert said["form"] == "live" and said["comparisons"] == said["planted"] == 3 and said["planted_found"] >= 2
    assert 8 < said["launches_most"] <= 100
    assert lab(folder, "selftest", "--tries", "1", FAKE_LOOKUP="check").failed_with(5, "a page was lost")
    assert lab(folder, "selftest", "--tries", "1", FAKE_LOOKUP="crash").failed_with(2, "SIGSEGV")


def test_what_is_recorded_can_be_drawn_from(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "noise")
    finished = lab(folder, "selftest", "--record", "--launches", "20", "--noise", out, "--seed", "1", FAKE_NOISE="0.002,0.002")
    assert finished.code == 0 and finished.out.strip().endswith("fake-00000000.json")
    kept = json.loads((tmp_path / "noise" / "fake-00000000.json").read_text())
    assert len(kept["cells"]) == 2 and len(kept["cells"][0]["scores"]) == 20 and len(kept["cells"][0]["scores"][0]) == 5
    assert selftest("--recorded", "--noise", out, "--tries", "20").code == 0
    assert lab(folder, "selftest", "--record", "--launches", "3", "--noise", out).failed_with(2, "--launches 3")
