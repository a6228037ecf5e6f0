"""The judge of the failure sweep: which figures it refuses, and which calls it says were not reached or not judged."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "failures"))

import call_sites  # noqa: E402

SOUND = {"sites": 9, "injected": 12, "not_met": 0, "excluded": 3, "broken": 0, "leaked": 0}


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The arguments for one sweep: of a program that makes one call, which was reached."""
    monkeypatch.setattr(call_sites, "calls_in_sources", lambda: [("impl/made_up.cpp", 10, "munmap")])
    monkeypatch.setattr(call_sites, "calls_reached", lambda binary, sites: {("impl/made_up.cpp", 10, "munmap")})
    monkeypatch.setattr(call_sites, "c_functions", lambda build: {"munmap"})
    arguments = [tmp_path / name for name in ("binary", "sites", "figures")]
    arguments[1].write_text("munmap 0x12 0x34\n", encoding="utf-8")
    write_figures(arguments[2])
    return arguments


def write_figures(file: Path, **changed: int) -> None:
    file.write_text(" ".join(f"{name} {value}" for name, value in (SOUND | changed).items()), encoding="utf-8")


def test_a_sound_sweep_passes(sweep: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert call_sites.main(sweep) == 0
    figures = "sites 9, injected 12, not reached 0, not met again 0, excluded 3, broken 0, leaked 0"
    assert capsys.readouterr().out == f"failures: {figures}\n"


@pytest.mark.parametrize("changed", [{"sites": 0}, {"not_met": 1}, {"broken": 1}, {"leaked": 1}], ids=str)
def test_a_site_that_did_not_fail_and_what_breaks_are_failures(sweep: list[Path], changed: dict[str, int]) -> None:
    write_figures(sweep[2], **changed)
    assert call_sites.main(sweep) == 1


def test_neither_a_neighbour_nor_another_call_stands_for_a_call(
    sweep: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {("impl/made_up.cpp", 9, "munmap"), ("impl/made_up.cpp", 11, "munmap"), ("impl/made_up.cpp", 10, "mmap")}
    monkeypatch.setattr(call_sites, "calls_reached", lambda binary, sites: others)
    assert call_sites.main(sweep) == 0
    said = capsys.readouterr().out
    assert "not reached: impl/made_up.cpp:10 munmap\n" in said and "not reached 1," in said


def test_every_c_function_is_made_to_fail_or_left_alone_for_a_reason(
    sweep: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(call_sites, "c_functions", lambda build: {"munmap", "close", "urcu_mb_register_thread", "strdup"})
    assert call_sites.main(sweep) == 1
    assert "neither made to fail nor left alone for a reason: strdup\n" in capsys.readouterr().out


def test_what_the_linker_wraps_is_known() -> None:
    wrapped = call_sites.calls_made_to_fail()
    assert {"aligned_alloc", "hwloc_set_area_membind"} <= wrapped
    assert not call_sites.calls_not_judged(wrapped)
