"""The pictures with a curve for each variant: throughput by threads, latency distributions, cost by number of pages."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from page_map_lab.latencies import merged_histogram
from page_map_lab.pictures import (
    INK,
    MUTED,
    SINGLE_LAUNCH_NOTE,
    Picture,
    SeriesStyle,
    chosen_variants,
    finish,
    left_out_note,
    legend_below,
    new_figure,
    panel_title,
    slug,
    sources_of,
    styles_of_rows,
)
from page_map_lab.records import Cell, CellKey
from page_map_lab.report_model import Row, WorkloadReport
from page_map_lab.statistics import MINIMUM_LAUNCHES, median

# Above this many pages Linux flushes everything; used where the record does not say what the machine was set to.
DEFAULT_FLUSH_CEILING_PAGES = 33
BACKGROUND_ROLES = ("victim", "evictor", "background", "agent")
MOST_PANELS = 4
PERCENTILES = ((1.0, "all"), (0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"), (1e-4, "p99.99"), (1e-5, "p99.999"))


def scalability(host: str, workload: WorkloadReport) -> Picture | None:
    """Throughput of all threads together against their number; None where more threads are not more workers."""
    panels = _panels(workload, "threads")
    if not panels or _has_victims(workload):
        return None
    rows = [row for _, panel in panels for row in panel]
    chosen = chosen_variants(rows, workload.base)
    styles = styles_of_rows(rows, workload.base)
    figure, axes = new_figure(5.4 * min(2, len(panels)), 3.3 * math.ceil(len(panels) / 2), math.ceil(len(panels) / 2), min(2, len(panels)))
    for axis, (title, panel) in zip(axes, panels):
        for variant in chosen:
            points = []
            for row in panel:
                values = [value for cell in row.cells if (value := _throughput(cell)) is not None]
                if row.variant == variant and values:
                    points.append((float(row.key.value("threads")), values))
            _draw(axis, points, styles[variant], 1e-6)
        panel_title(axis, title)
        axis.set_xlabel("threads")
        axis.set_ylabel("million operations a second")
        axis.set_ylim(bottom=0)
        _plain_ticks(axis, sorted({float(row.key.value("threads")) for row in panel}), logarithmic=False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    legend_below(figure, axes[0], 2 if len(panels) == 1 else 4)
    caption = f"Base {workload.base}. All threads together; whiskers span the launches. {SINGLE_LAUNCH_NOTE}{left_out_note(rows, chosen)}"
    shown = [row for row in rows if row.variant in chosen]
    alternative = f"Line chart: throughput of {workload.name} by threads for {len(chosen)} variants"
    name = slug(f"{host}-{workload.name}-scalability")
    return finish(figure, name, "Scalability: throughput by threads", caption, alternative, sources_of(shown), len(panels) > 1)


def latency(host: str, workload: WorkloadReport) -> Picture | None:
    """The share of operations slower than a latency, both axes logarithmic; None where no latencies were recorded."""
    with_histograms = [row for row in workload.rows if any(cell.histograms for cell in row.cells)]
    if not with_histograms:
        return None
    by_key: dict[CellKey, list[Row]] = defaultdict(list)
    for row in with_histograms:
        by_key[row.key].append(row)
    key = workload.headline if workload.headline in by_key else max(by_key, key=lambda k: len(by_key[k]))
    rows = by_key[key]
    kinds = list(dict.fromkeys((h["role"], h["name"]) for row in rows for cell in row.cells for h in cell.histograms))[:2]
    chosen = chosen_variants(rows, workload.base)
    styles = styles_of_rows(workload.rows, workload.base)
    figure, axes = new_figure(5.4 * len(kinds), 4.2, 1, len(kinds), sharey=True)
    deepest = 1.0
    for axis, (role, name) in zip(axes, kinds):
        for row in sorted((row for row in rows if row.variant in chosen), key=lambda row: chosen.index(row.variant)):
            merged = merged_histogram(row.cells, role, name)
            if merged is None:
                continue
            style = styles[row.variant]
            uppers, share = exceedance(merged)
            deepest = min(deepest, 1 / merged["count"])
            axis.step(
                uppers, share, where="post", color=style.colour, linestyle=style.line, linewidth=style.width,
                marker=style.marker, markevery=max(1, len(uppers) // 6), label=style.label,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        left, right = axis.get_xlim()
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right / left < 100 else (1,), numticks=12))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        axis.xaxis.set_minor_locator(NullLocator())
        panel_title(axis, f"{name.replace('_', ' ')} of the {role}")
        axis.set_xlabel("takes longer than")
    shown = [(share, text) for share, text in PERCENTILES if share >= deepest * 0.99]
    axes[0].set_ylim(deepest * 0.8, 1.3)
    axes[0].yaxis.set_major_locator(FixedLocator([share for share, _ in shown]))
    axes[0].yaxis.set_major_formatter(FixedFormatter([text for _, text in shown]))
    axes[0].yaxis.set_minor_locator(NullLocator())
    axes[0].set_ylabel("percentile")
    legend_below(figure, axes[0], 2 * len(kinds))
    caption = f"Base {workload.base}, at {key.text()}, all launches together. Further left is better.{left_out_note(rows, chosen)}"
    alternative = f"Distribution of latencies of {workload.name} for {len(chosen)} variants"
    name = slug(f"{host}-{workload.name}-latency")
    return finish(figure, name, "Latency distribution", caption, alternative, sources_of(rows), len(kinds) > 1)


def cost_by_pages(host: str, workload: WorkloadReport) -> Picture | None:
    """The score against the number of pages, with the kernel's flush ceiling marked; None where pages were not swept."""
    panels = [panel for panel in _panels(workload, "pages") if len({row.key.value("pages") for row in panel[1]}) >= 3]
    if workload.name not in ("shootdown", "remove") or not panels:
        return None
    panels = panels[:2]
    rows = [row for _, panel in panels for row in panel]
    chosen = chosen_variants(rows, workload.base)
    styles = styles_of_rows(workload.rows, workload.base)
    figure, axes = new_figure(5.4 * len(panels), 4.4, 1, len(panels), sharey=True)
    for axis, (title, panel) in zip(axes, panels):
        for variant in chosen:
            points = []
            for row in panel:
                values = [value for cell in row.cells if (value := _score(cell)) is not None]
                if row.variant == variant and values:
                    points.append((float(row.key.value("pages")), values))
            _draw(axis, points, styles[variant], 1.0)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        ceiling = flush_ceiling(panel)
        axis.axvline(ceiling, color=MUTED, linewidth=1.2, linestyle=":")
        axis.annotate(
            f"{ceiling} pages: above, the\nkernel flushes everything", (ceiling, 0.02),
            xycoords=("data", "axes fraction"), xytext=(-5, 0), textcoords="offset points", va="bottom", ha="right", fontsize=8, color=INK,
        )  # fmt: skip
        panel_title(axis, title)
        axis.set_xlabel("pages revoked together")
        _plain_ticks(axis, sorted({float(row.key.value("pages")) for row in panel}), logarithmic=True)
    first = rows[0].cells[0]
    axes[0].set_ylabel(f"{first.metric.replace('_', ' ')}" + ("" if first.unit in first.metric else f" ({first.unit})"))
    legend_below(figure, axes[0], 2 * len(panels))
    caption = f"Base {workload.base}. Whiskers span the launches. {SINGLE_LAUNCH_NOTE}{left_out_note(rows, chosen)}"
    alternative = f"Line chart: cost of {workload.name} by number of pages, with the kernel's flush ceiling marked"
    name = slug(f"{host}-{workload.name}-pages")
    return finish(figure, name, "Cost against pages", caption, alternative, sources_of(rows), len(panels) > 1)


def flush_ceiling(rows: Sequence[Row]) -> int:
    """Up to how many pages the kernel flushes one by one, as the records say, or Linux's default."""
    recorded = rows[0].cells[0].record.section("environment").get("tlb_single_page_flush_ceiling")
    return recorded if isinstance(recorded, int) and recorded > 0 else DEFAULT_FLUSH_CEILING_PAGES


def exceedance(histogram: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """For each bucket's upper edge the share of values above it; the last, of which nothing is above, is left out."""
    buckets = np.asarray(histogram["buckets"], dtype=float)
    above = 1 - np.cumsum(buckets[:, 2]) / buckets[:, 2].sum()
    uppers = np.concatenate(([max(buckets[0, 0], 1.0)], buckets[:-1, 1]))
    return uppers, np.concatenate(([1.0], above[:-1]))


def duration(nanoseconds: float) -> str:
    """A time with the unit that suits it."""
    for limit, divisor, unit in ((1e3, 1, "ns"), (1e6, 1e3, "us"), (1e9, 1e6, "ms")):
        if nanoseconds < limit * 0.9999:
            return f"{nanoseconds / divisor:.3g} {unit}"
    return f"{nanoseconds / 1e9:.3g} s"


def _panels(workload: WorkloadReport, swept: str) -> list[tuple[str, list[Row]]]:
    """Rows that differ only in one parameter, by what they share; those with most data first."""
    panels: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in workload.rows:
        if isinstance(row.key.value(swept), (int, float)):
            others = tuple(item for item in row.key.parameters if item[0] != swept)
            panels[(others, row.key.size, row.key.plan, row.key.memory)].append(row)
    found = []
    for (others, _, plan, memory), rows in panels.items():
        if len({row.key.value(swept) for row in rows}) >= 2:
            words = [f"{name}={value}" for name, value in others]
            words += [f"plan={plan}"] if plan not in ("", "compact") else []
            words += [f"memory={memory}"] if memory not in ("", "local") else []
            found.append((" ".join(words) or workload.name, rows))
    found.sort(key=lambda panel: -sum(row.launches for row in panel[1]))
    return found[:MOST_PANELS]


def _has_victims(workload: WorkloadReport) -> bool:
    """Whether some of the threads only suffer, so that all threads together have no throughput."""
    repetitions = (r for row in workload.rows for cell in row.cells for r in cell.repetitions)
    return any(thread.get("role") in BACKGROUND_ROLES for repetition in repetitions for thread in repetition.threads)


def _throughput(cell: Cell) -> float | None:
    if cell.unit in ("1/s", "operations/s") and cell.direction == "higher_is_better":
        return _score(cell)
    rates = []
    for repetition in cell.usable_repetitions:
        threads = [t for t in repetition.threads if t.get("role") not in BACKGROUND_ROLES and t.get("duration_ns")]
        if threads:
            rates.append(sum(1e9 * t["operations"] / t["duration_ns"] for t in threads))
    return median(rates) if rates else None


def _score(cell: Cell) -> float | None:
    scores = [r.score for r in cell.usable_repetitions if r.score is not None]
    return median(scores) if scores else None


def _draw(axis: Axes, points: Sequence[tuple[float, list[float]]], style: SeriesStyle, scale: float) -> None:
    if not points:
        return
    points = sorted(points)
    x = [position for position, _ in points]
    y = [median(values) * scale for _, values in points]
    axis.plot(x, y, color=style.colour, linestyle=style.line, linewidth=style.width, marker=style.marker, label=style.label)
    for position, values in points:
        if len(values) > 1:
            axis.vlines(position, min(values) * scale, max(values) * scale, color=style.colour, linewidth=1)
        if len(values) < MINIMUM_LAUNCHES:
            axis.plot(
                [position], [median(values) * scale], marker=style.marker, markerfacecolor="white",
                markeredgecolor=style.colour, linestyle="none",
            )  # fmt: skip


def _plain_ticks(axis: Axes, values: Sequence[float], logarithmic: bool) -> None:
    axis.xaxis.set_major_locator(FixedLocator(list(values)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if logarithmic:
        axis.xaxis.set_minor_locator(NullLocator())
