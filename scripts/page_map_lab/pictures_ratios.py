"""The pictures of ratios to the base: one line a variant with its interval, variants by threads, counters beside them."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from page_map_lab.pictures import FLOOR, INK, MUTED, Picture, finish, new_figure, picture_label, slug, sources_of
from page_map_lab.records import Cell, CellKey
from page_map_lab.report_model import Row, WorkloadReport, counter_name, steps_away
from page_map_lab.statistics import FASTER, SLOWER, median

FASTER_COLOUR = "#0072b2"
SLOWER_COLOUR = "#d55e00"
MOST_ROWS = 40
MOST_COUNTERS = 5
MOST_COUNTER_ROWS = 14
MOST_TICKS = 5  # an axis is as wide as so many numbers with room between them


def ratios(host: str, workload: WorkloadReport) -> Picture | None:
    """Every variant's ratio to the base at the headline parameters, with its interval and verdict."""
    rows = _ordered(workload, workload.headline)[:MOST_ROWS]
    if len(rows) < 2:
        return None
    figure, axes = new_figure(5.4, _row_height(len(rows)) * len(rows) + 1.2)
    _ratio_axis(axes[0], rows, workload.base)
    axes[0].set_xlabel("cost relative to the base (left is better)")
    hidden = len(_ordered(workload, workload.headline)) - len(rows)
    caption = (
        f"Base {workload.base}, at {workload.headline.text() if workload.headline else ''}. Filled: 95 % interval over launches; hollow: fewer than five "
        f"launches. Circle: faster, square: slower, diamond: indistinguishable.{f' {hidden} more in the table.' if hidden else ''}"
    )
    alternative = f"Dot chart: ratio to the base for {len(rows)} variants of {workload.name}"
    name = slug(f"{host}-{workload.name}-ratios")
    return finish(figure, name, "Ratio to the base", caption, alternative, sources_of(rows))


def heat_map(host: str, workload: WorkloadReport) -> Picture | None:
    """Variant by threads, each cell the ratio to the base at the same threads; None where the threads were not swept."""
    families: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in workload.rows:
        if row.key.value("threads") is not None and (row.comparison is not None or row.is_base):
            others = tuple(item for item in row.key.parameters if item[0] != "threads")
            families[(others, row.key.plan, row.key.memory, row.key.size)].append(row)
    swept = {name: rows for name, rows in families.items() if len({row.key.value("threads") for row in rows}) > 1}
    if not swept:
        return None
    family, rows = max(swept.items(), key=lambda item: (_holds_headline(item[1], workload), sum(r.launches for r in item[1])))
    threads = sorted({row.key.value("threads") for row in rows})
    variants = _variant_order(rows, workload.base)[:MOST_ROWS]
    labels = {row.variant: picture_label(row.variant, workload.base) for row in rows}
    values = np.full((len(variants), len(threads)), np.nan)
    texts = [["" for _ in threads] for _ in variants]
    for row in rows:
        if row.variant not in variants:
            continue
        at = variants.index(row.variant), threads.index(row.key.value("threads"))
        values[at] = 1.0 if row.comparison is None else row.comparison.estimate.ratio
        mark = "" if row.is_base or row.certainty == "interval" else "?"
        if row.comparison is not None and row.comparison.verdict in (FASTER, SLOWER):
            mark = "*"
        texts[at[0]][at[1]] = f"{values[at]:.2f}{mark}"
    figure, axes = new_figure(max(5.4, 2.8 + 0.8 * len(threads)), _row_height(len(variants)) * len(variants) + 1.2)
    axis = axes[0]
    draw_ratio_matrix(axis, values, texts)
    axis.set_yticks(range(len(variants)), [labels[variant] for variant in variants])
    axis.set_xticks(range(len(threads)), [str(count) for count in threads])
    axis.set_xlabel("threads")
    words = " ".join(f"{name}={value}" for name, value in family[0])
    caption = (
        f"Base {workload.base}. At {words}: cost relative to the base at the same threads; blue is cheaper, orange dearer. "
        "* faster or slower for certain, ? fewer than five launches."
    )
    alternative = f"Heat map of {workload.name}: ratio to the base for {len(variants)} variants at {len(threads)} thread counts"
    name = slug(f"{host}-{workload.name}-heat")
    return finish(figure, name, "Variant by threads", caption, alternative, sources_of(rows))


def draw_ratio_matrix(axis: Axes, values: np.ndarray, texts: Sequence[Sequence[str]]) -> None:
    """Cells coloured by the logarithm of their ratio, blue below 1 and orange above, with their numbers."""
    colours = LinearSegmentedColormap.from_list(
        "blue_orange", ["#2b7bba", "#9ecae1", "#f4f4f2", "#fdb97b", "#d95f0e"]
    )
    logs = np.log2(values)
    reach = max(0.25, float(np.nanmax(np.abs(logs))) if np.isfinite(logs).any() else 0.25)
    axis.imshow(logs, cmap=colours, norm=TwoSlopeNorm(0.0, -min(reach, 2.0), min(reach, 2.0)), aspect="auto")
    axis.grid(False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            # A literal near-black: the ground is the cell's colour in both themes.
            axis.text(column, row, texts[row][column], ha="center", va="center", fontsize=8, color="#111111")
        else:
            axis.text(column, row, "not measured", ha="center", va="center", fontsize=7, color=MUTED)


def counters(host: str, workload: WorkloadReport) -> Picture | None:
    """Counters per operation beside each ratio; None where no counter has a value."""
    key = _key_with_counters(workload)
    if key is None:
        return None
    rows = [row for row in _ordered(workload, key) if any(cell.counters for cell in row.cells)][:MOST_COUNTER_ROWS]
    readings = {row.variant: counters_per_operation(row) for row in rows}
    names = _most_telling(readings)
    if not rows or not names:
        return None
    figure, axes = new_figure(
        4.6 + 1.75 * len(names), 0.34 * len(rows) + 1.5, 1, len(names) + 1, sharey=True,
        gridspec_kw={"width_ratios": [2.2, *([1.0] * len(names))]},
    )  # fmt: skip
    _ratio_axis(axes[0], rows, workload.base)
    axes[0].set_xlabel("cost relative to the base")
    for axis, name in zip(axes[1:], names):
        known = [readings[row.variant].get(name, (None, "absent"))[0] for row in rows]
        largest = max((value for value in known if value), default=1.0)
        for position, row in enumerate(rows):
            value, state = readings[row.variant].get(name, (None, "not asked"))
            if value is None:
                axis.text(0.0, position, f" {state}", va="center", fontsize=8.5, color=MUTED, style="italic")
                continue
            axis.barh(position, value, height=0.55, color=INK if row.is_base else FLOOR, alpha=0.75)
            mark = "~" if state == "multiplexed" else ""
            axis.text(value, position, f" {mark}{value:.3g}", va="center", fontsize=8.5, color=INK)
        axis.set_title("\n".join(textwrap.wrap(name.replace("_", " "), 17)), fontsize=9)
        axis.set_xlim(0, largest * 1.5)
        axis.xaxis.set_major_locator(MaxNLocator(2))
        axis.tick_params(labelsize=8.5)
        axis.grid(axis="y", visible=False)
    caption = (
        f"Base {workload.base}, at {key.text()}; per operation, median of launches; the counters that differ most between variants, the rest is in the "
        "table. ~ scaled up from part of the time; denied and absent are said, never shown as 0."
    )
    alternative = f"Ratios of {workload.name} with {len(names)} counters per operation beside each"
    name = slug(f"{host}-{workload.name}-counters")
    return finish(figure, name, "Counters per operation beside each ratio", caption, alternative, sources_of(rows), True)


def counters_per_operation(row: Row) -> dict[str, tuple[float | None, str]]:
    """Counter (with role and mode where they matter) to its median per operation, or None with its state."""
    values: dict[str, list[float]] = defaultdict(list)
    states: dict[str, str] = {}
    for cell in row.cells:
        for reading in cell.counters:
            name = counter_name(reading)
            states[name] = str(reading.get("state") or "absent")
            if reading.get("per_operation") is not None and reading.get("state") in ("ok", "multiplexed"):
                values[name].append(float(reading["per_operation"]))
    return {name: (median(values[name]) if values[name] else None, state) for name, state in states.items()}


def counter_carriers(row: Row) -> dict[str, Cell]:
    """Counter to the first launch in which it was read: where sets of counters were split over launches, not all have it."""
    found: dict[str, Cell] = {}
    for cell in row.cells:
        for reading in cell.counters:
            if reading.get("per_operation") is not None:
                found.setdefault(counter_name(reading), cell)
    return found


def _ratio_axis(axis: Axes, rows: Sequence[Row], base: str | None) -> None:
    known = [1.0]
    for position, row in enumerate(rows):
        if row.comparison is None:
            axis.plot([1.0], [position], marker="o", color=INK, markersize=7, zorder=3)
            continue
        estimate = row.comparison.estimate
        known += [value for value in (estimate.ratio, estimate.low, estimate.high) if value]
        colour = {FASTER: FASTER_COLOUR, SLOWER: SLOWER_COLOUR}.get(row.comparison.verdict, MUTED)
        marker = {FASTER: "o", SLOWER: "s"}.get(row.comparison.verdict, "D")
        face = colour if estimate.has_interval else "none"
        if estimate.low is not None and estimate.high is not None:
            axis.hlines(position, estimate.low, estimate.high, color=colour, linewidth=2.2)
        axis.plot([estimate.ratio], [position], marker=marker, color=colour, markerfacecolor=face, markersize=6, zorder=3)
        better = estimate.ratio < 1
        edge = (estimate.low if better else estimate.high) or estimate.ratio
        axis.annotate(
            f"{estimate.ratio:.3g}x", (edge, position), xytext=(-6 if better else 6, 0), textcoords="offset points",
            va="center", ha="right" if better else "left", fontsize=8, color=INK,
        )  # fmt: skip
    axis.axvline(1.0, color=INK, linewidth=1)
    axis.set_xscale("log")
    low, high = min(known), max(known)
    # Room for the number beside the outermost points, as a share of the width.
    reach = math.log(high / low) + 0.05
    axis.set_xlim(low * math.exp(-0.24 * reach if low < 1 else -0.04 * reach), high * math.exp(0.22 * reach if high > 1 else 0.04 * reach))
    ticks = ratio_ticks(low, high)
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axis.xaxis.set_minor_locator(NullLocator())
    labels = [picture_label(row.variant, base) for row in rows]
    axis.set_yticks(range(len(rows)), labels)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)


def _row_height(rows: int) -> float:
    """Inches for one row: less where there are many."""
    return 0.29 if rows <= 16 else 0.22


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios from about `low` to about `high`: the finest whose numbers do not run into each other on the logarithmic axis."""
    left, right = low * 0.97, high * 1.05
    room = math.log(right / left) / MOST_TICKS
    for step in (0.02, 0.05, 0.1, 0.25):
        last = math.floor(right / step)  # its gap to the one before it is the narrowest
        if last > 1 and math.log(last / (last - 1)) >= room:
            return [round(step * number, 2) for number in range(math.ceil(left / step), last + 1)]
    digits = (1, 2, 5) if math.log(2) >= room else (1,)
    apart = max(1, math.ceil(room / math.log(10)))
    powers = [power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) if power % apart == 0]
    return [round(digit * 10.0**power, 6) for power in powers for digit in digits if low * 0.8 <= digit * 10.0**power <= high * 1.3]


def _ordered(workload: WorkloadReport, key: CellKey | None) -> list[Row]:
    rows = [row for row in workload.rows if row.key == key and (row.is_base or row.comparison is not None)]
    return sorted(rows, key=lambda row: (not row.is_base, row.floor, row.certainty != "interval", _ratio(row)))


def _ratio(row: Row) -> float:
    return 1.0 if row.comparison is None else row.comparison.estimate.ratio


def _variant_order(rows: Sequence[Row], base: str | None) -> list[str]:
    floors = {row.variant for row in rows if row.floor}
    return sorted({row.variant for row in rows}, key=lambda v: (v in floors, steps_away(v, base), v))


def _holds_headline(rows: Sequence[Row], workload: WorkloadReport) -> bool:
    return any(row.key == workload.headline for row in rows)


def _key_with_counters(workload: WorkloadReport) -> CellKey | None:
    keys = [key for key in workload.keys() if any(cell.counters for row in workload.at(key) for cell in row.cells)]
    if workload.headline in keys:
        return workload.headline
    return max(keys, key=lambda key: len(workload.at(key)), default=None)


def _most_telling(readings: dict[str, dict[str, tuple[float | None, str]]]) -> list[str]:
    spread: dict[str, float] = {}
    for name in dict.fromkeys(name for found in readings.values() for name in found):
        values = [found[name][0] for found in readings.values() if name in found and found[name][0] is not None]
        if values and max(values) > 0:
            spread[name] = max(values) / max(min(values), max(values) * 1e-6)
    ranked = sorted(spread, key=lambda name: -spread[name])[:MOST_COUNTERS]
    return [name for name in spread if name in ranked]
