"""The pictures of what a removal does to the machine: who pays, in which phase, and at which distance the memory is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from page_map_lab.compare_cells import typical_score
from page_map_lab.latencies import merged_histogram, percentile
from page_map_lab.pictures import (
    INK,
    PALETTE,
    Picture,
    chosen_variants,
    finish,
    legend_below,
    new_figure,
    picture_label,
    slug,
    sources_of,
    styles_of_rows,
)
from page_map_lab.pictures_ratios import draw_ratio_matrix
from page_map_lab.records import Cell, CellKey, Record
from page_map_lab.report_model import HostReport, Row, WorkloadReport, metric_of, phase_costs
from page_map_lab.statistics import MINIMUM_LAUNCHES, cost_ratio, median

# What a workload may record of its victims, the most direct first: the metric, and what it is in words.
VICTIM_METRICS = (
    ("victim_lost_iterations_per_operation", "iterations a victim loses per operation"),
    ("victim_stall_ns_per_operation", "victim's stall per operation (ns)"),
    ("victim_lost_iterations", "iterations a victim loses"),
    ("victim_lost_share", "share of its work that a victim loses"),
    ("victim_stall_ns", "victim's stall (ns)"),
)
HATCHES = ("", "//", "..", "\\\\", "xx", "--", "++")
MOST_PHASE_ROWS = 24


def initiator_and_victim(host: str, workload: WorkloadReport) -> Picture | None:
    """What the initiator pays against what its victims pay; None where the victims were not measured."""
    measure = _victim_measure(workload)
    if measure is None:
        return None
    words, points = measure
    rows = [row for row, _ in points]
    styles = styles_of_rows(workload.rows, workload.base)
    figure, axes = new_figure(5.4, 4.6)
    axis = axes[0]
    for variant in chosen_variants(rows, workload.base):
        style = styles[variant]
        mine = sorted(((row, value) for row, value in points if row.variant == variant), key=lambda point: point[0].key.sort_key())
        axis.plot([row.score for row, _ in mine], [value for _, value in mine], color=style.colour, linestyle=style.line, linewidth=1)
        for position, (row, value) in enumerate(mine):
            sure = row.launches >= MINIMUM_LAUNCHES
            axis.plot(
                [row.score], [value], marker=style.marker, linestyle="none", markersize=7, color=style.colour,
                markerfacecolor=style.colour if sure else "none", label=style.label if position == 0 else None,
            )  # fmt: skip
        for row, value in (mine[0], mine[-1]) if variant == workload.base and len(mine) > 1 else ():
            if row.key.value("pages") is not None:
                text = f"n={row.key.value('pages')}"
                axis.annotate(text, (row.score, value), xytext=(7, -9), textcoords="offset points", fontsize=8, color=INK)
    axis.set_xscale("log")
    if min(value for _, value in points) > 0:
        axis.set_yscale("log")
    first = rows[0].cells[0]
    axis.set_xlabel(f"initiator: {first.metric.replace('_', ' ')}")
    axis.set_ylabel(words)
    legend_below(figure, axis)
    others = " ".join(f"{name}={value}" for name, value in rows[0].key.parameters if name != "pages")
    caption = f"Base {workload.base}, at {others or 'all parameters'}; n is the number of pages, named at both ends of the base's line. Down and left is better for both."
    alternative = f"Scatter chart of {workload.name}: initiator's cost against the victims'"
    name = slug(f"{host}-{workload.name}-victims")
    return finish(figure, name, "Initiator against victim", caption, alternative, sources_of(rows))


def phases(host: str, workload: WorkloadReport) -> Picture | None:
    """Nanoseconds per operation of each phase of a removal, stacked; None where no phases were recorded."""
    rows = [row for row in workload.rows if any(cell.phases for cell in row.cells)]
    if not rows:
        return None
    key = workload.headline if any(row.key == workload.headline for row in rows) else rows[0].key
    rows = sorted((row for row in rows if row.key == key), key=lambda row: (not row.is_base, sum(phase_costs(row.cells).values())))
    rows = rows[:MOST_PHASE_ROWS]
    costs = [phase_costs(row.cells) for row in rows]
    names = list(dict.fromkeys(name for found in costs for name, cost in found.items() if cost))
    totals = [sum(found.values()) for found in costs]
    figure, axes = new_figure(10.8, (0.36 if len(rows) <= 12 else 0.24) * len(rows) + 1.5, 1, 2, sharey=True)
    limit = _readable_limit(totals)
    for axis, relative in zip(axes, (False, True)):
        left = np.zeros(len(rows))
        for index, name in enumerate(names):
            widths = np.array([found.get(name, 0.0) for found in costs])
            if relative:
                widths = 100 * widths / np.maximum(totals, 1e-9)
            axis.barh(
                range(len(rows)), widths, left=left, height=0.62, color=PALETTE[index % len(PALETTE)], label=name,
                hatch=HATCHES[index % len(HATCHES)], edgecolor="#ffffff", linewidth=0.6,
            )  # fmt: skip
            left += widths
        axis.set_xlabel("share of the total (%)" if relative else "ns per operation")
        axis.grid(axis="y", visible=False)
    for position, total in enumerate(totals):
        beyond = total > limit
        axes[0].text(
            limit if beyond else total, position, f"{total:,.0f} (beyond the scale) " if beyond else f" {total:,.0f}",
            va="center", ha="right" if beyond else "left", fontsize=8, color="#111111" if beyond else INK,
            bbox={"facecolor": "#ffffff", "edgecolor": "none", "pad": 1.5} if beyond else None,
        )  # fmt: skip
    axes[0].set_xlim(0, limit * (1.0 if max(totals) > limit else 1.15))
    axes[1].set_xlim(0, 100)
    axes[0].set_yticks(range(len(rows)), [picture_label(row.variant, workload.base) for row in rows])
    axes[0].set_ylim(len(rows) - 0.45, -0.55)
    legend_below(figure, axes[0], min(6, len(names)))
    caption = f"Base {workload.base}, at {key.text()}, median of launches. Left: absolute; right: the same, each as shares of its own total."
    alternative = f"Stacked bars: phases of {workload.name} for {len(rows)} variants"
    name = slug(f"{host}-{workload.name}-phases")
    return finish(figure, name, "Phases of removal", caption, alternative, sources_of(rows), True)


def _readable_limit(totals: Sequence[float]) -> float:
    """Where the absolute axis ends: one variant that costs a hundred times as much must not flatten all the others."""
    ordered = sorted(totals)
    return next((low * 1.6 for low, high in zip(ordered, ordered[1:]) if high > 5 * low > 0), ordered[-1])


def node_pairs(host: HostReport) -> Picture | None:
    """Where the thread ran against where its memory was, relative to local memory; None where that was not measured."""
    home = node_of_cpu(host.records)
    best: tuple[int, str, CellKey, dict[tuple[int, str], list[Cell]]] | None = None
    for workload in host.workloads:
        for base_key, by_place in _by_place(workload, home).items():
            places = len(by_place)
            policies = {memory for _, memory in by_place}
            if len(policies) > 1 and any(memory != "local" for memory in policies) and (best is None or places > best[0]):
                best = (places, workload.name, base_key, by_place)
    if best is None:
        return None
    _, workload_name, key, by_place = best
    nodes = sorted({node for node, _ in by_place})
    order = sorted({memory for _, memory in by_place}, key=lambda memory: (memory != "local", memory == "interleave", memory))
    values = np.full((len(nodes), len(order)), np.nan)
    texts = [["" for _ in order] for _ in nodes]
    for row, node in enumerate(nodes):
        local = by_place.get((node, "local")) or by_place.get((node, f"node:{node}"))
        reference = typical_score(local) if local else None
        for column, memory in enumerate(order):
            score = typical_score(by_place.get((node, memory), []))
            if score is not None and reference is not None and local is not None:
                values[row, column] = cost_ratio(score, reference, local[0].direction)
                texts[row][column] = f"{values[row, column]:.2f}x\n{score:.4g} {local[0].unit}"
    figure, axes = new_figure(5.4, 0.7 * len(nodes) + 1.4)
    draw_ratio_matrix(axes[0], values, texts)
    words = {"local": "local", "interleave": "interleaved"}
    axes[0].set_xticks(range(len(order)), [words.get(memory, memory.replace("node:", "node ")) for memory in order])
    axes[0].set_yticks(range(len(nodes)), [f"node {node}" for node in nodes])
    axes[0].set_xlabel("memory placed")
    axes[0].set_ylabel("thread on")
    variant = next(iter(by_place.values()))[0].variant
    caption = f"{workload_name}, {variant}, {key.text()}: cost relative to local memory, and the score itself."
    sources = [cell.source() for cells in by_place.values() for cell in cells]
    alternative = f"Heat map: cost of {workload_name} by node of the thread and node of the memory"
    return finish(figure, slug(f"{host.name}-node-pairs"), "Cost by node pair", caption, alternative, sources)


def node_of_cpu(records: Sequence[Record]) -> dict[int, int]:
    """Processor to its memory node, learnt from launches whose local memory was found on one node."""
    home: dict[int, int] = {}
    for record in records:
        placement = record.section("placement")
        memory = placement.get("memory") or {}
        pages = memory.get("observed_pages_by_node") or {}
        if memory.get("policy") == "local" and memory.get("state") == "ok" and len([n for n in pages.values() if n]) == 1:
            node = int(next(name for name, count in pages.items() if count))
            home.update({int(cpu): node for cpu in placement.get("observed_cpus") or [] if cpu is not None})
    return home


def _by_place(workload: WorkloadReport, home: dict[int, int]) -> dict[CellKey, dict[tuple[int, str], list[Cell]]]:
    found: dict[CellKey, dict[tuple[int, str], list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for row in workload.rows:
        if not row.is_base:
            continue
        for cell in row.cells:
            cpus = cell.record.section("placement").get("observed_cpus") or []
            nodes = {home.get(int(cpu)) for cpu in cpus if cpu is not None}
            if len(nodes) == 1 and (node := next(iter(nodes))) is not None:
                key = CellKey(row.key.workload, row.key.parameters, row.key.size, "", "")
                found[key][(node, row.key.memory or "local")].append(cell)
    return found


def _victim_measure(workload: WorkloadReport) -> tuple[str, list[tuple[Row, float]]] | None:
    """What the victims lost, for the rows that differ from the headline in nothing but the number of pages."""
    family = _but_pages(workload.headline) if workload.headline else None
    plain = [row for row in workload.rows if row.score is not None and _but_pages(row.key) == family]
    for metric, words in VICTIM_METRICS:
        points = [(row, value) for row in plain if (value := metric_of(row, metric)) is not None]
        per_page = metric.endswith("_per_operation") and points and points[0][0].cells[0].metric.endswith("per_page")
        if per_page and all(row.key.value("pages") for row, _ in points):
            return words.replace("operation", "page"), [(row, value / row.key.value("pages")) for row, value in points]
        if points:
            return words, points
    points = []
    for row in plain:
        names = {(h["role"], h["name"]) for cell in row.cells for h in cell.histograms if h["role"] == "victim"}
        for role, name in sorted(names)[:1]:
            merged = merged_histogram(row.cells, role, name)
            if merged is not None:
                points.append((row, percentile(merged, 0.99)))
    return ("99th percentile of the victim's stall (ns)", points) if points else None


def _but_pages(key: CellKey) -> tuple[object, ...]:
    return tuple(item for item in key.parameters if item[0] != "pages"), key.size, key.plan, key.memory
