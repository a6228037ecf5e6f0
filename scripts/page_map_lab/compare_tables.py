"""A comparison as a table for other programs: CSV, Markdown, or LaTeX with booktabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from page_map_lab.tables import csv_text

CSV_FIELDS = (
    "workload", "parameters", "size", "plan", "memory", "variant", "base", "metric", "unit", "direction", "score", "base_score",
    "ratio", "low", "high", "p_value", "adjusted_p", "rank_p_value", "rank_test", "verdict", "why", "method", "launches",
    "base_launches", "excluded_repetitions", "regression",
)  # fmt: skip
HEADING = ("workload", "parameters", "variant", "ratio", "95 % interval", "rank p", "verdict", "launches")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def as_csv(result: dict[str, Any]) -> str:
    """One line for each cell, with every number in full; what is not known stays empty."""
    rows = ({**cell, "parameters": _parameters(cell), "regression": int(cell["regression"])} for cell in result["cells"])
    return csv_text(CSV_FIELDS, rows)


def as_markdown(result: dict[str, Any]) -> str:
    """A table and a line of what is behind it."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in _rows(result)]
    lines = [HEADING, ["---"] * 3 + ["---:"] * 3 + ["---", "---:"], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{_behind(result)}\n"


def as_latex(result: dict[str, Any]) -> str:
    r"""A table that wants \usepackage{booktabs}."""
    rows = [[_escaped(cell) for cell in row] for row in _rows(result)]
    lines = [" & ".join(row) + r" \\" for row in ([_escaped(name) for name in HEADING], *rows)]
    caption = _escaped(f"{_behind(result)} Host: {result['host']}.")
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            rf"  \caption{{{caption}}}",
            r"  \begin{tabular}{lllrrrlr}",
            r"    \toprule",
            f"    {lines[0]}",
            r"    \midrule",
            *(f"    {line}" for line in lines[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


FORMATS: dict[str, Callable[[dict[str, Any]], str]] = {"csv": as_csv, "markdown": as_markdown, "latex": as_latex}


def _rows(result: dict[str, Any]) -> Sequence[list[str]]:
    return [
        [
            cell["workload"],
            _parameters(cell),
            cell["variant"],
            f"{cell['ratio']:.3f}",
            "-" if cell["low"] is None else f"{cell['low']:.3f} to {cell['high']:.3f}",
            "-" if cell["rank_p_value"] is None else f"{cell['rank_p_value']:.2g}",
            cell["verdict"],
            f"{cell['base_launches']}/{cell['launches']}",
        ]
        for cell in result["cells"]
    ]


def _parameters(cell: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in cell["parameters"].items())


def _behind(result: dict[str, Any]) -> str:
    return (
        f"Ratios are costs over those of {result['base']}: below 1 is better. Intervals are over launches; verdicts are "
        f"corrected: {result['correction']}."
    )


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
