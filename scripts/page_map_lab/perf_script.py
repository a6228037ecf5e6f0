"""Reads what `perf script` prints: samples with their call stacks, tracepoints with their fields, and switches."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_HEAD = re.compile(r"^\s*(?P<comm>.+?)\s+(?P<tid>\d+)\s+\[(?P<cpu>-?\d+)\]\s+(?P<seconds>\d+)\.(?P<fraction>\d+):\s+(?:(?P<period>\d+)\s+)?(?P<rest>\S.*)$")
_FRAME = re.compile(r"^\s+([0-9a-f]+)\s+(.+?)(?:\s+\(([^()]*(?:\([^()]*\))?[^()]*)\))?$")
_EVENT = re.compile(r"^(\w+:\w+|[\w/=,.-]+):[a-zA-Z]*:?\s*(.*)$")

_SYSTEM_CALLS = {
    "x86_64": {0: "read", 1: "write", 7: "poll", 9: "mmap", 10: "mprotect", 11: "munmap", 17: "pread64", 18: "pwrite64", 24: "sched_yield",
               25: "mremap", 28: "madvise", 202: "futex", 228: "clock_gettime", 285: "fallocate", 324: "membarrier",
               426: "io_uring_enter", 440: "process_madvise"},
    "aarch64": {47: "fallocate", 63: "read", 64: "write", 67: "pread64", 68: "pwrite64", 73: "ppoll", 98: "futex", 113: "clock_gettime",
                124: "sched_yield", 215: "munmap", 216: "mremap", 222: "mmap", 226: "mprotect", 233: "madvise", 283: "membarrier",
                426: "io_uring_enter", 440: "process_madvise"},
}  # fmt: skip


@dataclass(frozen=True)
class TraceEvent:
    """One line of a trace: a tracepoint with its fields as text, or a sample with its stack, the innermost frame first."""

    thread_name: str
    thread: int
    cpu: int
    time_ns: int
    name: str
    fields: str
    stack: tuple[str, ...] = ()

    def number(self, field: str) -> int:
        """The number behind `field`, or -1."""
        found = re.search(rf"\b{field}[ :=]\s*(-?\d+)", self.fields)
        return int(found.group(1)) if found else -1

    def reason(self) -> int:
        """The reason of a tlb_flush, which is printed as its words with its number in brackets."""
        found = re.search(r"reason[:=].*?\(?(\d+)\)?\s*$", self.fields)
        return int(found.group(1)) if found else -1


def system_call_name(number: int, machine: str | None = None) -> str:
    """The system call's name, or its number."""
    return _SYSTEM_CALLS.get(machine or platform.machine(), {}).get(number, f"system call {number}")


def read_events(lines: Iterable[str]) -> Iterator[TraceEvent]:
    """Every event in the order of the file."""
    head: re.Match[str] | None = None
    stack: list[str] = []
    for line in lines:
        line = line.rstrip("\n")
        if not line.strip():
            continue
        frame = _FRAME.match(line) if head is not None else None
        if frame is not None and line.startswith(("\t", " " * 8)):
            stack.append(frame.group(2) + ("_[k]" if _is_kernel(frame.group(1)) else ""))
            continue
        if head is not None:
            yield _event(head, stack)
        head, stack = _HEAD.match(line), []
    if head is not None:
        yield _event(head, stack)


def _is_kernel(address: str) -> bool:
    return len(address) == 16 and address.startswith("ffff")


def _event(head: re.Match[str], stack: list[str]) -> TraceEvent:
    rest = head["rest"].strip()
    named = _EVENT.match(rest)
    name, fields = (named.group(1), named.group(2)) if named else (rest.split(" ")[0], " ".join(rest.split(" ")[1:]))
    time_ns = int(head["seconds"]) * 1_000_000_000 + int(head["fraction"].ljust(9, "0")[:9])
    return TraceEvent(head["comm"], int(head["tid"]), int(head["cpu"]), time_ns, name, fields, tuple(stack))


def short_name(symbol: str) -> str:
    """A C++ symbol without template arguments, parameters and this project's namespaces: `PageMap::remove_contig`."""
    kernel = symbol.endswith("_[k]")
    text = symbol.removesuffix("_[k]")
    kept, depth = [], 0
    for position, sign in enumerate(text):
        if sign in "<({" and not text.startswith(("operator<", "operator("), max(0, position - 8)):
            kept.append("{lambda}" if depth == 0 and text.startswith("{lambda", position) else "")
            depth += 1
        elif sign in ">)}" and depth and text[position - 1 : position + 1] != "->":
            depth -= 1
        elif depth == 0:
            kept.append(sign)
    short = re.sub(r"\bpage_map_lab::(bench::)?|\(anonymous namespace\)::", "", "".join(kept)).strip()
    short = short.split(" ")[-1] if "operator" not in short else short
    return (short or text) + ("_[k]" if kernel else "")
