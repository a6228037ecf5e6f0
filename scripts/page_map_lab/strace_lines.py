"""Turns strace's output (strace -f -y -s 0 -o FILE) into system calls, unfinished and resumed lines joined."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(r"^(\d+)\s+(.*)$")
_CALL = re.compile(r"^([a-z_0-9]+)\((.*)$")
_RESUMED = re.compile(r"^<\.\.\. ([a-z_0-9]+) resumed>(.*)$")
_UNFINISHED = "<unfinished ...>"
_RESULT = re.compile(r"^\s*=\s*(-?\d+|0x[0-9a-f]+)(?:<((?:[^<>\\]|\\.)*)>)?")
# A string, a descriptor's path, or a piece of the rest; commas and brackets on their own.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|<(?:[^<>\\]|\\.)*>|[\[\]{}(),]|[^"<\[\]{}(),]+|.')
_DESCRIPTOR = re.compile(r"^(-?\d+)(?:<((?:[^<>\\]|\\.)*)>)?$")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b"}


@dataclass(slots=True)
class Call:
    """One system call of thread `pid`. `result` is None where it failed, or has not returned yet (`begins`). One that
    began on an earlier line `resumes`."""

    pid: int
    name: str
    arguments: list[str]
    result: int | None
    result_path: str | None
    begins: bool = False
    resumes: bool = False


@dataclass(slots=True)
class Exit:
    """Thread `pid` is gone."""

    pid: int


def unescape(text: str) -> str:
    """A path as strace prints it, as the system calls it."""

    def replace(match: re.Match[bytes]) -> bytes:
        escape = match.group(1)
        if escape[:1].isdigit():
            return bytes([int(escape, 8) & 0xFF])
        if escape[:1] == b"x" and len(escape) == 3:
            return bytes([int(escape[1:], 16)])
        return _NAMED_ESCAPES.get(escape, escape)

    encoded = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(replace, encoded).decode("utf-8", "surrogateescape")


def split_arguments(text: str) -> tuple[list[str], str]:
    """What follows a call's opening bracket, as its arguments and what comes after the closing one."""
    arguments: list[str] = []
    current = ""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group(0)
        if token == ")" and depth == 0:
            if current.strip() or arguments:
                arguments.append(current.strip())
            return arguments, text[match.end() :]
        if token == "," and depth == 0:
            arguments.append(current.strip())
            current = ""
            continue
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
        current += token
    if current.strip():
        arguments.append(current.strip())
    return arguments, ""


def descriptor(argument: str) -> tuple[int, str | None] | None:
    """The number and the path of a descriptor such as `3</a/file>`, or None where the argument is none."""
    match = _DESCRIPTOR.match(argument)
    if match is None:
        return None
    path = match.group(2)
    return int(match.group(1)), None if path is None else unescape(path)


def _make_call(pid: int, text: str, begins: bool) -> Call | None:
    match = _CALL.match(text)
    if match is None:
        return None
    arguments, rest = split_arguments(match.group(2))
    result = None if begins else _RESULT.match(rest)
    # Base 0 would refuse the leading zero of an octal result, such as umask's.
    value = int(result.group(1), 16 if "x" in result.group(1) else 10) if result else None
    path = result.group(2) if result else None
    return Call(
        pid,
        match.group(1),
        arguments,
        value if value is not None and value >= 0 else None,
        None if path is None else unescape(path),
        begins,
    )


def read_lines(lines: Iterable[str]) -> Iterator[Call | Exit]:
    """Every call in the order in which it returned. A call that is interrupted by others' lines comes twice: once with
    `begins` set where it starts, and once where it returns."""
    unfinished: dict[int, str] = {}
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        pid, text = int(match.group(1)), match.group(2)
        if text.startswith("+++"):
            unfinished.pop(pid, None)
            if "superseded" not in text:
                yield Exit(pid)
            continue
        begins = text.endswith(_UNFINISHED)
        resumed = _RESUMED.match(text)
        if begins:
            text = text.removesuffix(_UNFINISHED).rstrip()
            unfinished[pid] = text
        elif resumed:
            start = unfinished.pop(pid, None)
            if start is None:
                continue
            text = start + resumed.group(2)
        call = _make_call(pid, text, begins)
        if call is not None:
            call.resumes = resumed is not None
            yield call
