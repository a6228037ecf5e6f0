"""Progress and the time left, on stderr, and only when stderr is a terminal."""

import shutil
import sys
import time
from typing import TextIO


def duration_text(seconds: float) -> str:
    """Seconds as people say them: `42 s`, `3 min 05 s`, `1 h 02 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """One line that is rewritten in place. Steps may weigh differently: `weights` says how long each is expected."""

    def __init__(self, weights: list[float], quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() and not quiet
        self._weights = weights
        self._done = 0
        self._started = time.monotonic()

    def time_left_s(self) -> float | None:
        """Seconds still to go if the rest is as fast as what is done; None before the first step is done."""
        done = sum(self._weights[: self._done])
        if not done:
            return None
        return (time.monotonic() - self._started) / done * sum(self._weights[self._done :])

    def show(self, text: str) -> None:
        """Says what is going on now."""
        if not self._shown:
            return
        left = self.time_left_s()
        tail = "" if left is None else f", {duration_text(left)} left"
        line = f"[{self._done + 1}/{len(self._weights)}] {text}{tail}"
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r\033[K" + line[:width])
        self._stream.flush()

    def step_done(self) -> None:
        """Counts one step as done."""
        self._done += 1

    def clear(self) -> None:
        """Takes the line away again, so that other text can be written."""
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()
