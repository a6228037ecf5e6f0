"""Refuses to divide what was not measured alike, and names the first field that differs.

A different revision of the code is what a comparison is for, so it does not refuse; neither does what changes by itself, such as
the load of the last minute. Everything else that is recorded about the host, the build and the environment must be equal.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from page_map_lab.cli_errors import NotComparableError
from page_map_lab.records import Record

HOST_FIELDS = ("name", "kernel", "microcode", "hypervisor", "logical_cpus")
BUILD_FIELDS = ("preset", "build_type", "sanitizer", "debug_checks", "compiler", "flags", "libraries")
# Readings of a moment, not settings: two launches of one run differ in them.
CHANGES_BY_ITSELF = ("load", "steal", "uptime", "free", "available", "used", "temperature", "frequency", "pressure")


def refuse_incomparable(records: Sequence[Record], allowed: Collection[str] = ()) -> None:
    """Raises NotComparableError when a record differs from the first in a field that is not in `allowed`."""
    first = records[0]
    expected = comparable_facts(first)
    for other in records[1:]:
        found = comparable_facts(other)
        for field in sorted({*expected, *found}, key=_importance):
            if field in allowed or expected.get(field) == found.get(field) or _unknown(field, expected, found):
                continue
            raise NotComparableError(
                f"{field} differs: {_shown(expected.get(field))} in {first.path}, {_shown(found.get(field))} in "
                f"{other.path}: measure both alike, or pass --allow {field} if it cannot matter"
            )


def comparable_facts(record: Record) -> dict[str, Any]:
    """Everything that must be equal, by the name of its field in the record."""
    facts: dict[str, Any] = {"schema_version": record.data.get("schema_version")}
    facts.update({f"host.{name}": record.host.get(name) for name in HOST_FIELDS})
    facts["host.tlb_mechanism"] = _value(record.host.get("tlb_mechanism"))
    build = record.section("build")
    facts.update({f"build.{name}": build.get(name) for name in BUILD_FIELDS})
    for name, value in record.section("environment").items():
        if not name.endswith("_why") and not any(word in name for word in CHANGES_BY_ITSELF):
            facts[f"environment.{name}"] = _value(value)
    return facts


def _value(fact: Any) -> Any:
    return fact["value"] if isinstance(fact, dict) and "value" in fact else fact


def _unknown(field: str, *sides: dict[str, Any]) -> bool:
    """Whether a setting could not be read on one side (no permission, no such file): that is no difference."""
    return field.startswith("environment.") and any(side.get(field) is None for side in sides)


def _importance(field: str) -> tuple[int, str]:
    order = ("schema_version", "host.name", "host.", "build.", "environment.")
    return next(rank for rank, prefix in enumerate(order) if field.startswith(prefix)), field


def _shown(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 90 else f"{text[:87]}..."
