"""Files that are either whole or not there: written beside their place, synced, and renamed."""

import json
import os
from pathlib import Path
from typing import Any

from page_map_lab.cli_errors import UsageError


def write_text(path: Path, text: str) -> None:
    """Writes the text so that a reader, a crash or a full disk never leaves half a file."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}): free space or choose another place with --out"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Writes the value as JSON, atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Reads one JSON file; `what` names its kind in the error."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {what} cannot be read ({error.strerror}): check the path") from error
    except RecursionError as error:
        raise UsageError(f"{path}: {what} is nested too deeply: make it again or leave it out") from error
    except ValueError as error:
        raise UsageError(f"{path}: {what} is malformed ({error}): make it again or leave it out") from error
