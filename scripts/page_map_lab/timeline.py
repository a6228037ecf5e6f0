"""The timeline of one removal with its victims: as Chrome/Perfetto trace events, and as a picture that needs no viewer."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from page_map_lab.trace_attribution import CALL, DESCHEDULED, FLUSH, GRACE, INTERRUPT, KINDS, LOCK, Mark, Span, runs_of

WIDTH, LEFT, LANE, TOP = 1200, 150, 26, 70
COLOURS = {
    "mark": "#cfe3f5", "revoke": "#f9d9b8", "flush": "#f5b58a", "collect": "#cdebdd", "write_back": "#e9d5e8", "free": "#f7eeb5",
    "lock": "#7d5ba6", "grace_period": "#3f9e7c",
    CALL: "#9cc7ea", FLUSH: "#e6783a", INTERRUPT: "#c0392b", LOCK: "#7d5ba6", GRACE: "#3f9e7c", DESCHEDULED: "#c9cbd1", "stall": "#e9a59c",
}  # fmt: skip


def typical_run(marks: Sequence[Mark]) -> list[Mark]:
    """The marks of the removal in the middle, by duration."""
    runs = [run for run in runs_of(marks).values() if any(mark.name == "removal" for mark in run)]
    runs.sort(key=lambda run: next(mark.ended_ns - mark.started_ns for mark in run if mark.name == "removal"))
    return runs[(len(runs) - 1) // 2] if runs else []


def window(run: Sequence[Mark]) -> tuple[int, int]:
    """From when to when the removal was."""
    whole = next(mark for mark in run if mark.name == "removal")
    return whole.started_ns, whole.ended_ns


def clipped(spans: Sequence[Span], run: Sequence[Mark]) -> list[Span]:
    """The spans of the run's threads that touch the removal."""
    start, end = window(run)
    threads = {mark.thread for mark in run}
    return [span for span in spans if span.thread in threads and span.ended_ns >= start and span.started_ns <= end]


def trace_events(process: int, title: str, run: Sequence[Mark], spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Trace events of one removal, which starts at 0; each variant is a process of its own, each thread a thread."""
    start, end = window(run)
    events: list[dict[str, Any]] = [{"name": "process_name", "ph": "M", "pid": process, "args": {"name": title}}]
    for thread, role in dict.fromkeys((mark.thread, mark.role) for mark in run):
        events.append({"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": {"name": f"{role} {thread}"}})

    def add(name: str, category: str, thread: int, began: int, ended: int) -> None:
        begin, finish = max(began, start), min(ended, end)
        if begin <= finish:
            event = {"name": name, "cat": category, "ph": "X", "ts": (begin - start) / 1000, "dur": (finish - begin) / 1000}
            events.append({**event, "pid": process, "tid": thread})

    for mark in sorted(run, key=lambda mark: (mark.started_ns, -mark.ended_ns)):
        add(mark.name, "stall" if mark.name == "stall" else "mark", mark.thread, mark.started_ns, mark.ended_ns)
    for span in clipped(spans, run):
        add(span.name, span.kind, span.thread, span.started_ns, span.ended_ns)
    return events


def draw(title: str, run: Sequence[Mark], spans: Sequence[Span]) -> str:
    """The same as an SVG: a lane for the phases, one for what was in them, and two for each victim."""
    start, end = window(run)
    initiator = next(mark.thread for mark in run if mark.name == "removal")
    victims = list(dict.fromkeys(mark.thread for mark in run if mark.role == "victim"))
    mine = clipped(spans, run)
    lanes: list[tuple[str, list[tuple[str, str, int, int]]]] = [
        ("initiator: phase", [(m.name, m.name, m.started_ns, m.ended_ns) for m in run if m.thread == initiator and m.name != "removal"]),
        ("system calls", [(s.kind, s.name, s.started_ns, s.ended_ns) for s in mine if s.thread == initiator and s.kind == CALL]),
        (
            "flushes, waits",
            [(s.kind, s.name, s.started_ns, s.ended_ns) for s in mine if s.thread == initiator and s.kind in (FLUSH, LOCK, INTERRUPT, DESCHEDULED)],
        ),
    ]
    for number, victim in enumerate(victims):
        name = "victim" if len(victims) == 1 else f"victim {number}"
        interrupts = [(s.kind, s.name, s.started_ns, s.ended_ns) for s in mine if s.thread == victim]
        lanes.append((f"{name}: interrupts", interrupts))
        stalls = [("stall", "stall", m.started_ns, m.ended_ns) for m in run if m.thread == victim and m.name == "stall"]
        lanes.append((f"{name}: stalls", [s for s in stalls if s[3] >= start and s[2] <= end]))
    height = TOP + len(lanes) * LANE + 56
    scale = (WIDTH - LEFT - 20) / max(1, end - start)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11.5" fill="#111111">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="22" font-size="16" font-weight="bold">{html.escape(title)}</text>',
        f'<text x="10" y="44">One removal, {(end - start) / 1000:,.1f} us with tracing on, from left to right; the times are for the order of things, not for their cost.</text>',
    ]
    bottom = TOP + len(lanes) * LANE
    for tick in range(11):
        x = LEFT + tick * (WIDTH - LEFT - 20) / 10
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#d5d7dd"/>')
        anchor = "end" if tick == 10 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="{anchor}">{(end - start) * tick / 10_000:,.1f}</text>')
    parts.append(f'<text x="{WIDTH - 20}" y="{bottom + 32}" text-anchor="end">us since the removal began</text>')
    for lane, (label, boxes) in enumerate(lanes):
        y = TOP + lane * LANE
        parts.append(f'<text x="10" y="{y + 15}">{html.escape(label)}</text>')
        for kind, name, began, ended in sorted(boxes, key=lambda box: box[2] - box[3]):
            x, right = (LEFT + (min(max(moment, start), end) - start) * scale for moment in (began, ended))
            width = max(right - x, 0.8)
            parts.append(
                f'<g><title>{html.escape(name)}: {(ended - began) / 1000:,.1f} us</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" '
                f'height="{LANE - 6}" fill="{COLOURS.get(kind, "#dddddd")}" stroke="#555555" stroke-width="0.3"/>'
                + (f'<text x="{x + 3:.1f}" y="{y + 14}">{html.escape(name)}</text>' if width > 7 * len(name) + 6 else "")
                + "</g>"
            )
    x = LEFT
    for kind in (k for k in (*KINDS, "stall") if k in COLOURS):
        parts.append(f'<rect x="{x}" y="{bottom + 24}" width="11" height="11" fill="{COLOURS[kind]}" stroke="#555555" stroke-width="0.3"/>')
        parts.append(f'<text x="{x + 15}" y="{bottom + 34}">{kind}</text>')
        x += 34 + 7 * len(kind)
    return "\n".join([*parts, "</svg>\n"])
