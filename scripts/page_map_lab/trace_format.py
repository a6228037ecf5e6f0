"""Writes traces in the project's own format, which docs/trace-format.md describes and impl/store reads."""

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from page_map_lab.cli_errors import UsageError

MAGIC = b"PMLTRACE"
VERSION = 1
PAGE_SIZE = 4096
MAX_OPERATIONS = 16 << 20
MAX_FILES = 65536
MAX_NAME_BYTES = 4096
MAX_LENGTH_BYTES = 1 << 31
MAX_OFFSET_BYTES = 1 << 56  # of an operation's last byte

OTHER_FILE = 4
OTHER_PLACE = 8
OTHER_LENGTH = 16


class Kind(IntEnum):
    """What an operation does."""

    READ = 0
    WRITE = 1
    SYNC = 2


@dataclass(slots=True)
class Operation:
    """One read or write of `length` bytes of file number `file`, or a sync of it with offset and length 0."""

    kind: Kind
    file: int
    offset: int = 0
    length: int = 0


def encode_number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(0x80 | (value & 0x7F))
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag(value: int) -> int:
    """0, -1, 1, -2 ... as 0, 1, 2, 3 ..., so that small distances both ways are short."""
    return value << 1 if value >= 0 else ((-value) << 1) - 1


def encode(files: list[str], operations: Iterable[Operation]) -> bytes:
    """The trace as bytes. The operations are within the bounds above."""
    body = bytearray()
    count = 0
    current_file = 0
    ends = [0] * len(files)
    lengths = [0] * len(files)
    for operation in operations:
        count += 1
        head = int(operation.kind)
        tail = bytearray()
        file = operation.file
        if file != current_file:
            head |= OTHER_FILE
            tail += encode_number(file)
            current_file = file
        if operation.kind != Kind.SYNC:
            if operation.offset != ends[file]:
                head |= OTHER_PLACE
                tail += encode_number(zigzag(operation.offset - ends[file]))
            if operation.length != lengths[file]:
                head |= OTHER_LENGTH
                tail += encode_number(operation.length)
            ends[file] = operation.offset + operation.length
            lengths[file] = operation.length
        body.append(head)
        body += tail
    data = bytearray(MAGIC + encode_number(VERSION) + encode_number(len(files)))
    for name in files:
        encoded = os.fsencode(name)
        data += encode_number(len(encoded)) + encoded
    data += encode_number(count) + body
    data += zlib.crc32(data).to_bytes(4, "little")
    return bytes(data)


class TraceWriter:
    """A trace file that is either whole or not there; made before the recording, so that a bad place shows early."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".partial")
        try:
            if path.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            self._stream = open(self._partial, "wb")
        except OSError as error:
            raise UsageError(
                f"{path}: the trace cannot be written there ({error.strerror}): choose another place with --out"
            ) from error

    def finish(self, data: bytes) -> None:
        """Writes the trace and puts it into its place."""
        try:
            self._stream.write(data)
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            os.replace(self._partial, self.path)
        except OSError as error:
            raise UsageError(
                f"{self.path}: the trace cannot be written ({error.strerror}): free space or choose another place with "
                "--out, and record again"
            ) from error

    def discard(self) -> None:
        """Removes what is not finished; nothing after finish."""
        try:
            self._stream.close()
        except OSError:
            pass  # the buffered bytes did not fit the disk, and they are thrown away anyway
        self._partial.unlink(missing_ok=True)
