"""What is read from record files, and what is said about files that are none."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import synthetic_records as synthetic

from page_map_lab.records import load_record, load_records
from page_map_lab.records_error import RecordError

COSTS = {"layout:radix/read:rcu_qsbr": 11.0, "floor:array": 10.0}


@pytest.fixture
def data() -> dict[str, Any]:
    return copy.deepcopy(synthetic.simple_run(COSTS, launches=1)["lookup-0.json"])


def written(folder: Path, data: Any) -> Path:
    path = folder / "record.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_a_record_is_read_with_its_cells(tmp_path: Path, data: dict[str, Any]) -> None:
    record = load_record(written(tmp_path, data))
    assert record is not None and record.host_name == synthetic.HOST["name"]
    assert [cell.variant for cell in record.cells] == list(COSTS)
    assert [cell.floor for cell in record.cells] == [False, True]
    assert record.cells[0].key.value("pages") == 4096
    assert record.cells[1].source().endswith("record.json#/cells/1")


def test_every_record_of_the_fixtures_keeps_the_contract() -> None:
    records = load_records([synthetic.FOLDER / "two_node_pmu"])
    assert len(records) == len(synthetic.two_node_run())
    assert all(record.host["fixture"] and record.host_name.startswith("fixture-") for record in records)


def test_the_committed_fixtures_are_what_the_generator_makes() -> None:
    for name, made in synthetic.two_node_run().items():
        assert json.loads((synthetic.FOLDER / "two_node_pmu" / name).read_text(encoding="utf-8")) == json.loads(json.dumps(made)), name


def test_a_folder_gives_its_records_and_passes_over_other_files(tmp_path: Path) -> None:
    synthetic.write(synthetic.simple_run(COSTS, launches=3), tmp_path / "run")
    (tmp_path / "run" / "plan.json").write_text('{"plan_version": 1}', encoding="utf-8")
    (tmp_path / "run" / "lookup-9.json.partial").write_text('{"schema_ver', encoding="utf-8")
    assert len(load_records([tmp_path])) == 3


def test_excluded_repetitions_are_not_usable(tmp_path: Path, data: dict[str, Any]) -> None:
    data["cells"][0]["repetitions"][0].update(excluded="the victim slept", score=None)
    data["cells"][0]["repetitions"][0]["score_why"] = "the victim slept"
    cell = load_record(written(tmp_path, data)).cells[0]
    assert (cell.excluded_count, len(cell.usable_repetitions)) == (1, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ('{"schema_version": 1, "cells": [', "not JSON"),
        ("[1, 2]", "neither"),
        ("{}", "neither"),
        ("12", "neither"),
        ('{"schema_version": 1, "cells": [], "x": NaN}', "NaN"),
        ('{"schema_version": 1, "cells": [], "x": 1e400}', "1e400 is not a number"),
        ('{"schema_version": 1, "cells": [], "x": 1' + 400 * "0" + "}", "1000000000000000... is not a number"),
        ('{"schema_version": 1, "cells": [], "x": "\\ud800"}', "half a character"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_record_is_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RecordError) as caught:
        load_record(path)
    assert str(caught.value).startswith(str(path)) and words in str(caught.value) and "\n" not in str(caught.value)


def change(data: dict[str, Any], place: list[Any], value: Any) -> dict[str, Any]:
    """The record with one place changed; `...` as a value removes it."""
    inside: Any = data
    for part in place[:-1]:
        inside = inside[part]
    if value is ...:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return data


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (["cells", 1, "repetitions", 0, "score"], "fast", "cells[1].repetitions[0].score"),
        (["cells", 1, "repetitions", 2, "score"], -4, "cells[1].repetitions[2].score"),
        (["cells", 0, "variant"], ..., "cells[0]"),
        (["cells", 0, "score", "direction"], "sideways", "cells[0].score.direction"),
        (["cells"], "none", "cells"),
        (["host"], ..., "host"),
        (["host", "name"], 7, "host.name"),
        (["placement", "memory"], 7, "placement.memory"),
        (["build"], [], "build"),
        (["schema_version"], 99, "schema_version"),
        (["schema_version"], None, "schema_version"),
    ],
)
def test_a_broken_contract_is_named_with_its_json_path(
    tmp_path: Path, data: dict[str, Any], place: list[Any], value: Any, expected: str
) -> None:
    with pytest.raises(RecordError) as caught:
        load_record(written(tmp_path, change(data, place, value)))
    assert expected in str(caught.value)


@pytest.mark.parametrize("buckets", [[[1, 2, 3], [2, 4]], [[1, 2, 3], [5, 4, 1]], [[1, 2, 3], [2, 4, -1]], [[1, 2, 3], ["x", 4, 1]]])
def test_a_broken_histogram_is_named_with_its_json_path(tmp_path: Path, data: dict[str, Any], buckets: list[Any]) -> None:
    histogram = {"name": "latency", "role": "reader", "unit": "ns", "significant_digits": 2, "count": 3, "min": 1, "max": 2, "sum": 3}
    data["cells"][1]["histograms"] = [{**histogram, "buckets": buckets}]
    with pytest.raises(RecordError, match=r"cells\[1\]\.histograms\[0\]\.buckets"):
        load_record(written(tmp_path, data))


def test_unreadable_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no-such-file"):
        load_records([tmp_path / "no-such-file.json"])
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="UTF-8"):
        load_records([tmp_path / "binary.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="holds no record"):
        load_records([tmp_path / "empty"])


def google_benchmark(times: list[float], unit: str = "us") -> dict[str, Any]:
    rows = [{"name": "BM_x", "run_name": "BM_x", "run_type": "iteration", "real_time": t, "cpu_time": t, "time_unit": unit} for t in times]
    rows.append({"name": "BM_x_mean", "run_name": "BM_x", "run_type": "aggregate", "real_time": 1.0, "time_unit": unit})
    context = {"date": "2026-01-01", "host_name": "here", "executable": "./some/bench_x", "num_cpus": 2, "library_build_type": "release"}
    return {"context": context, "benchmarks": rows}


def test_plain_google_benchmark_files_are_read_in_nanoseconds(tmp_path: Path) -> None:
    record = load_record(written(tmp_path, google_benchmark([1.5, 2.5])))
    cell = record.cells[0]
    assert (cell.key.workload, cell.unit) == ("bench_x", "ns")
    assert [repetition.score for repetition in cell.repetitions] == [1500.0, 2500.0]


@pytest.mark.parametrize(("field", "value"), [("real_time", "soon"), ("time_unit", "weeks"), ("name", None)])
def test_malformed_google_benchmark_rows_are_named(tmp_path: Path, field: str, value: Any) -> None:
    data = google_benchmark([1.0])
    data["benchmarks"][0][field] = value
    with pytest.raises(RecordError, match=rf"benchmarks\[0\]\.{field}"):
        load_record(written(tmp_path, data))
