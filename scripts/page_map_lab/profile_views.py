"""The views of a profiling session: each is recorded and drawn here, or says why it cannot be had on this machine.

Every view is a launch of its own under perf, switched on and off by the benchmark itself, so that fixtures, preparations and
checks are in none of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import flame_graph, perf, sample_kinds, timeline, trace_attribution
from page_map_lab.cli_errors import CheckFailedError, LabError
from page_map_lab.machine import Machine
from page_map_lab.perf_script import TraceEvent

LOCK_TRACEPOINTS = ("lock:contention_begin", "lock:contention_end")
TRACEPOINTS = (
    "raw_syscalls:sys_enter", "raw_syscalls:sys_exit", "tlb:tlb_flush",
    "irq_vectors:call_function_entry", "irq_vectors:call_function_exit",
    "irq_vectors:call_function_single_entry", "irq_vectors:call_function_single_exit",
    "irq_vectors:local_timer_entry", "irq_vectors:local_timer_exit",
    "irq_vectors:reschedule_entry", "irq_vectors:reschedule_exit",
    *LOCK_TRACEPOINTS,
)  # fmt: skip
TRACEPOINTS_FOLDER = "/sys/kernel/tracing/events"
# What takes hardware counters: the title of each view, and perf's command for it.
HARDWARE_VIEWS = {
    "False sharing (perf c2c)": ["c2c", "record", "-q"],
    "Memory sampling (perf mem)": ["mem", "record", "-q"],
    "Top-down levels (perf stat)": ["stat", "--topdown"],
}
Launch = Callable[[list[str], Path, str], None]
# Makes the benchmark's command line for one variant, with a record of that name in that folder.
CommandFor = Callable[[str, Path, str, Sequence[str]], list[str]]


@dataclass
class View:
    """One view of one variant, or of two: files relative to the session, or the reason why there are none."""

    title: str
    files: list[str] = field(default_factory=list)
    why_not: str = ""
    note: str = ""


@dataclass
class VariantViews:
    """Everything about one variant."""

    variant: str
    views: list[View] = field(default_factory=list)
    profile: perf.Profile | None = None
    kinds: dict[str, dict[str, float]] = field(default_factory=dict)
    locks: list[dict[str, Any]] | None = None  # None where waits for the kernel's locks were not traced, for this reason:
    why_no_locks: str = ""
    stacks: dict[tuple[str, ...], float] = field(default_factory=dict)
    removals: int = 0
    attribution: list[dict[str, Any]] = field(default_factory=list)
    trace_events: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Recorder:
    """How this session records: where, with which launches, and by which event."""

    session: Path
    launch: Launch
    command_for: CommandFor
    event: str
    frequency: int
    marks_phases: bool
    machine: Machine

    def of_variant(self, number: int, variant: str, folder: Path) -> VariantViews:
        """Records every view of one variant."""
        found = VariantViews(variant)
        self._samples(found, folder)
        self._off_cpu(found, folder)
        self._trace(number, found, folder)
        if self.machine.has_pmu():
            found.views += [self._hardware(title, words, variant, folder) for title, words in HARDWARE_VIEWS.items()]
        return found

    def _record(self, data: Path, events: list[str], variant: str, *more: str) -> None:
        with perf.Control(data.parent) as control:
            command = self.command_for(variant, data.parent, f"record-under-{data.stem}.json", more)
            self.launch(perf.record_command(data, events, control, command), data.parent, f"{variant}, {data.stem}")

    def _hardware(self, title: str, words: list[str], variant: str, folder: Path) -> View:
        if why := perf.why_not(words):
            return View(title, why_not=f"this processor cannot: {why}")
        name, counts = words[0], words[0] == "stat"
        text = folder / f"{name}.txt"
        target = text if counts else folder / f"{name}.data"
        with perf.Control(folder) as control:
            command = self.command_for(variant, folder, f"record-under-{name}.json", [])
            try:
                self.launch(perf.switched_command(words, target, control, command), folder, f"{variant}, perf {name}")
            except CheckFailedError:
                raise
            except LabError as error:
                return View(title, why_not=str(error))
        if not counts:
            text.write_text(perf.report(name, target), encoding="utf-8")
        return View(title, [self._name(text)])

    def _name(self, path: Path) -> str:
        return path.relative_to(self.session).as_posix()

    def _samples(self, found: VariantViews, folder: Path) -> None:
        data = folder / "perf.data"
        self._record(data, perf.sampling(self.event, self.frequency), found.variant)
        samples = perf.events_of(data, "comm,tid,cpu,time,event,ip,sym")
        found.stacks = flame_graph.fold(samples)
        found.kinds = sample_kinds.shares(samples)
        found.profile = perf.texts(folder, found.variant)
        drawn = folder / "flame.svg"
        drawn.write_text(flame_graph.draw(found.stacks, f"On the processor: {found.variant}", "samples"), encoding="utf-8")
        found.views.append(View("Flame graph", [self._name(drawn)]))

    def _off_cpu(self, found: VariantViews, folder: Path) -> None:
        why = perf.why_not_event("sched:sched_switch")
        if why:
            found.views.append(View("Off the processor", why_not=f"sched:sched_switch cannot be recorded: {why}"))
            return
        data = folder / "off-cpu.data"
        self._record(data, ["-e", "sched:sched_switch", "--switch-events", "--call-graph", "fp"], found.variant)
        events = perf.events_of(data, "comm,tid,cpu,time,event,ip,sym", ["--show-switch-events"])
        samples, weights = off_cpu(events)
        note = f"{len(samples)} times a thread left its processor while it was measured, {sum(weights):,.0f} us in all."
        if not samples:
            note = "No thread left its processor while it was measured: nobody slept, for a lock or otherwise."
            found.views.append(View("Off the processor", note=note))
            return
        drawn = folder / "off-cpu.svg"
        stacks = flame_graph.fold(samples, weights)
        drawn.write_text(flame_graph.draw(stacks, f"Off the processor: {found.variant}", "us"), encoding="utf-8")
        found.views.append(View("Off the processor", [self._name(drawn)], note=note))

    def _trace(self, number: int, found: VariantViews, folder: Path) -> None:
        usable = [name for name in TRACEPOINTS if self.machine.exists(f"{TRACEPOINTS_FOLDER}/{name.replace(':', '/')}")]
        missing = [name for name in TRACEPOINTS if name not in usable]
        why = perf.why_not_event(",".join(usable)) if usable else "none of them is readable here (tracefs, root)"
        if why:
            found.why_no_locks = f"the kernel's tracepoints cannot be recorded: {why}"
            found.views.append(View("Timeline, time inside the phases", why_not=found.why_no_locks))
            return
        data, marks_file = folder / "trace.data", folder / "marks.json"
        # Room for every event of a removal; who is not root may lock only little memory.
        room = ["-m", "16M"] if os.geteuid() == 0 else []
        events = ["--switch-events", *room, *(word for name in usable for word in ("-e", name))]
        self._record(data, events, found.variant, "--timeline", str(marks_file))
        trace = perf.events_of(data, "comm,tid,cpu,time,event,trace", ["--show-switch-events", "--show-lost-events"])
        lost = sum("PERF_RECORD_LOST" in event.name for event in trace)
        spans = trace_attribution.spans_of(trace)
        if unreadable := [name for name in LOCK_TRACEPOINTS if name in missing]:
            found.why_no_locks = f"{', '.join(unreadable)} cannot be read here (Linux 5.19 has them)"
        else:
            found.locks = lock_waits(trace)
        marks = trace_attribution.read_marks(marks_file)
        run = timeline.typical_run(marks)
        if not run:
            reason = "this workload marks no phases" if not self.marks_phases else "this subject is a raw call, without phases"
            found.views.append(View("Timeline, time inside the phases", why_not=f"{reason}: a timeline is of a removal"))
            return
        found.removals, found.attribution = trace_attribution.attribution_rows(found.variant, marks, spans)
        found.trace_events = timeline.trace_events(number, found.variant, run, spans)
        notes = [f"Without {', '.join(missing)}: not readable here."] if missing else []
        notes += [f"The kernel lost events {lost} times: some spans are missing."] if lost else []
        drawn = folder / "timeline.svg"
        drawn.write_text(timeline.draw(f"A removal and its victims: {found.variant}", run, spans), encoding="utf-8")
        found.views.append(View("Timeline", [self._name(drawn)], note=" ".join(notes)))


def off_cpu(events: Sequence[TraceEvent]) -> tuple[list[TraceEvent], list[float]]:
    """The samples at which a thread left its processor, and for how many microseconds, until it was back."""
    left: dict[int, TraceEvent] = {}
    samples, weights = [], []
    for event in sorted(events, key=lambda event: event.time_ns):
        if event.name.startswith("sched:sched_switch"):
            left[event.thread] = event
        elif "PERF_RECORD_SWITCH" in f"{event.name} {event.fields}" and " IN" in f"{event.name} {event.fields}":
            sample = left.pop(event.thread, None)
            if sample is not None:
                samples.append(sample)
                weights.append((event.time_ns - sample.time_ns) / 1000)
    return samples, weights


def lock_waits(events: Sequence[TraceEvent]) -> list[dict[str, Any]]:
    """Waits for the kernel's own locks (mmap_lock and its like) by role: how many, and how long."""
    began: dict[int, TraceEvent] = {}
    found: dict[str, list[float]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.time_ns):
        if event.name == "lock:contention_begin":
            began[event.thread] = event
        elif event.name == "lock:contention_end" and event.thread in began:
            found[event.thread_name].append((event.time_ns - began.pop(event.thread).time_ns) / 1000)
    return [{"role": role, "waits": len(waits), "us": sum(waits), "longest_us": max(waits)} for role, waits in sorted(found.items())]


def differences(session: Path, variants: Sequence[VariantViews]) -> list[View]:
    """The differential flame graphs: each further variant against the first."""
    views = []
    for number, other in enumerate(variants[1:], 1):
        first = variants[0]
        drawn = session / f"difference-{number}.svg"
        title = f"From {first.variant} to {other.variant}"
        drawn.write_text(flame_graph.draw_difference(first.stacks, other.stacks, title, ("the first", "the second")), encoding="utf-8")
        views.append(View(title, [drawn.name]))
    return views


def hardware_views(machine: Machine) -> list[View]:
    """What takes hardware counters, with the reason, where none of it can be had; nothing where each variant is to be tried."""
    if machine.has_pmu():
        return []
    why = "this machine shows no PMU (most virtual machines hide it): run on bare metal, or give the guest a virtual PMU"
    return [View(title, why_not=why) for title in HARDWARE_VIEWS]
