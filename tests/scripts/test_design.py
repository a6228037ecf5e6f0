"""The design of a run: known noise gives the launches that theory owes it, and a designed run says what stopped it."""

import json
import math
from pathlib import Path

import fake_benchmark
import numpy as np
import pytest
import synthetic_records as synthetic
from lab_process import lab
from scipy import stats

from page_map_lab import design, hierarchical, records, run_noise
from page_map_lab.design import BY_BUDGET, BY_LAUNCHES, BY_WIDTH, CellNoise, Pilot
from page_map_lab.records import load_record
from page_map_lab.statistics import paired_ratio, unpaired_ratio


def pilot_of(between: float, within: float, **more: object) -> Pilot:
    """A pilot with one cell whose standard deviations are known, and whose launches cost ten repetitions."""
    noise = CellNoise("cell", between**2, within**2, 8)
    return Pilot("group", (noise,), **{"launch_s": 0.1, "repetition_s": 0.01, "pilot_repetitions": 3, **more})


@pytest.mark.parametrize(("between", "within"), [(0.03, 0.0), (0.0, 0.05), (0.02, 0.05)])
def test_the_components_of_simulated_noise_are_found(between: float, within: float) -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(150):
        launches = [generator.normal(0, between) + generator.normal(0, within, 9) for _ in range(12)]
        estimate = hierarchical.estimate(launches)
        found.append((estimate.between, estimate.within))
    seen_between, seen_within = np.mean(found, axis=0)
    median_of_nine = math.pi / 2 * within**2 / 9
    assert seen_between == pytest.approx(between**2, rel=0.25, abs=0.3 * median_of_nine)
    assert seen_within == pytest.approx(median_of_nine, rel=0.35, abs=1e-12)


def test_launches_are_the_fewest_whose_interval_is_narrow_enough() -> None:
    quiet, noisy = CellNoise("quiet", 0.001**2, 0.0, 8), CellNoise("noisy", 0.03**2, 0.0, 8)
    pilot = Pilot("group", (quiet, noisy), 0.1, 0.01, 3)
    for percent in (4.0, 6.0, 12.0):
        choice = design.choose(pilot, percent)
        target = design.half_width_of(percent)
        assert choice.noisiest == "noisy" and choice.width_percent <= percent
        assert choice.launches == 8 or design.half_width(pilot, noisy, choice.launches - 1, choice.repetitions) > target
        # Of so many launches with a known variance, the half width is Student's.
        student = stats.t.ppf(0.975, choice.launches - 1) * math.sqrt(noisy.variance(3) / choice.launches)
        assert design.half_width(pilot, noisy, choice.launches, choice.repetitions) == pytest.approx(student)
    assert design.choose(pilot, 0.01).launches == design.MOST_LAUNCHES


def test_a_pilot_of_few_repetitions_is_not_counted_as_one_of_many() -> None:
    """Noise within launches calls for many repetitions; the pilot did not have them, and further launches make up for it."""
    pilot = pilot_of(0.0, 0.3)
    (cell,) = pilot.cells
    many = design.best_repetitions(pilot)
    assert many == design.MOST_REPETITIONS
    assert design.half_width(pilot, cell, 8, many) > 2 * design.half_width(pilot, CellNoise("cell", 0, 0.3**2 * 3 / many, 8), 8, many)
    assert design.choose(pilot, 30).launches > 8


def test_repetitions_follow_costs_and_variances() -> None:
    assert design.best_repetitions(pilot_of(0.02, 0.04)) == math.ceil(math.sqrt(10 * 4))
    assert design.best_repetitions(pilot_of(0.05, 0.001)) == design.FEWEST_REPETITIONS
    assert design.best_repetitions(pilot_of(0.0, 0.05)) == design.MOST_REPETITIONS
    assert design.best_repetitions(pilot_of(0.02, 0.04, repetitions=4)) == 4


def test_what_stops_a_design_is_said() -> None:
    noisy = [pilot_of(0.03, 0.01)]
    free = design.design(noisy, 2.0)
    assert free.stopped_by == BY_WIDTH and free.choices[0].width_percent <= 2.0
    short = design.design(noisy, 2.0, seconds=free.seconds / 3)
    assert short.stopped_by == BY_BUDGET and short.seconds <= free.seconds / 3
    assert 8 < short.choices[0].launches < free.choices[0].launches and short.choices[0].width_percent > 2.0
    assert design.design(noisy, 2.0, launches=5).stopped_by == BY_LAUNCHES
    assert design.design(noisy, 0.01).stopped_by == BY_LAUNCHES  # no number of launches is enough
    nothing = design.design(noisy, 2.0, seconds=0)
    assert nothing.stopped_by == BY_BUDGET and nothing.choices[0].launches == 8 and nothing.seconds == 0
    assert design.design(noisy, None, seconds=10.0).seconds <= 10.0


def test_the_width_that_finds_a_difference_does_so_with_the_power_asked_for() -> None:
    """A thousand designed comparisons of 3 %, each with its own pilot; and the same without a difference."""
    generator = np.random.default_rng(2)
    width = design.width_to_find(3, 0.9)
    found = false = covered = 0
    for _ in range(400):
        launches = [generator.normal(0, 0.03) + generator.normal(0, 0.02, 3) for _ in range(8)]
        noise = CellNoise.of("cell", hierarchical.estimate(launches), 3)
        choice = design.choose(Pilot("group", (noise,), 0.0, 0.0, 3, 3), width)
        launches += [generator.normal(0, 0.03) + generator.normal(0, 0.02, 3) for _ in range(8, choice.launches)]
        slowed, same = (paired_ratio([factor * np.exp(each) for each in launches]) for factor in (1.03, 1.0))
        found += slowed.low > 1
        false += not same.low <= 1 <= same.high
        covered += slowed.low <= 1.03 <= slowed.high
    assert found / 400 >= 0.87
    assert false <= stats.binom.ppf(0.999, 400, 0.05)
    assert covered / 400 >= 0.93


def test_two_runs_that_were_designed_apart_differ_no_more_often_than_they_may() -> None:
    """Each is as long as its own pilot calls for, and a pilot without one of the slow launches calls for few."""
    generator = np.random.default_rng(4)
    width = design.width_to_find(3, 0.9)

    def run() -> list[list[float]]:
        launches = [[float(score)] for score in np.exp(0.04 * generator.exponential(1, 100))]
        noise = CellNoise.of("cell", hierarchical.estimate(np.log(launches[: design.PILOT_LAUNCHES])), 1)
        return launches[: design.choose(Pilot("group", (noise,), 0.0, 0.0, 1, 1), width).launches]

    found = [unpaired_ratio(run(), run(), "lower_is_better") for _ in range(400)]
    assert sum(not each.low <= 1 <= each.high for each in found) / 400 <= 0.062
    assert sum(each.contender_launches != each.base_launches for each in found) > 300


SMALL = ("--workload", "lookup", "--variant", "layout:radix/read:*", "--threads", "1", "--pattern", "uniform", "--seed", "5")


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path_factory.mktemp("fake"), "lookup")


def test_a_designed_run_takes_a_pilot_and_then_what_its_noise_calls_for(folder: Path, tmp_path: Path) -> None:
    # Launches of as many repetitions as the pilot's: otherwise the time that they take decides, and with it which noise is met.
    arguments = ("run", *SMALL, "--target-width", "10", "--repetitions", "3", "--json")
    finished = lab(folder, *arguments, "--out", str(tmp_path / "a"), FAKE_NOISE="0.03,0.01")
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert finished.code == 0 and "after a pilot of 8 launches, the target width decides" in finished.err
    (choice,) = plan["design"]["choices"]
    assert 8 < choice["launches"] == len(plan["launches"]) == finished.json["finished"] < 100
    about = finished.json["design"]
    assert about["stopped_by"] == BY_WIDTH and 0 < about["groups"][0]["width_percent"] <= 10
    after = [launch for launch in plan["launches"] if launch["block"] > 8]
    assert all(words[words.index("--repetitions") + 1] == str(choice["repetitions"]) for words in (x["arguments"] for x in after))
    assert len({launch["seed"] for launch in plan["launches"]}) == len(plan["launches"])
    records = [load_record(path) for path in sorted((tmp_path / "a").glob("[0-9]*.json"))]
    layouts = {tuple(record.launch["layout"].values()) for record in records}
    assert len(layouts) == len(records) and all(record.launch["seconds"] > 0 for record in records)


def test_sets_of_counters_go_on_taking_turns_after_the_pilot(folder: Path, tmp_path: Path) -> None:
    arguments = ("run", *SMALL, "--target-width", "14", "--repetitions", "3", "--counters", "tlb,cache,cycles", "--quiet", "--out", str(tmp_path / "a"))
    assert lab(folder, *arguments, FAKE_NOISE="0.03,0.01").code == 0
    launches = json.loads((tmp_path / "a" / "plan.json").read_text())["launches"]
    sets = [launch["arguments"][launch["arguments"].index("--counters") + 1] for launch in launches]
    assert len(sets) > 11 and sets[:-3] == sets[3:] and set(sets) == {"tlb", "cache", "cycles"}


def test_a_budget_stops_a_run_that_would_take_longer(folder: Path, tmp_path: Path) -> None:
    arguments = ("run", *SMALL, "--target-width", "0.5", "--budget", "0.001", "--out", str(tmp_path / "a"))
    finished = lab(folder, *arguments, FAKE_NOISE="0.03,0.01")
    assert finished.code == 0 and "stopped by the budget" in finished.out and len(list((tmp_path / "a").glob("[0-9]*.json"))) == 8


def test_waiting_for_a_launch_that_hangs_uses_up_the_budget(folder: Path, tmp_path: Path) -> None:
    """Three seconds of budget, of which the first launch that hangs takes four; what is measured takes a tenth of a second each."""
    fake_benchmark.install(folder, "remove")
    run = tmp_path / "a"
    arguments = ("--workload", "lookup,remove", "--variant", "layout:radix/read:*", "--threads", "1", "--seed", "5", "--timeout", "4")
    finished = lab(folder, "run", *arguments, "--target-width", "0.1", "--budget", "0.05", "--out", str(run), FAKE_LOOKUP="hang", FAKE_NOISE="0.03,0.01")
    plan = json.loads((run / "plan.json").read_text())
    assert finished.code == 5 and finished.err.count("no end after 4 s") == 1 and plan["seconds_used"] >= 4
    assert plan["design"]["stopped_by"] == BY_BUDGET and len(list(run.glob("[0-9]*.json"))) == 8


def test_the_width_is_that_of_ratios_to_the_base_of_a_report() -> None:
    """The variant that comes first in the record is so noisy that every ratio to it is; those to the base are quiet."""
    generator = np.random.default_rng(1)
    base, first, other = "layout:radix/read:rcu_qsbr", "layout:flat/read:rcu_qsbr", "layout:radix/read:spinlock"

    def estimates(*variants: str) -> dict[str, float]:
        files = []
        for index in range(8):
            launch = np.exp(generator.normal(0, 0.3))
            costs = {name: launch * (np.exp(generator.normal(0, 0.5)) if name == first else 1.0) for name in variants}
            cells = [synthetic.cell("lookup", name, {"threads": 1}, [100 * cost, 100.1 * cost]) for name, cost in costs.items()]
            files.append(records._build(Path(f"{index}.json"), synthetic.record(cells, index), plain=False))
        return {name.split("/threads")[0].removeprefix("lookup/"): found.between for name, found in run_noise.estimates(files).items()}

    found = estimates(first, base, other)
    assert set(found) == {first, other} and found[other] < 1e-6 < found[first]
    assert set(estimates(first, other)) == {other}  # without the base, the first one
    assert set(estimates(base)) == {base}


def test_a_run_that_is_cut_short_after_its_pilot_goes_on_as_designed(folder: Path, tmp_path: Path) -> None:
    arguments = ("run", *SMALL, "--target-width", "15", "--repetitions", "3", "--quiet", "--out", str(tmp_path / "a"))
    assert lab(folder, *arguments, FAKE_NOISE="0.03,0.01").code == 0
    whole = json.loads((tmp_path / "a" / "plan.json").read_text())
    for launch in whole["launches"][5:]:
        next((tmp_path / "a").glob(f"{launch['index']:04d}-*.json")).unlink()
    (tmp_path / "a" / "plan.json").write_text(json.dumps({**whole, "launches": whole["launches"][:8], "design": None}))
    assert lab(folder, "run", "--resume", "--out", str(tmp_path / "a"), FAKE_NOISE="0.03,0.01").code == 0
    again = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert again["launches"][:8] == whole["launches"][:8] and len(again["launches"]) == len(whole["launches"]) > 8
    assert again["design"]["stopped_by"] == BY_WIDTH


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target-width", "0"), "--target-width"),
        (("--budget", "-1"), "--budget"),
        (("--launches", "5", "--budget", "1"), "--launches fixes"),
    ],
)
def test_bad_arguments_are_refused(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert lab(folder, "run", *arguments).failed_with(2, words)
