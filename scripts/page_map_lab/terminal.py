"""Colour for people: only on a terminal, and never when NO_COLOR is set."""

import os
from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}


def has_colour(stream: TextIO) -> bool:
    """Whether text written to this stream may be coloured."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def colour(text: str, name: str, stream: TextIO) -> str:
    """The text in the named colour, or unchanged where colour is not wanted."""
    return f"\033[{_CODES[name]}m{text}\033[0m" if has_colour(stream) else text


def table(rows: list[list[str]], stream: TextIO | None = None) -> str:
    """The rows as text in aligned columns, the first row being the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    if stream is not None:
        lines[0] = colour(lines[0], "bold", stream)
    return "\n".join(lines)
