"""Which records were measured although a hard finding spoke against it: they stay, and are shown as flagged."""

from typing import Any

MARK = "!"


def flags_of(record: dict[str, Any]) -> list[str]:
    """The checks that flag a record: hard before or after it, or hard and let pass (waived, or on a shared machine)."""
    gate = record.get("gate") or {}
    found = [
        finding
        for moment in ("before", "after")
        for finding in (gate.get(moment) or {}).get("findings") or []
        if finding.get("severity") == "hard" or finding.get("softened")
    ]
    return list(dict.fromkeys(str(finding.get("check")) for finding in found))


def sharing_sentence(record: dict[str, Any]) -> str | None:
    """What a record says of processors that share a core although the topology does not say so."""
    calibration = (record.get("gate") or {}).get("calibration") or {}
    return (calibration.get("core_sharing") or {}).get("sentence")
