"""The command line as a whole: verbs, exit codes, one line for every failure."""

import errno
import re
from pathlib import Path

import pytest
from lab_process import lab

from page_map_lab import main
from page_map_lab.cli_errors import CheckFailedError, CountersError, LabError, NoiseGateError, NotComparableError


def test_help_lists_the_verbs_that_exist_and_no_other(tmp_path: Path) -> None:
    finished = lab(tmp_path, "--help")
    assert finished.code == 0
    for verb in ("list", "doctor", "tune-host", "run", "claims", "profile", "selftest", "reproduce"):
        assert re.search(rf"^    {verb}( |$)", finished.out, re.MULTILINE)
    for verb in ("tune", "fleet"):
        assert not re.search(rf"^    {verb}( |$)", finished.out, re.MULTILINE)


@pytest.mark.parametrize("verb", sorted(main.existing_verbs()))
def test_every_verb_has_help_and_the_common_options(tmp_path: Path, verb: str) -> None:
    finished = lab(tmp_path, verb, "--help")
    assert finished.code == 0
    for option in ("--json", "--dry-run", "--quiet"):
        assert option in finished.out


@pytest.mark.parametrize("arguments", [(), ("frobnicate",), ("run", "--frobnicate"), ("run", "--launches", "many")])
def test_wrong_usage_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert lab(tmp_path, *arguments).failed_with(2, "--help")


class FakeVerb:
    """A verb that fails as it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def add_arguments(self, parser: object) -> None:
        """Takes no arguments."""

    def run(self, namespace: object) -> int:
        """Fails."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (LabError("x is wrong: do y"), 2, "x is wrong: do y"),
        (NoiseGateError("load"), 3, "load"),
        (CountersError("tlb"), 4, "tlb"),
        (CheckFailedError("lost"), 5, "lost"),
        (NotComparableError("hosts"), 6, "hosts"),
        (LabError("first\nsecond"), 2, "first second"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/record.json"), 2, "free some space"),
        (MemoryError(), 2, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division"), 2, "internal error, ZeroDivisionError"),
    ],
)
def test_every_failure_of_a_verb_is_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    monkeypatch.setattr(main.importlib, "import_module", lambda name: FakeVerb(error))
    assert main.main(["list"]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("lab list: ") and words in said


def test_no_colour_and_no_progress_where_there_is_no_terminal(tmp_path: Path) -> None:
    finished = lab(tmp_path, "doctor")
    assert "\033" not in finished.out + finished.err and "\r" not in finished.err
