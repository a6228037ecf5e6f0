"""The explorer's mutants apply to the sources as they are, and say what they break."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPLORER = ROOT / "tests" / "explorer"
sys.path.insert(0, str(EXPLORER))

from apply_mutant import DoesNotApply, main, mutated, replacements  # noqa: E402

MUTANTS = sorted((EXPLORER / "mutants").glob("*.mutant"))
FIELDS = ("layout", "read", "shootdown", "scenario", "schedules", "expect")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda path: path.stem)
def test_a_mutant_applies_and_names_its_scenario(mutant: Path, tmp_path: Path) -> None:
    assert main(mutant, ROOT, tmp_path) == 0
    lines = mutant.read_text(encoding="utf-8").splitlines()
    assert sorted(line.split(": ")[0] for line in lines if line.split(": ")[0] in FIELDS) == sorted(FIELDS)
    fields = dict(line.split(": ", 1) for line in lines if line.split(": ")[0] in FIELDS)
    assert f'"{fields["scenario"]}"' in (EXPLORER / "scenarios.cpp").read_text(encoding="utf-8")
    assert int(fields["schedules"]) > 0
    assert fields["expect"].strip()
    for path in replacements(mutant.read_text(encoding="utf-8")):
        assert (tmp_path / path).read_text(encoding="utf-8") != (ROOT / path).read_text(encoding="utf-8")


def test_there_are_mutants_enough() -> None:
    assert len(MUTANTS) >= 10


def test_a_mutant_whose_lines_are_gone_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mutant = tmp_path / "gone.mutant"
    mutant.write_text("Breaks nothing.\n\nfile: README.md\n\n<<<<\nno such line\n====\nanother\n>>>>\n", encoding="utf-8")
    assert main(mutant, ROOT, tmp_path) == 1
    assert "mutant gone no longer applies" in capsys.readouterr().err


def test_a_replacement_is_made_where_it_is_unambiguous() -> None:
    assert mutated("a\nb\n", [("b\n", "c\n")]) == "a\nc\n"
    with pytest.raises(DoesNotApply):
        mutated("b\nb\n", [("b\n", "c\n")])
