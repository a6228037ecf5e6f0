"""`lab list`, and what the lab understands of --describe."""

import re
from pathlib import Path

import fake_benchmark
import pytest
from lab_process import ROOT, lab

from page_map_lab import binaries, report_model


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder of fake binaries."""
    return fake_benchmark.install(tmp_path / "bin", "lookup", "remove")


def workload(folder: Path, name: str) -> binaries.Workload:
    """One fake workload as the lab sees it."""
    return binaries.describe(folder / f"bench_{name}")


def test_list_says_what_the_binaries_say(folder: Path) -> None:
    said = lab(folder, "list", "--json").json
    assert [entry["workload"] for entry in said] == ["lookup", "remove"]
    assert said[0]["base"] == "layout:radix/read:rcu_qsbr"
    assert len(said[1]["variants"]) == 18 and said[0]["floors"] == ["floor:array"]
    text = lab(folder, "list", "lookup").out
    assert "layout:xarray/read:spinlock" in text and "4096" in text and "remove" not in text


def test_list_refuses_what_does_not_exist(folder: Path) -> None:
    assert lab(folder, "list", "lokup").failed_with(2, "lokup", 'did you mean "lookup"')
    assert lab(folder, "list", "--variant", "layout:nonsense").failed_with(2, "layout:nonsense")


def test_a_binary_that_cannot_describe_itself_is_named(folder: Path) -> None:
    (folder / "bench_lookup").write_text("#!/bin/sh\necho nonsense\n")
    assert lab(folder, "list").failed_with(2, "bench_lookup --describe is malformed")
    (folder / "bench_lookup").write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    assert lab(folder, "list").failed_with(2, "bench_lookup --describe failed (broken)")
    assert lab(folder / "nowhere", "list").failed_with(2, "nowhere")


def test_the_base_is_one_variant_and_its_steps_differ_along_one_axis(folder: Path) -> None:
    remove = workload(folder, "remove")
    assert remove.base() == "layout:radix/read:rcu_qsbr/shootdown:batched"
    assert sorted(remove.steps()) == [
        "layout:flat/read:rcu_qsbr/shootdown:batched",
        "layout:radix/read:rcu_memb/shootdown:batched",
        "layout:radix/read:rcu_qsbr/shootdown:per_page",
        "layout:radix/read:spinlock/shootdown:batched",
        "layout:xarray/read:rcu_qsbr/shootdown:batched",
    ]


def test_an_axis_beyond_the_base_counts_as_a_step_where_a_name_shows_it() -> None:
    base = {"layout": "radix", "read": "rcu_qsbr"}
    assert binaries.distance({**base, "frames": "keep"}, base) == 1
    assert binaries.distance({**base, "layout": "flat"}, base) == 1
    assert binaries.distance(base, base) == 0


def test_one_name_serves_workloads_that_feel_other_axes(folder: Path) -> None:
    lookup, remove = workload(folder, "lookup"), workload(folder, "remove")
    assert lookup.select("layout:flat/read:rcu_memb/shootdown:per_page") == ["layout:flat/read:rcu_memb"]
    assert remove.select("layout:flat/read:rcu_memb") == ["layout:flat/read:rcu_memb/shootdown:batched"]
    assert lookup.select("shootdown:per_page") == []
    assert lookup.select("floor:*") == ["floor:array"]
    assert len(lookup.select("layout:*/read:rcu_*")) == 6
    assert remove.select("nonsense") == []


def test_a_variant_off_a_default_is_a_step_and_only_its_own_name_means_it(tmp_path: Path) -> None:
    policies = {"layout": "radix", "read": "rcu_qsbr", "shootdown": "batched"}
    name = "/".join(f"{axis}:{value}" for axis, value in policies.items())
    variants = {name + "/frames:keep": {**policies, "frames": "keep"}, name: policies}
    base = {**policies, "frames": "return"}
    made = binaries.Workload("remove", tmp_path, "", (*policies, "frames"), base, variants, (), {}, {}, False)
    assert made.base() == name and made.steps() == [name + "/frames:keep"]
    assert made.select("layout:radix") == [name]


def test_the_base_is_what_the_binary_says_it_is(folder: Path) -> None:
    program = folder / "bench_lookup"
    program.write_text(program.read_text().replace("sys.exit", 'fake_benchmark.BASE_VARIANT |= {"layout": "flat"}\nsys.exit'))
    assert workload(folder, "lookup").base() == "layout:flat/read:rcu_qsbr"
    assert workload(folder, "lookup").select("read:spinlock") == ["layout:flat/read:spinlock"]


def test_records_are_compared_with_the_base_of_the_catalog() -> None:
    """Records do not say the base of the binary that wrote them, so the scripts name it, once."""
    variants = ROOT / "variants"
    policies = re.search(r"using BaseVariant = Variant<(.*)>;", (variants / "catalog.hpp").read_text(encoding="utf-8"))[1].split(", ")
    texts = [path.read_text(encoding="utf-8") for path in variants.glob("*/*.hpp")]
    name = r"struct {} {{\n    static constexpr std::string_view name = \"(\w+)\""
    names = [found[1] for policy in policies for text in texts if (found := re.search(name.format(policy), text))]
    layout, read, shootdown, _ = names  # one mechanism is nobody's difference, and stands in no name
    assert report_model.DEFAULT_BASE == f"layout:{layout}/read:{read}/shootdown:{shootdown}"


def test_a_sweep_up_to_the_processors_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries.os, "sched_getaffinity", lambda _: set(range(6)))
    assert binaries.expand("1..cpus") == [1, 2, 4, 6]
    assert binaries.expand("uniform") == ["uniform"]


def test_names_that_no_file_is_called_by_are_refused_before_a_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "bench_lookup.cpp").write_text("int main() {}")
    for policy in ("layout/radix", "read_path/rcu_qsbr"):
        (tmp_path / "variants" / policy).parent.mkdir(parents=True)
        (tmp_path / "variants" / f"{policy}.hpp").touch()
    monkeypatch.setattr(binaries.paths, "ROOT", tmp_path)
    monkeypatch.setattr(binaries.paths, "BUILD", tmp_path / "build")
    monkeypatch.delenv("PAGE_MAP_LAB_BINARIES", raising=False)
    binaries.check_names_before_building(["lookup"], ["layout:radix", "layout:r*", "layout:radix/read:rcu_qsbr", "floor:array"])
    with pytest.raises(binaries.UsageError, match="unknown workload"):
        binaries.check_names_before_building(["remove"], [])
    with pytest.raises(binaries.UsageError, match="nothing is called radish"):
        binaries.check_names_before_building([], ["layout:radish"])
    with pytest.raises(binaries.UsageError, match="nothing is called radix"):
        binaries.check_names_before_building([], ["layout:radix/read:radix"])
