"""The sentence that answers a workload: what it says when something wins, when nothing does, and when there is too little data."""

from pathlib import Path

import pytest
import synthetic_records as synthetic

from page_map_lab.records import CellKey, load_records
from page_map_lab.report_answers import SURE, TIED, UNDECIDED, Answer, plain_name, words_of
from page_map_lab.report_model import build

BASE = "layout:radix/read:rcu_qsbr"
FLAT = "layout:flat/read:rcu_qsbr"
SPIN = "layout:radix/read:spinlock"


def answer(folder: Path, costs: dict[str, float], launches: int = 6) -> Answer:
    """The answer to a run in which the variants cost so much."""
    files = synthetic.simple_run(costs, launches=launches)
    return build(load_records([synthetic.write(files, folder)]))[0].workloads[0].answer


def test_a_winner_is_named_with_its_ratio_and_interval(tmp_path: Path) -> None:
    found = answer(tmp_path, {BASE: 11.0, FLAT: 8.0, SPIN: 17.0, "floor:array": 7.0})
    assert (found.winner, found.winner_label, found.sureness) == (FLAT, "layout:flat", SURE)
    assert found.ratio == pytest.approx(8 / 11, abs=0.03) and found.low < found.ratio < found.high < 1
    assert f"{found.ratio:.3f}x" in found.sentence and f"{found.low:.3f} to {found.high:.3f}" in found.sentence
    assert "surely cheaper, 6 launches" in found.sentence and "the floor, array: 0.6" in found.remark


def test_a_floor_never_wins(tmp_path: Path) -> None:
    found = answer(tmp_path, {BASE: 11.0, "floor:array": 5.0})
    assert found.winner == BASE and "floor, array" in found.remark


def test_what_cannot_be_told_apart_is_said_to_be_so(tmp_path: Path) -> None:
    found = answer(tmp_path, {BASE: 11.0, FLAT: 11.0, SPIN: 17.0})
    assert (found.winner, found.winner_label, found.sureness) == (BASE, "radix, rcu_qsbr", TIED)
    assert "no variant is surely cheaper" in found.sentence and "Nearest: layout:flat" in found.sentence
    assert found.contender_label == "layout:flat" and found.low < 1 < found.high
    assert "surely dearer: read:spinlock" in found.remark


def test_a_base_that_beats_all_is_sure(tmp_path: Path) -> None:
    found = answer(tmp_path, {BASE: 11.0, SPIN: 17.0})
    assert (found.winner, found.sureness) == (BASE, SURE)
    assert "the one other with an interval surely cost more" in found.sentence and found.ratio > 1.3


def test_too_few_launches_decide_nothing(tmp_path: Path) -> None:
    found = answer(tmp_path, {BASE: 11.0, FLAT: 8.0}, launches=2)
    assert (found.winner, found.sureness, found.low) == (BASE, UNDECIDED, None)
    assert "2 of the 5 launches" in found.sentence and "looked like" in found.sentence


def test_parameters_are_read_aloud() -> None:
    key = CellKey("mixed", (("frames_percent", 50), ("interval_ns", 0), ("pages", 512), ("pattern", "zipf"), ("threads", 1)), "", "", "node:1")
    assert words_of(key) == "512 pages, 1 thread, 50 % frames, interval 0 ns, pattern zipf, memory node:1"
    assert plain_name("layout:radix/read:rcu_qsbr/shootdown:batched") == "radix, rcu_qsbr, batched"
