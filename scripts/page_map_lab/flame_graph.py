"""Flame graphs and differential flame graphs as SVG files that need nothing else: widths are samples, the root is at the bottom.

Source: Gregg, "The Flame Graph", CACM 59(6), 2016; the differential one is his red/blue comparison with the difference in words.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from page_map_lab.perf_script import TraceEvent, short_name

Stacks = Mapping[tuple[str, ...], float]

WIDTH, FRAME_HEIGHT, MARGIN, TOP = 1200, 18, 10, 62
NARROWEST = 0.4
CHARACTER_WIDTH = 6.7
# What a profiler's own switching on and off adds to the profile is not the benchmark's.
OF_THE_PROFILER = ("ProfilerControl", "TeamMember::start", "TeamMember::stop")


@dataclass
class Frame:
    """One function in one place of the call tree; `before` is the same place in the other profile."""

    name: str
    value: float = 0.0
    before: float = 0.0
    children: dict[str, Frame] = field(default_factory=dict)

    def depth(self, narrowest: float) -> int:
        """How many frames stand on each other, counting those that are drawn."""
        return 1 + max((child.depth(narrowest) for child in self.children.values() if child.value >= narrowest), default=0)


def fold(samples: Iterable[TraceEvent], weights: Iterable[float] | None = None) -> dict[tuple[str, ...], float]:
    """Call stacks with their weight, the outermost function first, under the role of the thread; samples without a weight
    count one each."""
    found: dict[tuple[str, ...], float] = {}
    for sample, weight in zip(samples, weights if weights is not None else iter(lambda: 1.0, None)):
        frames = measured_frames(sample)
        if frames:
            stack = (sample.thread_name, *frames)
            found[stack] = found.get(stack, 0.0) + weight
    return found


def measured_frames(sample: TraceEvent) -> list[str]:
    """The sample's functions, the outermost first, without the way into the measured code; empty for a sample of the profiler's
    own switching on and off, and of who waits for it at the start (libc's leaf hides its caller)."""
    if any(part in frame for frame in sample.stack for part in OF_THE_PROFILER):
        return []
    frames = _without_harness([short_name(frame) for frame in reversed(sample.stack) if not frame.startswith("[unknown]")])
    return [] if frames and frames[0].endswith("sched_yield") else frames


def by_role(stacks: Stacks) -> dict[tuple[str, ...], float]:
    """The same, each role's weights as shares of its own, all roles alike: victims spin on while a profiler is switched off, so
    that how many samples each role has says nothing."""
    totals: dict[str, float] = {}
    for stack, weight in stacks.items():
        totals[stack[0]] = totals.get(stack[0], 0.0) + weight
    return {stack: weight / totals[stack[0]] / len(totals) for stack, weight in stacks.items() if totals[stack[0]]}


def _without_harness(frames: list[str]) -> list[str]:
    # The way from the thread's start into the measured code is the same for all and only pushes the rest up.
    last = max((position for position, frame in enumerate(frames) if frame.startswith(("ThreadTeam::", "std::_Function_handler"))), default=-1)
    return frames[last + 1 :] or frames[-1:]


def tree(stacks: Stacks, before: Stacks | None = None) -> Frame:
    """The call tree; with `before`, that of both."""
    root = Frame("all")
    for which, found in (("value", stacks), ("before", before or {})):
        for stack, weight in found.items():
            frame = root
            for name in ("", *stack):
                frame = frame.children.setdefault(name, Frame(name)) if name else frame
                setattr(frame, which, getattr(frame, which) + weight)
    return root


def draw(stacks: Stacks, title: str, unit: str) -> str:
    """The flame graph of one profile."""
    roles: dict[str, float] = {}
    for stack, weight in stacks.items():
        roles[stack[0]] = roles.get(stack[0], 0.0) + weight

    def describe(frame: Frame) -> tuple[str, str, str]:
        return _hue(frame.name), frame.name, f"{frame.name}: {100 * frame.value * max(1, len(roles)):.2f} % of its role"

    counts = ", ".join(f"{role} {weight:,.0f} {unit}" for role, weight in sorted(roles.items()))
    note = f"{counts}. Width: share of the role's own. Kernel functions end in _[k] and are blue."
    return _svg(tree(by_role(stacks)), title, note, describe)


def draw_difference(before: Stacks, after: Stacks, title: str, names: tuple[str, str]) -> str:
    """The profile `after`, coloured by how much more or less of the samples each function has than in `before`."""
    roles = max(1, len({stack[0] for stack in after}))
    root = tree(by_role(after), by_role(before))
    largest = max((abs(frame.value - frame.before) for frame in _all(root)), default=0.0) or 1.0

    def describe(frame: Frame) -> tuple[str, str, str]:
        change = 100 * roles * (frame.value - frame.before)
        label = frame.name + (f" {change:+.1f}" if abs(change) >= 0.05 else "")
        words = f"{frame.name}: {100 * roles * frame.before:.2f} % of its role in {names[0]}, {100 * roles * frame.value:.2f} % in {names[1]}, {change:+.2f} points"
        return _difference_colour((frame.value - frame.before) / largest), label, words

    gone = sorted(_gone(root), key=lambda frame: -frame.before)[:5]
    lost = "; ".join(f"{frame.name} {-100 * roles * frame.before:.1f}" for frame in gone if frame.before >= 0.001)
    note = f"Widths: {names[1]}. Orange, +: a larger share of its role's samples than in {names[0]}; blue, -: a smaller one; in percentage points."
    return _svg(root, title, note, describe, f"Only in {names[0]}: {lost}" if lost else "")


def _all(frame: Frame) -> Iterable[Frame]:
    yield frame
    for child in frame.children.values():
        yield from _all(child)


def _gone(frame: Frame) -> Iterable[Frame]:
    for child in frame.children.values():
        if child.value == 0.0:
            yield child
        else:
            yield from _gone(child)


def _hue(name: str) -> str:
    shade = zlib.crc32(name.encode()) % 40
    return f"rgb({120 + shade},{185 + shade // 2},{235})" if name.endswith("_[k]") else f"rgb({250 - shade // 4},{175 + shade},{95 + shade})"


def _difference_colour(change: float) -> str:
    target = (230, 120, 40) if change > 0 else (70, 140, 215)
    strength = min(1.0, abs(change)) ** 0.5
    return "rgb({},{},{})".format(*(round(245 + (part - 245) * strength) for part in target))


def _svg(root: Frame, title: str, note: str, describe, footer: str = "") -> str:
    scale = (WIDTH - 2 * MARGIN) / root.value if root.value else 0.0
    narrowest = NARROWEST / scale if scale else 0.0
    depth = root.depth(narrowest)
    height = TOP + depth * FRAME_HEIGHT + MARGIN + (18 if footer else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11" fill="#111111">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="22" font-size="16" font-weight="bold">{html.escape(title)}</text>',
        f'<text x="{MARGIN}" y="42">{html.escape(note)}</text>',
    ]
    if not root.value:
        parts.append(f'<text x="{MARGIN}" y="60">No sample.</text>')
    bottom = TOP + depth * FRAME_HEIGHT

    def place(frame: Frame, x: float, level: int) -> None:
        width = frame.value * scale
        y = bottom - (level + 1) * FRAME_HEIGHT
        colour, label, words = describe(frame)
        room = int((width - 5) / CHARACTER_WIDTH)
        text = label if len(label) <= room else label[: room - 2] + ".." if room >= 5 else ""
        parts.append(
            f'<g><title>{html.escape(words)}</title><rect x="{x:.1f}" y="{y}" width="{max(width - 0.3, 0.3):.1f}" '
            f'height="{FRAME_HEIGHT - 1}" rx="1.5" fill="{colour}"/>'
            + (f'<text x="{x + 3:.1f}" y="{y + 12.5}">{html.escape(text)}</text>' if text else "")
            + "</g>"
        )
        for child in sorted(frame.children.values(), key=lambda child: child.name):
            if child.value >= narrowest:
                place(child, x, level + 1)
                x += child.value * scale

    if root.value:
        place(root, MARGIN, 0)
    if footer:
        parts.append(f'<text x="{MARGIN}" y="{height - 8}">{html.escape(footer)}</text>')
    return "\n".join([*parts, "</svg>\n"])
