"""What the time inside a removal's phases was: system calls, flushes, interrupts, waiting for locks, grace periods, own work.

Made of the lab's own marks (when each phase began and ended) and of the kernel's tracepoints on the same clock. A moment that
is several of these at once (a flush is inside a system call) counts as the first of KINDS, so that the kinds add up to the phase.
What a thread waits for is what its marks say, never what the call is called: each flavour of RCU waits by other calls, and a
futex is an agent's answer as well as a lock. Of the kernel's own locks its tracepoints tell.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file
from page_map_lab.cli_errors import UsageError
from page_map_lab.perf_script import TraceEvent, system_call_name
from page_map_lab.plain_types import fits, misfit

GRACE, LOCK, DESCHEDULED, FLUSH, INTERRUPT, CALL, OWN = KINDS = (
    "grace periods", "waiting for locks", "descheduled", "flushes", "interrupts", "system calls", "own work",
)  # fmt: skip
SWITCH = "PERF_RECORD_SWITCH"
AROUND = "around the phases"
FILE_NAME = "attribution.json"
ROW = {"variant": str, "phase": str, "total_ns": float, "kinds": dict[str, float | None]}
LONGEST_NS = 1e18  # thirty years; not a number is below nothing
NO_ANSWERS = (
    "Flushes are not told apart where none that was sent was answered by an interrupt: the machine flushes without interrupts (a hypervisor, "
    'INVLPGB), or its interrupts cannot be traced here. Their time is in "system calls".'
)
SENT_REASON, RECEIVED_REASON = 4, 1
# The phases in which a removal does nothing but wait.
WAITING_PHASES = {"lock": LOCK, "grace_period": GRACE}


@dataclass(frozen=True)
class Span:
    """Something that a thread did from when to when."""

    kind: str
    name: str
    thread: int
    cpu: int
    started_ns: int
    ended_ns: int


@dataclass(frozen=True)
class Mark:
    """One of the lab's own marks."""

    cell: str
    name: str
    role: str
    run: int
    thread: int
    started_ns: int
    ended_ns: int


@dataclass(frozen=True)
class Attribution:
    """The table of one session; `rows` hold variant, phase, total_ns and kinds, None for a kind that was not told apart; `notes` say why."""

    host: str
    workload: str
    removals: int
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    path: Path = Path(FILE_NAME)


def read_marks(path: Path) -> list[Mark]:
    """The marks that a benchmark wrote with --timeline. Errors: usage, where the file is none of these."""
    value = atomic_file.read_json(path, "the timeline of a benchmark")
    try:
        marks = [Mark(**mark) for mark in value["marks"]]
    except (TypeError, KeyError) as error:
        raise UsageError(f"{path}: not the timeline of a benchmark ({error}): profile again") from error
    wrong = next((name for mark in marks if (name := misfit(mark))), None)
    if wrong:
        raise UsageError(f"{path}: not the timeline of a benchmark (the {wrong} of a mark is of another type): profile again")
    return marks


def write(path: Path, found: Attribution) -> None:
    """Keeps the table where `lab report` finds it."""
    path.write_text(json.dumps({key: value for key, value in asdict(found).items() if key != "path"}, indent=1) + "\n", encoding="utf-8")


def find(paths: Sequence[Path]) -> list[Attribution]:
    """The tables of every session below the folders."""
    return [_read(file) for file in sorted({file for path in paths if path.is_dir() for file in path.rglob(FILE_NAME)})]


def _read(path: Path) -> Attribution:
    value = atomic_file.read_json(path, "the table of a profile")
    try:
        found = Attribution(**{**value, "path": path})
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a character cannot be written into a page
    except (TypeError, UnicodeEncodeError) as error:
        raise _damaged(path, str(error)) from error
    if wrong := misfit(found):
        raise _damaged(path, f"its {wrong} is of another type")
    if not all(_is_row(row) for row in found.rows):
        raise _damaged(path, "a row of it is none of variant, phase, total_ns and kinds")
    return found


def _damaged(path: Path, what: str) -> UsageError:
    return UsageError(f"{path}: not the table of a profile ({what}): make it again with `lab profile`, or leave its folder out")


def _is_row(row: dict[str, Any]) -> bool:
    if not all(name in row and fits(row[name], wanted) for name, wanted in ROW.items()):
        return False
    return all(nanoseconds is None or 0 <= nanoseconds < LONGEST_NS for nanoseconds in (row["total_ns"], *row["kinds"].values()))


def spans_of(events: Sequence[TraceEvent]) -> list[Span]:
    """Pairs each entry with its exit: system calls and lock waits by thread, interrupts by processor, switches by thread; and flushes, which
    last from their sending to the last answer that came within the system call."""
    open_calls: dict[int, TraceEvent] = {}
    open_waits: dict[int, TraceEvent] = {}
    gone: dict[int, TraceEvent] = {}
    open_interrupts: dict[tuple[int, str], TraceEvent] = {}
    spans: list[Span] = []
    sent: list[TraceEvent] = []
    for event in sorted(events, key=lambda event: event.time_ns):
        system, _, name = event.name.partition(":")
        if event.name == "raw_syscalls:sys_enter":
            open_calls[event.thread] = event
        elif event.name == "raw_syscalls:sys_exit" and event.thread in open_calls:
            entered = open_calls.pop(event.thread)
            spans.append(_span(CALL, system_call_name(entered.number("NR")), entered, event))
        elif event.name == "lock:contention_begin":
            open_waits[event.thread] = event
        elif event.name == "lock:contention_end" and event.thread in open_waits:
            spans.append(_span(LOCK, "kernel lock", open_waits.pop(event.thread), event))
        elif event.name == SWITCH and event.fields.startswith("OUT"):
            gone[event.thread] = event
        elif event.name == SWITCH and event.thread in gone:
            spans.append(_span(DESCHEDULED, "descheduled", gone.pop(event.thread), event))
        elif system == "irq_vectors" and name.endswith("_entry"):
            open_interrupts[(event.cpu, name.removesuffix("_entry"))] = event
        elif system == "irq_vectors" and (event.cpu, name.removesuffix("_exit")) in open_interrupts:
            began = open_interrupts.pop((event.cpu, name.removesuffix("_exit")))
            spans.append(_span(INTERRUPT, name.removesuffix("_exit"), began, event))
        elif event.name == "tlb:tlb_flush" and event.reason() == SENT_REASON:
            sent.append(event)
    return sorted([*spans, *_flushes(sent, spans)], key=lambda span: span.started_ns)


def _span(kind: str, name: str, began: TraceEvent, ended: TraceEvent) -> Span:
    return Span(kind, name, began.thread, began.cpu, began.time_ns, ended.time_ns)


def _flushes(sent: Iterable[TraceEvent], spans: Sequence[Span]) -> list[Span]:
    calls: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if span.kind == CALL:
            calls[span.thread].append(span)
    answers = [span for span in spans if span.kind == INTERRUPT and span.name.startswith("call_function")]
    found, position = [], 0
    for event in sent:
        while position < len(answers) and answers[position].ended_ns < event.time_ns:
            position += 1
        around = next((c for c in calls[event.thread] if c.started_ns <= event.time_ns <= c.ended_ns), None)
        limit = around.ended_ns if around else event.time_ns
        last: dict[int, int] = {}
        for answer in answers[position:]:
            if answer.started_ns > limit:
                break
            if answer.cpu != event.cpu and answer.ended_ns <= limit:
                last.setdefault(answer.cpu, answer.ended_ns)
        found.append(Span(FLUSH, "flush", event.thread, event.cpu, event.time_ns, max(last.values(), default=event.time_ns)))
    return found


def tells_flushes_apart(spans: Iterable[Span]) -> bool:
    """Whether it is known how long flushes took: some of those that were sent had an answer, or none was sent."""
    flushes = [span for span in spans if span.kind == FLUSH]
    return not flushes or any(span.ended_ns > span.started_ns for span in flushes)


def attribution_notes(rows: Iterable[dict[str, Any]], why_no_locks: str = "") -> list[str]:
    """What has to be said of rows in which a kind was not told apart, or the kernel's own locks were not traced."""
    notes = [NO_ANSWERS] if any(row["kinds"][FLUSH] is None for row in rows) else []
    if why_no_locks:
        notes.append(
            f'"waiting for locks" is without the kernel\'s own, which were not traced ({why_no_locks}): they are in "system calls" or "descheduled".'
        )
    return notes


def attribute(started_ns: int, ended_ns: int, spans: Iterable[Span]) -> dict[str, int]:
    """How the nanoseconds of an interval of one thread divide into KINDS; they add up to it."""
    changes: list[tuple[int, int, str]] = []
    for span in spans:
        begin, end = max(span.started_ns, started_ns), min(span.ended_ns, ended_ns)
        if begin < end:
            changes += [(begin, 1, span.kind), (end, -1, span.kind)]
    active = dict.fromkeys(KINDS, 0)
    active[OWN] = 1
    found = dict.fromkeys(KINDS, 0)
    before = started_ns
    for moment, change, kind in sorted(changes):
        found[next(k for k in KINDS if active[k])] += moment - before
        active[kind] += change
        before = moment
    found[OWN if not any(active[k] for k in KINDS[:-1]) else next(k for k in KINDS if active[k])] += ended_ns - before
    return found


def runs_of(marks: Sequence[Mark]) -> dict[int, list[Mark]]:
    """The marks of each watched removal."""
    runs: dict[int, list[Mark]] = defaultdict(list)
    for mark in marks:
        runs[mark.run].append(mark)
    return dict(runs)


def attribution_rows(variant: str, marks: Sequence[Mark], spans: Sequence[Span]) -> tuple[int, list[dict[str, Any]]]:
    """The watched removals of one variant: how many, one row a phase, and one for what is around the phases. Means, so that the kinds add
    up and a grace period that several removals share is shared here, too."""
    phases: dict[str, Counter[str]] = {}
    outside: Counter[str] = Counter()
    removals = 0
    for run in runs_of(marks).values():
        whole = next((mark for mark in run if mark.name == "removal"), None)
        if whole is None:
            continue
        removals += 1
        parts = [mark for mark in run if mark.role == "initiator" and mark is not whole]
        mine = [*(span for span in spans if span.thread == whole.thread), *_waits(parts)]
        around = Counter(attribute(whole.started_ns, whole.ended_ns, mine))
        for mark in parts:
            found = attribute(mark.started_ns, mark.ended_ns, mine)
            phases.setdefault(mark.name, Counter()).update(found)
            around.subtract(found)
        outside.update(around)
    rows = [
        {"variant": variant, "phase": name, "total_ns": found.total() / removals, "kinds": {kind: found[kind] / removals for kind in KINDS}}
        for name, found in {**phases, AROUND: outside}.items()
        if removals
    ]
    if not tells_flushes_apart(spans):
        for row in rows:
            row["kinds"][FLUSH] = None
    return removals, rows


def _waits(phases: Iterable[Mark]) -> list[Span]:
    """What the marks say that their thread waited for."""
    return [
        Span(WAITING_PHASES[mark.name], mark.name, mark.thread, -1, mark.started_ns, mark.ended_ns)
        for mark in phases
        if mark.name in WAITING_PHASES
    ]
