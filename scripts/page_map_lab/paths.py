"""Where things are in the clone. PAGE_MAP_LAB_BINARIES names another folder of benchmark binaries."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
RECORD_SCHEMA = RESULTS / "record.schema.json"
CLAIMS = RESULTS / "claims.json"
TRACES = ROOT / "bench" / "traces"
BUILD = ROOT / "build" / "bench"


def binaries_override() -> Path | None:
    """The folder of binaries that the user asked for instead of the bench build's, if any."""
    folder = os.environ.get("PAGE_MAP_LAB_BINARIES")
    return Path(folder) if folder else None


def binaries_folder() -> Path:
    """The folder that holds the benchmark binaries."""
    return binaries_override() or BUILD / "bench"


def shown(path: Path) -> str:
    """The path as the user would type it: relative to where they stand when it is below, else absolute."""
    path = Path(path).resolve()
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
