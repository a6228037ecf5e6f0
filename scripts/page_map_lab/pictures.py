"""What every picture of a report shares: its style, the colours of variants, and its way into HTML, SVG and PNG.

A picture is drawn once in sentinel colours; inside the page these become CSS variables, so the same SVG is right on light and
on dark ground, and in files of their own they stay the colours of the light theme.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend has to be chosen first)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from page_map_lab.report_model import Row, short_label, steps_away  # noqa: E402

INK = "#1c1d22"
GRID = "#d5d7dd"
MUTED = "#6b6e78"
FLOOR = "#8a8d96"
# Okabe and Ito's palette without black and yellow; every series has a marker of its own as well.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">")
MOST_SERIES = 8
SINGLE_LAUNCH_NOTE = "Hollow markers: fewer than five launches, so no interval."

_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}
_THEMED = {INK: "var(--ink)", GRID: "var(--line)", MUTED: "var(--muted)", FLOOR: "var(--floor)"}


@dataclass(frozen=True)
class Picture:
    """A finished picture; `sources` are the raw records its numbers come from."""

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    figure: Figure
    wide: bool
    sources: tuple[str, ...]

    def inline(self) -> str:
        """The SVG as an element of an HTML page: no namespaces, its ids its own, its colours those of the page."""
        svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", "", self.svg, flags=re.DOTALL)
        svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
        svg = re.sub(r'\bid="', f'id="{self.name}-', svg)
        svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{self.name}-", svg).replace("xlink:href", "href")
        for colour, variable in _THEMED.items():
            svg = svg.replace(colour, variable)
        label = self.alternative.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()

    def as_file(self, suffix: str) -> bytes:
        """The picture as a file of its own, on white ground: svg, png or pdf."""
        if suffix == "svg":
            return self.svg.encode("utf-8")
        return _rendered(self.figure, suffix)


@dataclass(frozen=True)
class SeriesStyle:
    """How one variant looks in every picture of its workload."""

    colour: str
    marker: str
    line: str
    width: float
    label: str


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: object) -> tuple[Figure, list[Axes]]:
    """A figure in the report's style (inches), and its axes in reading order."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **more)
    return figure, list(axes.flat)


def finish(
    figure: Figure, name: str, title: str, caption: str, alternative: str, sources: Sequence[str], wide: bool = False
) -> Picture:
    """Renders the figure as SVG and PNG, and closes it."""
    svg = io.StringIO()
    with plt.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = re.sub(r"font: (\d[^;\"']*?) 'DejaVu Sans'[^;\"]*", r"font: \1 'DejaVu Sans', system-ui, sans-serif", svg.getvalue())
    return Picture(name, title, caption, alternative, text, figure, wide, tuple(dict.fromkeys(sources)))


def _rendered(figure: Figure, suffix: str) -> bytes:
    stream = io.BytesIO()
    # Type 42 keeps the text of a PDF text; without the date the same records give the same file.
    with plt.rc_context({**_STYLE, "pdf.fonttype": 42}):
        metadata = {"CreationDate": None} if suffix == "pdf" else None
        figure.savefig(stream, format=suffix, dpi=144, facecolor="white", metadata=metadata)
    return stream.getvalue()


def styles_for(variants: Sequence[str], base: str | None, floors: Sequence[str]) -> dict[str, SeriesStyle]:
    """The base in ink, floors dashed in grey, the others in colours with markers, nearest to the base first."""
    styles = {}
    coloured = 0
    for variant in sorted(variants, key=lambda name: (steps_away(name, base), name)):
        label = picture_label(variant, base)
        if variant == base:
            styles[variant] = SeriesStyle(INK, "o", "-", 2.4, label)
        elif variant in floors:
            marker = MARKERS[-1 - len([s for s in styles.values() if s.colour == FLOOR]) % len(MARKERS)]
            styles[variant] = SeriesStyle(FLOOR, marker, "--", 1.5, label)
        else:
            marker = MARKERS[coloured % len(MARKERS)]
            styles[variant] = SeriesStyle(PALETTE[coloured % len(PALETTE)], marker, "-", 1.6, label)
            coloured += 1
    return styles


def picture_label(variant: str, base: str | None) -> str:
    """The variant in as few words as a picture has room for: the policies that differ from the base's."""
    if variant == base:
        return "base"
    if base is None or variant.startswith("floor:"):
        return variant
    return ", ".join(part.partition(":")[2] or part for part in short_label(variant, base).split(" "))


def styles_of_rows(rows: Sequence[Row], base: str | None) -> dict[str, SeriesStyle]:
    """Styles for every variant in the rows."""
    floors = {row.variant for row in rows if row.floor}
    return styles_for(sorted({row.variant for row in rows}), base, sorted(floors))


def chosen_variants(rows: Sequence[Row], base: str | None, most: int = MOST_SERIES) -> list[str]:
    """The variants a line picture can show: the base, its nearest neighbours and the floors, those with most data first."""
    cells: dict[str, int] = {}
    floors = set()
    for row in rows:
        cells[row.variant] = cells.get(row.variant, 0) + row.launches
        if row.floor:
            floors.add(row.variant)
    ranked = sorted(cells, key=lambda v: (v != base, v in floors, -cells[v], steps_away(v, base), v))
    keep_floors = [v for v in ranked if v in floors][:2]
    chosen = [v for v in ranked if v not in floors][: most - len(keep_floors)]
    return chosen + keep_floors


def left_out_note(rows: Sequence[Row], chosen: Sequence[str]) -> str:
    """Says how many variants a picture does not show."""
    missing = len({row.variant for row in rows}) - len(chosen)
    return f" {missing} more variants are in the table." if missing > 0 else ""


def legend_below(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """One legend under the whole figure, which grows by its height."""
    handles, labels = axes.get_legend_handles_labels()
    columns = min(columns, max(1, len(labels)))
    legend_height = 0.2 * math.ceil(len(labels) / columns) + 0.12
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + legend_height)
    share = legend_height / (height + legend_height)
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))
    with plt.rc_context(_STYLE):
        figure.legend(handles, labels, loc="lower center", ncol=columns, handlelength=2.6, columnspacing=1.4)


def sources_of(rows: Sequence[Row]) -> list[str]:
    """Where the rows' raw numbers are."""
    return [cell.source() for row in rows for cell in row.cells]


def panel_title(axis: Axes, text: str) -> None:
    """A panel's title, in as many lines as its width needs."""
    axis.set_title("\n".join(textwrap.wrap(text, 50)), fontsize=9.5, fontweight="bold", color=INK)


def slug(text: str) -> str:
    """Text as part of a file name and an HTML id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
