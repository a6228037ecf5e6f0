"""From strace's lines to operations, with lines as strace 6.1 prints them."""

from pathlib import Path

import pytest

from page_map_lab.open_files import OpenFiles
from page_map_lab.strace_lines import Call, read_lines, split_arguments, unescape


def operations(text: str, only: list[str] | None = None, start: str = "/data") -> list[tuple[str, str, int, int]]:
    """What the lines make, as (kind, file, offset, length). A line without a thread's number is thread 1's."""
    files = OpenFiles(start, only)
    lines = [line.strip() for line in text.strip().splitlines()]
    for event in read_lines(line if line[0].isdigit() else f"1 {line}" for line in lines):
        files.take(event)
    files.finish()
    assert files.not_understood == 0
    return [
        (operation.kind.name.lower(), files.file_names[operation.file], operation.offset, operation.length)
        for operation in files.operations
    ]


OPEN = 'openat(AT_FDCWD</data>, "f", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3</data/f>\n'


def test_positions_move_with_reads_writes_and_seeks() -> None:
    assert operations(
        OPEN
        + """read(3</data/f>, ""..., 4096) = 100
             read(3</data/f>, "", 4096) = 0
             write(3</data/f>, ""..., 50) = 50
             lseek(3</data/f>, -20, SEEK_CUR) = 130
             readv(3</data/f>, [...], 2) = 5
             writev(3</data/f>, [...], 2) = 6"""
    ) == [("read", "f", 0, 100), ("write", "f", 100, 50), ("read", "f", 130, 5), ("write", "f", 135, 6)]


def test_positioned_calls_do_not_move_the_position() -> None:
    assert operations(
        OPEN
        + """pread64(3</data/f>, ""..., 4096, 8192) = 4096
             pwrite64(3</data/f>, ""..., 10, 77) = 10
             preadv(3</data/f>, [...], 1, 5) = 1
             pwritev2(3</data/f>, [...], 1, 9, RWF_SYNC) = 2
             preadv2(3</data/f>, [...], 1, -1, 0) = 3
             read(3</data/f>, ""..., 4) = 4"""
    ) == [
        ("read", "f", 8192, 4096),
        ("write", "f", 77, 10),
        ("read", "f", 5, 1),
        ("write", "f", 9, 2),
        ("read", "f", 0, 3),
        ("read", "f", 3, 4),
    ]


def test_failed_and_unfinished_calls_are_left_out() -> None:
    assert (
        operations(
            OPEN
            + """read(3</data/f>, 0x7ff, 4096) = -1 EFAULT (Bad address)
                 write(3</data/f>, ""..., 8) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
                 openat(AT_FDCWD</data>, "g", O_RDONLY) = -1 ENOENT (No such file or directory)
                 read(3</data/f>, <unfinished ...>
                 +++ killed by SIGKILL +++"""
        )
        == []
    )


def test_a_result_with_a_leading_zero_is_a_number_as_well() -> None:
    (call,) = read_lines(["1 umask(077) = 022"])
    assert isinstance(call, Call) and call.result == 22


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    assert (
        operations(
            f"""read(0<pipe:[17]>, ""..., 4096) = 10
                write(1</dev/pts/0>, ""..., 10) = 10
                read(4<socket:[18]>, ""..., 10) = 10
                pread64(5</proc/self/maps>, ""..., 10, 0) = 10
                pread64(6</memfd:x (deleted)>, ""..., 10, 0) = 10
                pread64(7<anon_inode:[eventfd]>, ""..., 10, 0) = 10
                pread64(8<{tmp_path}>, ""..., 10, 0) = 10
                pread64(9</usr/lib/libc.so.6>, ""..., 832, 0) = 832"""
        )
        == []
    )


def test_duplicates_and_forked_children_share_the_position() -> None:
    assert operations(
        """1 openat(AT_FDCWD</data>, "f", O_RDWR) = 3</data/f>
           1 dup(3</data/f>) = 4</data/f>
           1 dup2(4</data/f>, 9) = 9</data/f>
           1 fcntl(9</data/f>, F_DUPFD_CLOEXEC, 20) = 20</data/f>
           1 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 2
           1 read(4</data/f>, ""..., 10) = 10
           2 read(9</data/f>, ""..., 10) = 10
           2 read(20</data/f>, ""..., 10) = 10
           1 read(3</data/f>, ""..., 10) = 10"""
    ) == [("read", "f", offset, 10) for offset in (0, 10, 20, 30)]


def test_opening_twice_makes_two_positions() -> None:
    assert operations(
        OPEN
        + """openat(AT_FDCWD</data>, "/data/f", O_RDONLY) = 4</data/f>
             read(3</data/f>, ""..., 10) = 10
             read(4</data/f>, ""..., 20) = 20"""
    ) == [("read", "f", 0, 10), ("read", "f", 0, 20)]


def test_a_child_closes_its_own_descriptors_and_a_thread_those_of_all() -> None:
    text = """1 openat(AT_FDCWD</data>, "f", O_RDWR) = 3</data/f>
              1 read(3</data/f>, ""..., 10) = 10
              1 clone3({{flags={flags}, exit_signal=0}} => {{parent_tid=[2]}}, 88) = 2
              2 close(3</data/f>) = 0
              2 openat(AT_FDCWD</data>, "g", O_RDWR) = 3</data/g>
              1 read(3<{path}>, ""..., 5) = 5"""
    assert operations(text.format(flags="CLONE_VM", path="/data/f"))[1] == ("read", "f", 10, 5)
    assert operations(text.format(flags="CLONE_VM|CLONE_FILES", path="/data/g"))[1] == ("read", "g", 0, 5)


def test_a_child_that_runs_before_its_parents_call_returns_has_the_parents_files() -> None:
    assert operations(
        """1 openat(AT_FDCWD</data>, "f", O_RDWR) = 3</data/f>
           1 vfork( <unfinished ...>
           2 read(3</data/f>, ""..., 10) = 10
           2 close(3</data/f>) = 0
           2 +++ exited with 0 +++
           1 <... vfork resumed>) = 2
           1 read(3</data/f>, ""..., 10) = 10"""
    ) == [("read", "f", 0, 10), ("read", "f", 10, 10)]


def test_exec_closes_what_was_to_be_closed_and_keeps_the_rest() -> None:
    text = """1 openat(AT_FDCWD</data>, "f", O_RDWR{flag}) = 3</data/f>
              1 read(3</data/f>, ""..., 10) = 10
              {more}
              1 execve("/bin/x", [...], 0x7ff /* 3 vars */) = 0
              1 read(3</data/f>, ""..., 10) = 10"""
    nothing = 'close(9) = -1 EBADF (Bad file descriptor)'
    kept = ("read", "f", 10, 10)
    assert operations(text.format(flag="", more=nothing))[1:] == [kept]
    assert operations(text.format(flag="|O_CLOEXEC", more=nothing))[1:] == []
    assert operations(text.format(flag="|O_CLOEXEC", more="1 fcntl(3</data/f>, F_SETFD, 0) = 0"))[1:] == [kept]
    assert operations(text.format(flag="", more="1 fcntl(3</data/f>, F_SETFD, FD_CLOEXEC) = 0"))[1:] == []


def test_interrupted_lines_are_joined_in_the_order_in_which_calls_return() -> None:
    assert operations(
        """1 openat(AT_FDCWD</data>, "f", O_RDWR) = 3</data/f>
           1 clone3({flags=CLONE_VM|CLONE_FILES} => {parent_tid=[2]}, 88) = 2
           1 pread64(3</data/f>,  <unfinished ...>
           2 pwrite64(3</data/f>, ""..., 8, 16) = 8
           1 <... pread64 resumed>""..., 4096, 4096) = 4096"""
    ) == [("write", "f", 16, 8), ("read", "f", 4096, 4096)]


def test_a_number_may_be_reused_before_its_close_is_seen_to_return() -> None:
    assert operations(
        """1 openat(AT_FDCWD</data>, "f", O_RDWR) = 3</data/f>
           1 clone3({flags=CLONE_VM|CLONE_FILES} => {parent_tid=[2]}, 88) = 2
           1 close(3</data/f> <unfinished ...>
           2 openat(AT_FDCWD</data>, "g", O_RDWR) = 3</data/g>
           1 <... close resumed>) = 0
           2 read(3</data/g>, ""..., 4) = 4"""
    ) == [("read", "g", 0, 4)]


@pytest.mark.parametrize(
    ("before", "start"),
    [
        ('openat(AT_FDCWD</data>, "f", O_WRONLY|O_CREAT|O_TRUNC|O_APPEND, 0644) = 3</data/f>', 0),
        ('openat(AT_FDCWD</data>, "f", O_WRONLY|O_APPEND) = 3</data/f>\nlseek(3</data/f>, 0, SEEK_END) = 70', 70),
        ('openat(AT_FDCWD</data>, "f", O_WRONLY|O_APPEND) = 3</data/f>\nftruncate(3</data/f>, 30) = 0', 30),
    ],
)
def test_appending_writes_stand_at_the_end_once_it_is_known(before: str, start: int) -> None:
    assert operations(
        before
        + """
             write(3</data/f>, ""..., 10) = 10
             pwrite64(3</data/f>, ""..., 5, 0) = 5"""
    ) == [("write", "f", start, 10), ("write", "f", start + 10, 5)]


def test_appending_writes_are_settled_by_a_size_that_shows_later() -> None:
    assert operations(
        """openat(AT_FDCWD</data>, "f", O_WRONLY|O_APPEND) = 3</data/f>
           write(3</data/f>, ""..., 10) = 10
           write(3</data/f>, ""..., 5) = 5
           lseek(3</data/f>, -5, SEEK_END) = 110"""
    ) == [("write", "f", 100, 10), ("write", "f", 110, 5)]


def test_appending_writes_are_settled_by_the_size_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000)
    text = f"""openat(AT_FDCWD</data>, "f", O_WRONLY|O_APPEND) = 3<{path}>
               write(3<{path}>, ""..., 10) = 10
               write(3<{path}>, ""..., 5) = 5"""
    assert [operation[2:] for operation in operations(text)] == [(985, 10), (995, 5)]


def test_copies_in_the_kernel_are_a_read_and_a_write() -> None:
    assert operations(
        OPEN
        + """openat(AT_FDCWD</data>, "g", O_RDWR) = 4</data/g>
             copy_file_range(3</data/f>, [100] => [120], 4</data/g>, NULL, 20, 0) = 20
             sendfile(4</data/g>, 3</data/f>, [0] => [7], 7) = 7
             sendfile(5<socket:[9]>, 3</data/f>, NULL, 9) = 9
             splice(3</data/f>, NULL, 6<pipe:[3]>, NULL, 2, 0) = 2"""
    ) == [
        ("read", "f", 100, 20),
        ("write", "g", 0, 20),
        ("read", "f", 0, 7),
        ("write", "g", 20, 7),
        ("read", "f", 0, 9),
        ("read", "f", 9, 2),
    ]


def test_syncs_count_once_the_file_has_been_used() -> None:
    assert operations(
        OPEN
        + """fsync(3</data/f>) = 0
             write(3</data/f>, ""..., 10) = 10
             fdatasync(3</data/f>) = 0"""
    ) == [("write", "f", 0, 10), ("sync", "f", 0, 0)]


def test_a_descriptor_that_came_unseen_counts_only_where_the_offset_is_given() -> None:
    files = OpenFiles("/data")
    text = """1 read(7</data/f>, ""..., 10) = 10
              1 pread64(7</data/f>, ""..., 10, 50) = 10
              1 lseek(7</data/f>, 5, SEEK_SET) = 5
              1 read(7</data/f>, ""..., 10) = 10"""
    for event in read_lines(line.strip() for line in text.splitlines()):
        files.take(event)
    assert [(operation.offset, operation.length) for operation in files.operations] == [(50, 10), (5, 10)]
    assert files.unknown_positions == 1


def test_inherited_descriptors_start_where_the_parent_left_them() -> None:
    files = OpenFiles("/data")
    files.inherit(0, "/data/in", 40, 100, False)
    files.inherit(1, "/data/out", 7, 20, True)
    files.inherit(2, "/data/out", 7, 20, True)
    text = """1 read(0</data/in>, ""..., 10) = 10
              1 write(1</data/out>, ""..., 5) = 5
              1 write(2</data/out>, ""..., 5) = 5"""
    for event in read_lines(line.strip() for line in text.splitlines()):
        files.take(event)
    assert [operation.offset for operation in files.operations] == [40, 20, 25]


def test_only_keeps_what_matches_by_name_or_path() -> None:
    text = OPEN + """openat(AT_FDCWD</data>, "g", O_RDWR) = 4</data/sub/g.so>
                     read(3</data/f>, ""..., 10) = 10
                     read(4</data/sub/g.so>, ""..., 10) = 10"""
    assert operations(text, only=["g.*"]) == [("read", "sub/g.so", 0, 10)]
    assert operations(text, only=["sub/*"]) == [("read", "sub/g.so", 0, 10)]
    assert operations(text, only=["/data/f"]) == [("read", "f", 0, 10)]
    assert operations(text) == [("read", "f", 0, 10)]


def test_what_a_trace_cannot_hold_is_counted() -> None:
    files = OpenFiles("/data")
    text = OPEN + 'pread64(3</data/f>, ""..., 8, 144115188075855872) = 8'
    for event in read_lines("1 " + line.strip() for line in text.splitlines()):
        files.take(event)
    assert files.operations == []
    assert files.out_of_bounds == 1


def test_lines_that_are_not_understood_are_counted_and_stop_nothing() -> None:
    files = OpenFiles("/data")
    text = OPEN + 'pread64(3</data/f>) = 8\nnonsense\n\n((((\nread(3</data/f>, ""..., 4) = 4'
    for event in read_lines("1 " + line for line in text.splitlines()):
        files.take(event)
    assert len(files.operations) == 1
    assert files.not_understood == 1


def test_names_with_brackets_commas_quotes_and_bytes_survive() -> None:
    line = r'1 openat(AT_FDCWD</d>, "a, <b> \"c", O_RDONLY) = 3</d/a, \74b\76 \"c\\\303\274>'
    (call,) = read_lines([line])
    assert isinstance(call, Call)
    assert call.arguments == ["AT_FDCWD</d>", r'"a, <b> \"c"', "O_RDONLY"]
    assert call.result_path == '/d/a, <b> "c\\ü'
    assert unescape(r"\377") == "\udcff"
    assert split_arguments("3</a,b>, {x=[1, 2], y=(3)}, ) = 0")[0] == ["3</a,b>", "{x=[1, 2], y=(3)}", ""]
