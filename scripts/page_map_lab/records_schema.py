"""Holds a record against results/record.schema.json, the contract between the benchmark binaries and the scripts.

A histogram can have thousands of buckets, all alike; the general validator would spend minutes on a large run. So the buckets
are checked here as one array, and the validator sees a copy that holds the first of them.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from page_map_lab.paths import RECORD_SCHEMA
from page_map_lab.records_error import RecordError


def validate(path: Path, data: dict[str, Any]) -> None:
    """Raises RecordError naming the place that breaks the contract."""
    validator = _validator()
    error = jsonschema.exceptions.best_match(validator.iter_errors(_with_short_histograms(path, data)))
    if error is not None:
        raise RecordError(path, json_path(error.absolute_path), _shortened(error.message))


def json_path(parts: Any) -> str:
    """cells[3].repetitions[0].score, the way the error messages write it."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


@functools.cache
def _validator() -> jsonschema.protocols.Validator:
    try:
        schema = json.loads(RECORD_SCHEMA.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(RECORD_SCHEMA, "", "cannot be read; it belongs to the repository, restore it") from error
    return jsonschema.validators.validator_for(schema)(schema)


def _with_short_histograms(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    cells = data.get("cells")
    if not isinstance(cells, list):
        return data
    short_cells = []
    for index, cell in enumerate(cells):
        histograms = cell.get("histograms") if isinstance(cell, dict) else None
        if isinstance(histograms, list):
            where = f"cells[{index}].histograms"
            cell = {**cell, "histograms": [_short(path, f"{where}[{i}]", h) for i, h in enumerate(histograms)]}
        short_cells.append(cell)
    return {**data, "cells": short_cells}


def _short(path: Path, where: str, histogram: Any) -> Any:
    buckets = histogram.get("buckets") if isinstance(histogram, dict) else None
    if not isinstance(buckets, list) or len(buckets) < 2:
        return histogram
    try:
        array = np.asarray(buckets, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise RecordError(path, f"{where}.buckets", "is not a list of [lower, upper, count]")
    if (array[:, 1] < array[:, 0]).any() or (array[:, 2] < 0).any() or (np.diff(array[:, 0]) < 0).any():
        raise RecordError(path, f"{where}.buckets", "has buckets that run backwards or count below 0")
    return {**histogram, "buckets": buckets[:1]}


def _shortened(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:120]} ... {message[-70:]}"
