"""`lab selftest`: it passes on honest noise, and fails where the lab would call differences that are none, or miss one."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import fake_benchmark
import numpy as np
import pytest
from lab_process import PATIENCE_S, QUIET_LAB, ROOT, environment, lab
from scipy import stats

from page_map_lab import selftest_record
from page_map_lab.design import BY_BUDGET, BY_LAUNCHES, BY_WIDTH, PILOT_LAUNCHES
from page_map_lab.plan import EFFORTS, INTERVAL
from page_map_lab.selftest import Tally
from page_map_lab.selftest_live import Subject
from page_map_lab.selftest_noise import Pool, Run

BARS = ("comparisons", "false_verdicts", "planted", "planted_found", "not_enough_data")


def pool_of(between: float, within: float, launches: int = 100, bias: float = 0.0, launch_s: float = 0.1) -> Pool:
    """Noise that nobody recorded: two sides with the given standard deviations, and a bias of the twin."""
    generator = np.random.default_rng(1)
    sides = [
        np.array([10 * np.exp(shift + generator.normal(0, between) + generator.normal(0, within, 30)) for _ in range(launches)])
        for shift in (0, bias)
    ]
    return Pool("lookup simulated", *sides, launch_s=launch_s, repetition_s=0.01)


def noise_file(path: Path, between: float, within: float, launches: int = 100, bias: float = 0.0, **changes: Any) -> Path:
    """The same as a file."""
    pool = pool_of(between, within, launches, bias)
    cell = {
        "name": pool.name, "scores": pool.scores.tolist(), "twin_scores": pool.twin_scores.tolist(),
        "repetition_s": [pool.repetition_s] * launches,
    }  # fmt: skip
    about = {"noise_version": 2, "host": "simulated", "recorded": "", "launch_s": [pool.launch_s] * launches}
    path.write_text(json.dumps({**about, "cells": [cell], **changes}))
    return path


def selftest(*arguments: Any, **more: str) -> Any:
    return lab(Path("nowhere"), "selftest", *map(str, arguments), **more)


def test_honest_noise_passes_both_bars(tmp_path: Path) -> None:
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.015, 0.02), "--tries", "300", "--json")
    said = finished.json
    assert finished.code == 0 and said["holds"] and all(name in said for name in BARS)
    assert said["comparisons"] == said["planted"] == 300 and said["not_enough_data"] == 0
    assert said["planted_found"] >= 255 and said["launches_median"] > 8 and sum(said["stopped_by"].values()) == 300


def test_a_lab_that_calls_what_is_not_there_fails(tmp_path: Path) -> None:
    """A twin that is 3 % slower in every launch is a difference: recorded noise has none."""
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.004, 0.004, bias=0.03), "--tries", "40")
    assert finished.failed_with(1, "a bar does not hold") and "A BAR DOES NOT HOLD" in finished.out


def test_a_lab_that_finds_too_little_fails(tmp_path: Path) -> None:
    finished = selftest("--recorded", "--noise", noise_file(tmp_path / "a.json", 0.4, 0.1), "--tries", "40", "--json")
    assert finished.code == 1 and finished.json["planted_found"] < 32
    assert finished.json["false_verdicts"] <= finished.json["most_false_verdicts"]


@pytest.mark.parametrize(("form", "tries", "most"), [("recorded", 1000, 62), ("live", 100, 10)])
def test_the_bar_is_as_hard_at_any_number_of_tries(form: str, tries: int, most: int) -> None:
    """A lab that errs in 5 % of the tries fails with the same chance, as nearly as whole numbers allow."""

    def chance_of_failing(count: int) -> float:
        bar = Tally(form, comparisons=count).most_false
        return float(stats.binom.sf(bar, count, 0.05))

    assert Tally(form, comparisons=tries).most_false == most
    for count in (100, 400, 5000):
        assert chance_of_failing(count) == pytest.approx(chance_of_failing(tries), abs=0.03) and chance_of_failing(count) < 0.06


def test_a_try_makes_the_repetitions_that_the_design_chooses() -> None:
    """Noise within launches, which are dear, calls for many repetitions; noise between them for the fewest."""
    taken = {}
    for name, pool in (("within", pool_of(0.001, 0.05, launch_s=1.0)), ("between", pool_of(0.05, 0.001, launch_s=0.001))):
        run = Run.of(pool, list(range(100)), 4.0)
        sizes = [len(repetitions) for repetitions in run.of_each(pool.scores)]
        of_a_pilot = [EFFORTS["quick", INTERVAL].repetitions] * PILOT_LAUNCHES
        assert sizes[:PILOT_LAUNCHES] == of_a_pilot and set(sizes[8:]) <= {run.choice.repetitions} and len(sizes) == run.choice.launches
        taken[name] = run.choice.repetitions
    assert taken["within"] > 20 and taken["between"] == 3


def test_a_try_keeps_to_the_budget_of_quick() -> None:
    """A hundred launches of twenty seconds are more than ten minutes."""
    pool = pool_of(0.1, 0.01, launch_s=20.0)
    run = Run.of(pool, list(range(100)), 4.0)
    assert run.stopped_by == BY_BUDGET and 8 <= len(run.order) < 30
    assert Run.of(pool_of(0.1, 0.01), list(range(100)), 4.0).stopped_by == BY_LAUNCHES
    assert Run.of(pool_of(0.001, 0.001), list(range(100)), 4.0).stopped_by == BY_WIDTH


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


@pytest.mark.parametrize("changes", [{"noise_version": 1}, {"launch_s": []}, {"cells": [{"name": "x"}]}, {"cells": [{"name": "x", "scores": [[1]], "twin_scores": [[1]]}]}])
def test_a_damaged_file_of_noise_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = noise_file(tmp_path / "a.json", 0.01, 0.01, **changes)
    assert selftest("--recorded", "--noise", path).failed_with(2, "a.json")


RECORDED = sorted((ROOT / "results" / "noise").glob("*.json"))


def test_the_recorded_noise_of_real_machines_passes_both_bars() -> None:
    assert RECORDED, "no noise is committed in results/noise: `scripts/lab selftest --record --launches 200` on a quiet machine"
    finished = selftest("--recorded", "--tries", "400", "--json")
    assert finished.code == 0, finished.out
    assert max(path.stat().st_size for path in RECORDED) < 250_000


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of a fake binary."""
    return fake_benchmark.install(tmp_path / "bin", "lookup")


def test_live_tries_measure_until_the_planted_slowdown_can_be_found(folder: Path) -> None:
    finished = lab(folder, "selftest", "--tries", "3", "--seed", "3", "--json", FAKE_NOISE="0.012,0.01")
    said = finished.json
    assert said["form"] == "live" and said["comparisons"] == said["planted"] == 3 and said["planted_found"] >= 2
    assert 8 < said["launches_most"] <= 100 and sum(said["stopped_by"].values()) == 1  # one run of three cells
    assert lab(folder, "selftest", "--tries", "1", FAKE_LOOKUP="check").failed_with(5, "a page was lost")
    assert lab(folder, "selftest", "--tries", "1", FAKE_LOOKUP="crash").failed_with(2, "SIGSEGV")


def test_progress_is_shown_on_a_terminal_while_the_result_is_json(folder: Path) -> None:
    terminal, stderr = os.openpty()
    command = [*QUIET_LAB, "selftest", "--tries", "1", "--seed", "3", "--json"]
    quick = environment(folder, FAKE_NOISE="0.002,0.002")  # few launches, whose lines a terminal holds until they are read
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=quick, timeout=PATIENCE_S, check=False)
    os.close(stderr)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert json.loads(finished.stdout)["comparisons"] == 1
    assert "[1/1] live, launch 1 of a run" in shown and "launch 2 of a run" in shown


def test_what_is_recorded_can_be_drawn_from(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "noise")
    finished = lab(folder, "selftest", "--record", "--launches", "20", "--noise", out, "--seed", "1", FAKE_NOISE="0.002,0.002")
    assert finished.code == 0 and finished.out.strip().endswith("fake-00000000.json")
    kept = json.loads((tmp_path / "noise" / "fake-00000000.json").read_text())
    assert len(kept["cells"]) == 2 and len(kept["cells"][0]["scores"]) == 20 and len(kept["cells"][0]["scores"][0]) == 30
    assert len(kept["launch_s"]) == len(kept["cells"][1]["repetition_s"]) == 20 and len(list((tmp_path / "noise").iterdir())) == 1
    assert selftest("--recorded", "--noise", out, "--tries", "20").code == 0
    assert lab(folder, "selftest", "--record", "--launches", "3", "--noise", out).failed_with(2, "--launches 3")


def test_a_recording_that_is_cut_short_loses_nothing_and_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noise").mkdir()
    earlier = tmp_path / "noise" / "fake-00000000.json"
    earlier.write_text("an earlier recording")
    subject = Subject(folder / "bench_lookup", "layout:radix/read:rcu_qsbr", 3, 1, tmp_path)
    measure, asked = Subject.launch, []

    def interrupted(self: Subject, number: int, *more: Any) -> Any:
        if number == 6 and 6 not in asked:
            asked.append(number)
            raise KeyboardInterrupt
        asked.append(number)
        return measure(self, number, *more)

    monkeypatch.setattr(Subject, "launch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        selftest_record.record(subject, 16, tmp_path / "noise", True)
    kept = json.loads((tmp_path / "noise" / "fake-00000000.json.unfinished").read_text())
    assert len(kept["launch_s"]) == 5 and earlier.read_text() == "an earlier recording"
    assert selftest_record.record(subject, 16, tmp_path / "noise", True) == earlier
    whole = json.loads(earlier.read_text())
    assert whole["launch_s"][:5] == kept["launch_s"] and len(whole["launch_s"]) == 16
    assert asked == [*range(7), 0, *range(6, 17)] and list((tmp_path / "noise").iterdir()) == [earlier]
