"""Percentiles of latencies: which of them can be given, how sure they are, and under which schedule they were measured."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_records as synthetic
from lab_process import lab

from page_map_lab import latencies, records, report_model
from page_map_lab.latencies import Percentile, Tail

EDGES = np.unique(np.round(np.exp(np.arange(0, 16, 0.01))))
BUCKETS = np.stack((EDGES[:-1], EDGES[1:]), axis=1)


def counts_of(launches: list[np.ndarray]) -> np.ndarray:
    return np.array([np.histogram(values, EDGES)[0] for values in launches], dtype=float)


def by_name(found: tuple[Percentile, ...]) -> dict[str, Percentile]:
    return {each.name: each for each in found}


def test_intervals_over_launches_cover_the_true_percentiles() -> None:
    """Launches that scatter by 5 %, and within them latencies with a heavy tail."""
    generator = np.random.default_rng(1)

    def launch(size: int) -> np.ndarray:
        values = 1000 * np.exp(generator.normal(0, 0.2, size) + generator.exponential(0.5, size))
        return values * np.exp(generator.normal(0, 0.05, size if size > 100_000 else 1))

    truth = dict(zip(latencies.SHARES, np.quantile(launch(4_000_000), latencies.SHARES), strict=True))
    covered = dict.fromkeys(latencies.SHARES, 0)
    for _ in range(100):
        for each in latencies.percentiles(BUCKETS, counts_of([launch(20_000) for _ in range(8)])):
            assert each.value is not None and each.low is not None and each.high is not None and each.low <= each.value <= each.high
            covered[each.share] += each.low <= truth[each.share] <= each.high
    assert min(covered.values()) >= 88


def test_a_percentile_needs_ten_values_beyond_it() -> None:
    found = by_name(latencies.percentiles(BUCKETS, counts_of([np.linspace(100, 200, 15)])))
    assert all(each.value is None and each.low is None for each in found.values())
    assert found["p99.99"].why == "needs 100000 values" and found["p50"].why == "needs 20 values"
    found = by_name(latencies.percentiles(BUCKETS, counts_of([np.linspace(100, 200, 200)] * 5)))
    assert [name for name, each in found.items() if each.value is not None] == ["p50", "p90", "p99"]
    assert found["p99"].value == pytest.approx(199, rel=0.02)


def test_few_launches_have_no_interval_and_an_interval_is_no_narrower_than_a_bucket() -> None:
    equal = [np.linspace(1000, 2000, 1000)]
    few, many = (by_name(latencies.percentiles(BUCKETS, counts_of(equal * launches)))["p90"] for launches in (4, 5))
    assert few.value == many.value and few.low is None and "5 launches" in (few.why or "")
    assert many.high == pytest.approx(many.value) and many.low is not None and 0 < many.value / many.low - 1 < 0.02 and many.why is None


def tails_of(parameters: dict[str, Any], *histograms: dict[str, Any]) -> list[Tail]:
    made = synthetic.cell("mixed", "layout:radix/read:rcu_qsbr", parameters, [1.0], histograms=list(histograms))
    record = records._build(Path("r.json"), synthetic.record([made]), plain=False)
    return latencies.tails(report_model.build([record])[0].workloads[0].rows[0])


def test_a_tail_says_whether_its_loop_was_closed() -> None:
    generator = np.random.default_rng(1)
    made = [synthetic.histogram(name, role, 1000.0, 1.0, 500, generator) for name, role in (("latency", "worker"), ("stall", "victim"))]
    closed, stalls = tails_of({"interval_ns": 0}, *made)
    assert closed.is_closed and (closed.name, closed.count) == ("latency", 500)
    assert (stalls.role, stalls.schedule) == ("victim", "as they come") and stalls.largest == made[1]["max"]
    opened = tails_of({"interval_ns": 5000}, *made)[0]
    assert not opened.is_closed and "5000 ns" in opened.schedule
    assert tails_of({}, *made)[0].is_closed


def test_the_report_has_every_percentile_on_the_page_and_in_a_table(tmp_path: Path) -> None:
    finished = lab(Path("nowhere"), "report", str(synthetic.FOLDER / "two_node_pmu"), "--out", str(tmp_path), "--formats", "html,md,csv")
    assert finished.code == 0, finished.err
    rows = list(csv.DictReader((tmp_path / "latency.csv").open(encoding="utf-8")))
    assert {row["percentile"] for row in rows} == {"p50", "p90", "p99", "p99.9", "p99.99", "max"}
    assert {row["role"] for row in rows} >= {"initiator", "victim"} and {row["schedule"] for row in rows} == {"closed loop", "as they come"}
    for row in rows:
        if row["percentile"] != "max":
            assert bool(row["ns"]) == (not row["why"].startswith("needs")) and bool(row["low"]) == (not row["why"])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<strong>Closed loop</strong>" in page and "p99.99" in page and "needs 100000 values" in page
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| Parameters .* p99\.99 \| Max \|\n\|[-:|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert sum(table.count("\n") for table in tables) == len({tuple(row[name] for name in list(row)[:6]) for row in rows})
