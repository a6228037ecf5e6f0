"""Which launches a run is made of, and in which order."""

from dataclasses import replace
from pathlib import Path

import fake_benchmark
import pytest

from page_map_lab import binaries, plan, run_request
from page_map_lab.cli_errors import UsageError
from page_map_lab.machine import Machine
from page_map_lab.plan import COVERAGE, INTERVAL, PLACED, Request, make_launches


@pytest.fixture(name="workloads")
def fixture_workloads(tmp_path: Path) -> list[binaries.Workload]:
    """Two fake workloads."""
    folder = fake_benchmark.install(tmp_path / "bin", "lookup", "remove")
    return list(binaries.describe_all(folder).values())


def test_every_variant_of_every_workload_is_covered_once(workloads: list[binaries.Workload]) -> None:
    launches = [launch for launch in make_launches(Request(seed=1), workloads) if launch.kind == COVERAGE]
    for workload in workloads:
        covered = [name for launch in launches if launch.workload == workload.name for name in launch.variants]
        assert sorted(covered) == sorted([*workload.variants, *workload.floors])


def test_the_base_is_measured_beside_what_has_a_single_repetition(workloads: list[binaries.Workload]) -> None:
    bases = {workload.name: workload.base() for workload in workloads}
    for launch in make_launches(Request(seed=1), workloads):
        at = launch.arguments.index("--repetitions")
        single = launch.arguments[at + 1] == "1"
        assert single == (launch.kind == COVERAGE)
        assert launch.arguments.count("--beside") == single
        assert not single or launch.arguments[launch.arguments.index("--beside") + 1] == bases[launch.workload]


def test_the_base_its_steps_and_the_floors_get_eight_launches(workloads: list[binaries.Workload]) -> None:
    launches = [launch for launch in make_launches(Request(seed=1), workloads) if launch.kind == INTERVAL]
    for workload in workloads:
        mine = [launch for launch in launches if launch.workload == workload.name]
        assert sorted(launch.block for launch in mine) == [*range(1, 9)]
        for launch in mine:
            assert set(launch.variants) == {workload.base(), *workload.steps(), *workload.floors}


def test_the_seed_decides_the_order_and_blocks_stay_together(workloads: list[binaries.Workload]) -> None:
    first, again, other = (make_launches(Request(seed=seed, launches=20), workloads) for seed in (1, 1, 2))
    assert first == again
    assert [launch.workload for launch in first] != [launch.workload for launch in other]
    assert [launch.block for launch in first] == sorted(launch.block for launch in first)
    assert len({launch.seed for launch in first}) == len(first)
    assert len({tuple(launch.workload for launch in first if launch.block == block) for block in range(1, 21)}) > 1


def test_named_variants_are_all_measured_in_every_launch(workloads: list[binaries.Workload]) -> None:
    request = Request(variants=["layout:radix/read:*", "floor:array"], launches=2)
    launches = make_launches(request, workloads)
    lookups = [launch for launch in launches if launch.workload == "lookup"]
    assert len(lookups) == 2 and all(len(launch.variants) == 4 for launch in lookups)


def test_the_real_size_counts_variations_unless_the_user_names_their_axes(workloads: list[binaries.Workload]) -> None:
    lookup = replace(workloads[0], variations=({"access": ["miss"], "pattern": ["uniform"]},))
    plain = plan.cells_per_variant(lookup, Request(mode="full", parameters={"threads": ["1"], "pattern": ["uniform"]}))
    assert plain == 2  # pages
    assert plan.cells_per_variant(lookup, Request(mode="full", parameters={"threads": ["1"]})) == 2 * 2 + 2
    assert plan.cells_per_variant(lookup, Request(parameters={"threads": ["1"]})) == 2


def test_too_many_cells_are_split_and_the_base_is_in_every_part() -> None:
    names = [f"v{number}" for number in range(10)]
    parts = plan.split(names, each=10, most=40, base="v3")
    assert all(len(part) <= 4 and part[0] == "v3" for part in parts)
    assert sorted({name for part in parts for name in part}) == sorted(names)
    assert plan.split(names, each=1, most=40, base="v3") == [names]


def test_options_reach_only_workloads_that_know_them(workloads: list[binaries.Workload]) -> None:
    request = Request(
        parameters={"pages": ["64"], "pattern": ["zipf"]}, placement_plan="scatter", memory="interleave",
        counters="tlb", require_counters=True, repetitions=7, min_time_ms=3, launches=1,
    )  # fmt: skip
    text = " ".join(make_launches(request, workloads)[0].arguments)
    for part in ("--pages 64", "--pattern zipf", "--plan scatter", "--memory interleave", "--counters tlb"):
        assert part in text
    assert "--require-counters" in text and "--repetitions 7" in text and "--min-time-ms 3" in text


def counters_of(launch: plan.Launch) -> str:
    return launch.arguments[launch.arguments.index("--counters") + 1]


def test_sets_of_counters_take_turns_so_that_everything_is_measured_with_each(workloads: list[binaries.Workload]) -> None:
    request = Request(counters="tlb,cache,cycles", launches=6, seed=4)
    launches = make_launches(request, workloads)
    assert launches == make_launches(request, workloads)
    for workload in workloads:
        mine = [counters_of(launch) for launch in launches if launch.workload == workload.name and launch.kind == INTERVAL]
        assert mine[:3] == mine[3:] and set(mine) == {"tlb", "cache", "cycles"}
    blocks = [{counters_of(launch) for launch in launches if launch.block == block} for block in range(7)]
    assert blocks[0] == {"tlb"} and all(len(sets) == 2 for sets in blocks[1:])
    later = make_launches(Request(counters="tlb,cache,cycles", launches=6, seed=5), workloads)
    first = [next(counters_of(x) for x in made if x.workload == "lookup" and x.block == 1) for made in (launches, later)]
    assert first[0] != first[1]
    assert {counters_of(launch) for launch in make_launches(Request(counters="tlb"), workloads)} == {"tlb"}
    assert not any("--counters" in launch.arguments for launch in make_launches(Request(), workloads))


def test_hardware_is_counted_unless_the_user_says_otherwise(workloads: list[binaries.Workload]) -> None:
    counted = {
        said: make_launches(run_request.make_request({"mode": said[0], "launches": said[1]}), workloads)
        for said in (("quick", 8), ("full", 8), ("full", 2), ("full", 1))
    }
    every = [launch for launches in counted.values() for launch in launches]
    assert {counters_of(launch) for launch in every if launch.kind == COVERAGE} == {"cycles"}
    sets = {said: {counters_of(launch) for launch in launches if launch.kind != COVERAGE} for said, launches in counted.items()}
    assert sets == {
        ("quick", 8): {"cycles"},
        ("full", 8): {"cycles", "tlb", "cache", "numa"},
        ("full", 2): {"cycles", "tlb"},
        ("full", 1): {"cycles"},
    }
    designed = run_request.make_request({"mode": "full", "target_width_percent": 1.0})
    assert designed.counters == "cycles,tlb,cache,numa" and len(designed.counter_sets) <= designed.first_blocks
    assert run_request.make_request({"mode": "full", "counters": "none"}).counters == "none"
    assert not any("--counters" in launch.arguments for launch in make_launches(Request(mode="full"), workloads))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(variants=["layout:nonsense"]), "layout:nonsense"),
        (Request(parameters={"colour": ["red"]}), "colour"),
        (Request(parameters={"pattern": ["spiral"]}), "spiral"),
        (Request(trace="/some.trace"), "trace"),
        (Request(launches=1000), "too many"),
        (Request(launches=1, counters="tlb,cache"), "more sets than the 1 launches"),
    ],
)
def test_what_cannot_be_measured_is_refused(workloads: list[binaries.Workload], request_: Request, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_launches(request_, workloads)


def test_a_plan_survives_being_written(workloads: list[binaries.Workload]) -> None:
    made = plan.Plan("run", "host", "now", Request(seed=3), {"lookup": "0"}, make_launches(Request(seed=3), workloads))
    assert plan.Plan.from_json(made.as_json(), Path("plan.json")) == made
    with pytest.raises(UsageError, match="not a plan"):
        plan.Plan.from_json({"plan_version": plan.PLAN_VERSION}, Path("plan.json"))
    with pytest.raises(UsageError, match="start a new run"):
        plan.Plan.from_json({**made.as_json(), "plan_version": 99}, Path("plan.json"))


def test_the_base_is_measured_at_each_place_of_a_machine_with_several_nodes(workloads: list[binaries.Workload]) -> None:
    places = [["list:0", "local"], ["list:0", "node:1"]]
    request = Request(mode="full", seed=1, places=places, parameters={"threads": ["1", "2"]})
    placed = [launch for launch in make_launches(request, workloads) if launch.kind == PLACED]
    assert len(placed) == len(places) * request.launches
    for launch in placed:
        assert launch.workload == "lookup" and len(launch.variants) == 1
        words = dict(zip(launch.arguments[::2], launch.arguments[1::2], strict=False))
        assert [words["--plan"], words["--memory"]] in places and words["--threads"] == "1"
    others = [launch for launch in make_launches(request, workloads) if launch.kind != PLACED]
    assert not any("--memory" in launch.arguments for launch in others)


def test_places_are_a_processor_and_a_memory_of_each_pair_of_nodes(tmp_path: Path) -> None:
    nodes = tmp_path / "sys/devices/system/node"
    for node, cpus in ((0, "0-3,8"), (1, "4-7"), (2, "")):
        (nodes / f"node{node}").mkdir(parents=True)
        (nodes / f"node{node}" / "cpulist").write_text(f"{cpus}\n")
    (nodes / "has_memory").write_text("0-2\n")
    assert Machine(tmp_path).places({2, 3, 5, 8}) == [
        ("list:2", "local"), ("list:2", "interleave"), ("list:2", "node:1"), ("list:2", "node:2"),
        ("list:5", "local"), ("list:5", "interleave"), ("list:5", "node:0"), ("list:5", "node:2"),
    ]  # fmt: skip
    assert {plan for plan, _ in Machine(tmp_path).places({5})} == {"list:5"}
    (nodes / "has_memory").write_text("0\n")
    assert Machine(tmp_path).places({0, 4}) == []
    assert Machine(tmp_path / "nothing").places({0}) == []


def test_only_a_full_run_whose_places_were_left_open_goes_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_request.Machine, "places", lambda *_: [("list:0", "local"), ("list:0", "node:1")])
    assert run_request.make_request({"mode": "full"}).places == [["list:0", "local"], ["list:0", "node:1"]]
    for said in ({}, {"mode": "full", "memory": "local"}, {"mode": "full", "placement_plan": "compact"}, {"mode": "full", "variants": ["*"]}):
        assert run_request.make_request(said).places == []
