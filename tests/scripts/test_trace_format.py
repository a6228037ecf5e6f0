"""The writer of traces."""

import random
from pathlib import Path

import pytest
from trace_decoder import KINDS, decode

from page_map_lab.cli_errors import UsageError
from page_map_lab.trace_format import Kind, Operation, TraceWriter, encode, encode_number, zigzag


def test_numbers_are_written_seven_bits_a_byte_the_lowest_first() -> None:
    assert encode_number(0) == b"\x00"
    assert encode_number(127) == b"\x7f"
    assert encode_number(128) == b"\x80\x01"
    assert encode_number(2**64 - 1) == b"\xff" * 9 + b"\x01"


def test_small_distances_both_ways_are_small_numbers() -> None:
    assert [zigzag(value) for value in (0, -1, 1, -2, 2)] == [0, 1, 2, 3, 4]


def test_the_bytes_are_those_that_the_reader_is_tested_with() -> None:
    operations = [
        Operation(Kind.READ, 0, 0, 4096),
        Operation(Kind.READ, 0, 4096, 4096),
        Operation(Kind.WRITE, 1, 512, 12),
        Operation(Kind.SYNC, 1),
        Operation(Kind.WRITE, 0, 0, 4096),
        Operation(Kind.WRITE, 1, 524, 12),
    ]
    expected = b"PMLTRACE\x01\x02\x0baccounts.db\x13accounts.db-journal\x06"
    expected += b"\x10\x80\x20" + b"\x00" + b"\x1d\x01\x80\x08\x0c" + b"\x02" + b"\x0d\x00\xff\x7f" + b"\x05\x01"
    assert encode(["accounts.db", "accounts.db-journal"], operations)[:-4] == expected


def test_what_was_written_can_be_decoded_by_the_description() -> None:
    chance = random.Random(7)
    files = ["a", "b/ü\udcff", "c"]
    operations = []
    for _ in range(2000):
        kind = Kind(chance.choice((0, 0, 1, 1, 2)))
        file = chance.randrange(3)
        if kind == Kind.SYNC:
            operations.append(Operation(kind, file))
        else:
            offset, length = chance.choice((0, 4096, 1 << 40, 5)), chance.choice((1, 4096, 1 << 31))
            operations.append(Operation(kind, file, offset, length))
    decoded = decode(encode(files, operations))
    assert decoded.files == files
    assert decoded.operations == [
        (KINDS[operation.kind], files[operation.file], operation.offset, operation.length) for operation in operations
    ]


def test_a_sequential_scan_takes_a_byte_an_operation() -> None:
    scan = [Operation(Kind.READ, 0, 4096 * page, 4096) for page in range(10_000)]
    assert len(encode(["f"], scan)) < 10_030


def test_a_trace_that_is_not_finished_leaves_nothing_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    path.write_bytes(b"old")
    writer = TraceWriter(path)
    writer.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["a.trace"]
    assert path.read_bytes() == b"old"


def test_a_finished_trace_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    path.write_bytes(b"old")
    writer = TraceWriter(path)
    writer.finish(b"new")
    writer.discard()
    assert [file.name for file in tmp_path.iterdir()] == ["a.trace"]
    assert path.read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_named_before_anything_is_recorded(tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "folder", tmp_path):
        with pytest.raises(UsageError, match="--out"):
            TraceWriter(path)


def test_a_full_disk_is_one_line_that_names_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.trace"
    (tmp_path / "a.trace.partial").symlink_to("/dev/full")
    writer = TraceWriter(path)
    with pytest.raises(UsageError, match="a.trace.*No space left.*--out"):
        writer.finish(b"x" * 100_000)
    writer.discard()
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []
