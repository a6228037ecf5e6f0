"""Follows the files that processes have open, so that every read and write has a file and an offset.

A position belongs to an open file description, which descriptors share after dup and fork; a table of descriptors is
shared by threads and copied by fork. A file is known by the path it was opened with.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from page_map_lab.strace_lines import Call, Exit, descriptor
from page_map_lab.trace_format import (
    MAX_FILES,
    MAX_LENGTH_BYTES,
    MAX_NAME_BYTES,
    MAX_OFFSET_BYTES,
    MAX_OPERATIONS,
    Kind,
    Operation,
)

_SKIPPED_PREFIXES = ("/dev/", "/proc/", "/sys/", "/memfd:")
_DELETED = " (deleted)"
# The loader reads the head of each library that every program starts with; the rest it maps.
_SHARED_LIBRARY = re.compile(r"\.so(\.[0-9.]+)?$")


@dataclass(slots=True)
class RecordedFile:
    """A file that the program read or wrote. What was appended before the file's size was known waits in `appended`,
    its offsets counted from the first such byte."""

    path: str
    number: int | None = None  # in the trace; None before its first operation
    size: int | None = None
    appended: list[Operation] = field(default_factory=list)
    growth: int = 0

    def learn_size(self, size: int) -> None:
        """The file has `size` bytes now; what was appended so far ends there."""
        for operation in self.appended:
            operation.offset += max(size - self.growth, 0)
        self.appended.clear()
        self.growth = 0
        self.size = size


@dataclass(slots=True)
class OpenFile:
    """An open file description. `file` is None for what is not recorded."""

    file: RecordedFile | None
    position: int | None = 0
    appends: bool = False


@dataclass(slots=True)
class Descriptor:
    """One number in a process's table."""

    open_file: OpenFile
    close_on_exec: bool = False


Table = dict[int, Descriptor]


@dataclass(slots=True)
class _Parent:
    """A call that makes a process or thread and has not returned."""

    pid: int
    shares_table: bool


def is_recordable(path: str) -> bool:
    """Whether a path is that of a regular file. What is gone by now is taken for one."""
    if not path.startswith("/") or path.startswith(_SKIPPED_PREFIXES):
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


class OpenFiles:
    """Takes system calls in order and gathers the operations they make."""

    def __init__(self, start_folder: str, only: list[str] | None = None) -> None:
        self.operations: list[Operation] = []
        self.file_names: list[str] = []
        self.unknown_positions = 0  # reads and writes left out because their position is not known
        self.out_of_bounds = 0  # operations left out because the trace cannot hold them
        self.not_understood = 0  # calls whose line has another form than expected
        self._start_folder = start_folder
        self._only = only or []
        self._inherited: Table = {}
        self._tables: dict[int, Table] = {}
        self._files: dict[str, RecordedFile | None] = {}
        self._parents: list[_Parent] = []
        self._handlers = self._make_handlers()

    # The files

    def file_at(self, path: str) -> RecordedFile | None:
        """The file with this path, or None where it is not recorded."""
        path = path.removesuffix(_DELETED)
        if path not in self._files:
            self._files[path] = RecordedFile(path) if self._is_wanted(path) else None
        return self._files[path]

    def _shown(self, path: str) -> str:
        folder = self._start_folder.rstrip("/") + "/"
        return path.removeprefix(folder)

    def _is_wanted(self, path: str) -> bool:
        if not is_recordable(path) or len(os.fsencode(path)) > MAX_NAME_BYTES:
            return False
        names = (path, self._shown(path), os.path.basename(path))
        if self._only:
            return any(fnmatch.fnmatchcase(name, glob) for glob in self._only for name in names)
        return _SHARED_LIBRARY.search(path) is None

    def finish(self) -> None:
        """Settles what was appended to files whose size never showed, from the sizes they have now."""
        for file in self._files.values():
            if file is not None and file.appended:
                try:
                    file.learn_size(os.stat(file.path).st_size)
                except OSError:
                    file.learn_size(file.growth)

    def inherit(self, number: int, path: str, position: int, size: int, appends: bool) -> None:
        """The first process starts with this descriptor open."""
        file = self.file_at(path)
        if file is not None:
            file.size = size
        # Output and error of one file are nearly always one description, as after 2>&1.
        for entry in self._inherited.values():
            if file is not None and entry.open_file.file is file and entry.open_file.appends == appends:
                self._inherited[number] = Descriptor(entry.open_file)
                return
        self._inherited[number] = Descriptor(OpenFile(file, position, appends))

    # The operations

    def _append(self, kind: Kind, file: RecordedFile, offset: int, length: int) -> Operation | None:
        too_large = length > MAX_LENGTH_BYTES or offset + length > MAX_OFFSET_BYTES
        no_room = len(self.operations) == MAX_OPERATIONS or (file.number is None and len(self.file_names) == MAX_FILES)
        if too_large or no_room or offset < 0:
            self.out_of_bounds += 1
            return None
        if file.number is None:
            if kind == Kind.SYNC:
                return None  # nothing of this file is in the trace yet
            file.number = len(self.file_names)
            self.file_names.append(self._shown(file.path))
        operation = Operation(kind, file.number, offset, length)
        self.operations.append(operation)
        return operation

    def _transfer(self, kind: Kind, opened: OpenFile, length: int, offset: int | None, appends: bool) -> None:
        """One successful read or write; `offset` is None where it happens at the position, and moves it."""
        file = opened.file
        if file is None or length == 0:
            return
        if kind == Kind.WRITE and appends:
            self._append_to_end(opened, file, length, moves=offset is None)
            return
        place = opened.position if offset is None else offset
        if place is None:
            self.unknown_positions += 1
            return
        self._append(kind, file, place, length)
        if offset is None:
            opened.position = place + length
        if kind == Kind.WRITE and file.size is not None:
            file.size = max(file.size, place + length)

    def _append_to_end(self, opened: OpenFile, file: RecordedFile, length: int, moves: bool) -> None:
        known = file.size is not None
        start = file.size if file.size is not None else file.growth
        operation = self._append(Kind.WRITE, file, start, length)
        if known:
            file.size = start + length
        else:
            file.growth += length
            if operation is not None:
                file.appended.append(operation)
        if moves:
            opened.position = file.size

    # The processes

    def take(self, event: Call | Exit) -> None:
        """Takes one event of the program."""
        if isinstance(event, Exit):
            self._tables.pop(event.pid, None)
            return
        if event.begins:
            self._begin(event)
            return
        if event.name in _PROCESS_MAKERS:
            self._made_process(event)
            return
        if event.name == "close" and event.resumes:
            return  # done when it began
        handler = self._handlers.get(event.name)
        if handler is not None and event.result is not None:
            try:
                handler(event, self._table(event.pid))
            except (ValueError, IndexError):
                self.not_understood += 1

    def _begin(self, call: Call) -> None:
        # A number that is being closed may be handed out again before the call is seen to return.
        if call.name == "close":
            self._close(call, self._table(call.pid))
        elif call.name in _PROCESS_MAKERS:
            self._parents.append(_Parent(call.pid, _shares_table(call)))

    def _table(self, pid: int) -> Table:
        """The table of a thread; one that was not heard of before comes from a call that has not returned yet."""
        if pid not in self._tables:
            if not self._tables:
                self._tables[pid] = self._inherited
            elif self._parents:
                parent = self._parents.pop(0)
                self._tables[pid] = self._child_table(parent.pid, parent.shares_table)
            else:
                self._tables[pid] = {}
        return self._tables[pid]

    def _child_table(self, parent: int, shares: bool) -> Table:
        table = self._table(parent)
        if shares:
            return table
        return {number: Descriptor(entry.open_file, entry.close_on_exec) for number, entry in table.items()}

    def _made_process(self, call: Call) -> None:
        self._parents = [parent for parent in self._parents if parent.pid != call.pid]
        if call.result and call.result not in self._tables:
            self._tables[call.result] = self._child_table(call.pid, _shares_table(call))

    # The system calls: each takes a call that succeeded and its process's table

    def _make_handlers(self) -> dict[str, Callable[[Call, Table], None]]:
        handlers: dict[str, Callable[[Call, Table], None]] = {
            "lseek": self._seek,
            "close": self._close,
            "close_range": self._close_range,
            "dup": self._duplicate,
            "dup2": self._duplicate,
            "dup3": self._duplicate,
            "fcntl": self._fcntl,
            "ftruncate": self._truncate,
            "sendfile": self._send_file,
            "copy_file_range": self._copy_range,
            "splice": self._copy_range,
            "execve": self._execute,
            "execveat": self._execute,
        }
        for name in ("open", "openat", "openat2", "creat"):
            handlers[name] = self._open
        for name in ("read", "readv", "write", "writev"):
            handlers[name] = self._at_position
        for name in ("pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2"):
            handlers[name] = self._at_offset
        for name in ("fsync", "fdatasync", "sync_file_range"):
            handlers[name] = self._sync
        return handlers

    def _opened(self, argument: str, table: Table) -> OpenFile | None:
        """The description behind an argument. One that came into the process unseen has a path but no position."""
        found = descriptor(argument)
        if found is None:
            return None
        number, path = found
        if number not in table:
            file = self.file_at(path) if path is not None else None
            if file is None:
                return None
            table[number] = Descriptor(OpenFile(file, position=None))
        return table[number].open_file

    def _open(self, call: Call, table: Table) -> None:
        if call.result is None or call.result_path is None:
            return
        file = self.file_at(call.result_path)
        flags = "O_WRONLY|O_CREAT|O_TRUNC" if call.name == "creat" else "".join(
            argument for argument in call.arguments if argument.startswith(("O_", "{flags="))
        )
        if file is not None and ("O_TRUNC" in flags or "O_EXCL" in flags):
            file.learn_size(file.growth)  # what was appended before stood at the start of some earlier contents
            file.size = 0
        table[call.result] = Descriptor(OpenFile(file, 0, "O_APPEND" in flags), "O_CLOEXEC" in flags)

    def _at_position(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if opened is not None and call.result is not None:
            kind = Kind.READ if call.name.startswith("read") else Kind.WRITE
            self._transfer(kind, opened, call.result, None, opened.appends)

    def _at_offset(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if opened is None or call.result is None:
            return
        kind = Kind.READ if call.name.startswith("pread") else Kind.WRITE
        offset = int(call.arguments[3])
        appends = opened.appends or "RWF_APPEND" in call.arguments[-1]
        # preadv2 and pwritev2 take -1 for "at the position".
        self._transfer(kind, opened, call.result, None if offset == -1 else offset, appends)

    def _sync(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if opened is not None and opened.file is not None:
            self._append(Kind.SYNC, opened.file, 0, 0)

    def _seek(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if opened is None or call.result is None:
            return
        opened.position = call.result
        if opened.file is not None and call.arguments[2] == "SEEK_END":
            opened.file.learn_size(call.result - int(call.arguments[1]))

    def _truncate(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if opened is not None and opened.file is not None:
            opened.file.learn_size(opened.file.growth)
            opened.file.size = int(call.arguments[1])

    def _close(self, call: Call, table: Table) -> None:
        found = descriptor(call.arguments[0]) if call.arguments else None
        if found is not None:
            table.pop(found[0], None)

    def _close_range(self, call: Call, table: Table) -> None:
        first, last = (int(argument.split("<")[0], 0) for argument in call.arguments[:2])
        for number in [number for number in table if first <= number <= last]:
            if "CLOSE_RANGE_CLOEXEC" in call.arguments[2]:
                table[number].close_on_exec = True
            else:
                del table[number]

    def _duplicate(self, call: Call, table: Table) -> None:
        opened = self._opened(call.arguments[0], table)
        if call.result is None:
            return
        if opened is None:
            table.pop(call.result, None)
        elif call.name != "dup2" or int(call.arguments[0].split("<")[0]) != call.result:
            table[call.result] = Descriptor(opened, "CLOEXEC" in call.arguments[-1])

    def _fcntl(self, call: Call, table: Table) -> None:
        command = call.arguments[1]
        if command.startswith("F_DUPFD"):
            opened = self._opened(call.arguments[0], table)
            if opened is not None and call.result is not None:
                table[call.result] = Descriptor(opened, command == "F_DUPFD_CLOEXEC")
            return
        opened = self._opened(call.arguments[0], table) if command in ("F_SETFD", "F_SETFL") else None
        if opened is None:
            return
        if command == "F_SETFD":
            number = int(call.arguments[0].split("<")[0])
            table[number].close_on_exec = "FD_CLOEXEC" in call.arguments[2]
        else:
            opened.appends = "O_APPEND" in call.arguments[2]

    def _send_file(self, call: Call, table: Table) -> None:
        target, source, offset = call.arguments[:3]
        self._copy(call.result or 0, (source, offset), (target, "NULL"), table)

    def _copy_range(self, call: Call, table: Table) -> None:
        source, source_offset, target, target_offset = call.arguments[:4]
        self._copy(call.result or 0, (source, source_offset), (target, target_offset), table)

    def _copy(self, length: int, source: tuple[str, str], target: tuple[str, str], table: Table) -> None:
        for kind, (argument, offset) in ((Kind.READ, source), (Kind.WRITE, target)):
            opened = self._opened(argument, table)
            if opened is not None:
                place = None if offset == "NULL" else int(offset.split("]")[0].lstrip("["))
                self._transfer(kind, opened, length, place, opened.appends)

    def _execute(self, call: Call, table: Table) -> None:
        self._tables[call.pid] = {number: entry for number, entry in table.items() if not entry.close_on_exec}


_PROCESS_MAKERS = frozenset(("clone", "clone3", "fork", "vfork"))


def _shares_table(call: Call) -> bool:
    return any("CLONE_FILES" in argument for argument in call.arguments)
