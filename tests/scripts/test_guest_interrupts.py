"""What tests/guest/interrupts.py makes of what the small guest said: agreement, a cell that differs, and a guest that was cut off."""

import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

import synthetic_records as synthetic

ROOT = Path(__file__).resolve().parents[2]
JUDGE = ROOT / "tests" / "guest" / "interrupts.py"
SOUND = {
    "expected_interrupts_per_operation": 1.0, "interrupts_per_operation": 1.0, "operations": 100.0, "operations_discarded": 0.0,
    "victims_away_per_operation": 0.0, "attempts_discarded": 0.0,
}  # fmt: skip


def said(launches: int = 6, exit_code: int = 0, **metrics: float) -> str:
    """The guest's console: so many launches, their records as it packs them, and what it says around them."""
    lines = ["[    0.4] a line of the kernel's"]
    for index in range(launches):
        made = synthetic.cell("shootdown", "shootdown:batched", {"pages": 8}, [1.0] * 10)
        for repetition in made["repetitions"]:
            repetition["metrics"] = {**SOUND, **metrics}
        packed = base64.encodebytes(gzip.compress(json.dumps(synthetic.record([made], index)).encode())).decode()
        lines.append(f"launch-{index}: exit {exit_code}\nlaunch-{index}: record\n{packed}launch-{index}: ended")
    return "\r\n".join(lines) + "\r\n"


def judge(text: str, folder: Path) -> tuple[int, str]:
    """The judge's exit code, and what it printed."""
    (folder / "said.log").write_text(text, encoding="utf-8")
    (folder / "records").mkdir()
    ended = subprocess.run([sys.executable, JUDGE, folder / "said.log", folder / "records"], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


def test_cells_that_agree_are_counted(tmp_path: Path) -> None:
    code, out = judge(said(), tmp_path)
    assert code == 0
    assert out == "guest: interrupts of 1 cells: 1 agree within 5 %; expected 6000, counted 6000, excluded 0 of 60 trials\n"


@pytest.mark.parametrize("excluded", [0.0, 5.0], ids=["all trials", "a third of them"])
def test_a_cell_that_differs_is_final(tmp_path: Path, excluded: float) -> None:
    code, out = judge(said(interrupts_per_operation=0.9, attempts_discarded=excluded), tmp_path)
    assert code == 1
    assert "shootdown shootdown:batched pages=8" in out and "differ" in out and "0 agree within 5 %; expected 6000, counted 5400" in out


def test_too_many_excluded_trials_are_a_reason_to_try_again(tmp_path: Path) -> None:
    code, out = judge(said(attempts_discarded=5.0), tmp_path)
    assert code == 75 and "try again with nothing else running" in out


def test_a_launch_that_failed_is_final_and_one_that_is_missing_is_not(tmp_path: Path) -> None:
    failed, missing = (tmp_path / name for name in ("failed", "missing"))
    failed.mkdir(), missing.mkdir()
    code, out = judge(said(exit_code=5), failed)
    assert code == 1 and "6 of 6 launches came to their end, 6 with an error" in out
    code, out = judge(said(launches=5), missing)
    assert code == 75 and "5 of 6 launches came to their end, 0 with an error" in out
