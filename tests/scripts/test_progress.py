"""The line of progress: what it says on a terminal, that it goes away again, and that nobody else sees it."""

import io

import pytest

from page_map_lab import progress
from page_map_lab.progress import Progress, duration_text

REWRITE = "\r\033[K"  # back to the line's start, and nothing left of what stood there


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(name="clock")
def fixture_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets, on a terminal of 40 columns."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "40")
    return now


def test_the_line_says_the_step_and_once_one_is_done_the_time_left(clock: list[float]) -> None:
    stream = Terminal()
    steps = Progress([1, 1, 2], stream=stream)
    steps.show("lookup")
    assert stream.getvalue() == f"{REWRITE}[1/3] lookup"
    clock[0] += 30
    steps.step_done()
    steps.show("remove")
    assert stream.getvalue().endswith(f"{REWRITE}[2/3] remove, 1 min 30 s left")  # three weights of 30 s each
    clock[0] += 10
    steps.step_done()
    steps.show("replay")
    assert stream.getvalue().endswith(f"{REWRITE}[3/3] replay, 40 s left")


def test_the_line_fits_the_terminal_and_is_cleared(clock: list[float]) -> None:
    stream = Terminal()
    steps = Progress([1], stream=stream)
    steps.show("a name that is far too long for one line of a terminal")
    assert stream.getvalue() == REWRITE + "[1/1] a name that is far too long for one line"[:39]
    steps.clear()
    assert stream.getvalue().endswith(REWRITE)


def test_the_line_has_no_colour_to_be_switched_off(clock: list[float]) -> None:
    stream = Terminal()
    Progress([1], stream=stream).show("lookup")
    assert "\033" not in stream.getvalue().removeprefix(REWRITE)


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)], ids=["no-terminal", "quiet"])
def test_nothing_is_written_where_nobody_watches(stream: io.StringIO, quiet: bool) -> None:
    steps = Progress([1, 1], quiet, stream)
    steps.show("lookup")
    steps.step_done()
    steps.show("remove")
    steps.clear()
    assert stream.getvalue() == ""


def test_durations_are_said_as_people_say_them() -> None:
    said = [duration_text(seconds) for seconds in (-1, 0.4, 42, 59.6, 185, 3720)]
    assert said == ["0 s", "0 s", "42 s", "1 min 00 s", "3 min 05 s", "1 h 02 min"]
