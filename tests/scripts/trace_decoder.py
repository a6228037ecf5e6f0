"""Reads a trace by the description in docs/trace-format.md alone, so that the writer is not checked against itself."""

import zlib
from dataclasses import dataclass

KINDS = ("read", "write", "sync")


@dataclass(frozen=True)
class Decoded:
    """A trace's files and its operations as (kind, file's name, offset, length)."""

    files: list[str]
    operations: list[tuple[str, str, int, int]]


def decode(data: bytes) -> Decoded:
    """The whole trace; a wrong one fails an assertion."""
    assert data[:8] == b"PMLTRACE"
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    place = 8

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    assert number() == 1
    files = []
    for _ in range(number()):
        length = number()
        files.append(data[place : place + length].decode("utf-8", "surrogateescape"))
        place += length
    operations = []
    ends = dict.fromkeys(range(len(files)), 0)
    lengths = dict(ends)
    file = 0
    for _ in range(number()):
        head = number()
        file = number() if head & 4 else file
        kind = KINDS[head & 3]
        if kind == "sync":
            operations.append((kind, files[file], 0, 0))
            continue
        distance = number() if head & 8 else 0
        offset = ends[file] + (-(distance + 1) // 2 if distance & 1 else distance // 2)
        lengths[file] = number() if head & 16 else lengths[file]
        ends[file] = offset + lengths[file]
        operations.append((kind, files[file], offset, lengths[file]))
    assert place == len(data) - 4
    return Decoded(files, operations)
