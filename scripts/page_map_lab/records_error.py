"""The one error that reading records raises: a file, a place in it, and what is wrong there, in one line."""

from pathlib import Path

from page_map_lab.cli_errors import UsageError


class RecordError(UsageError):
    """A file that cannot be used as a record; str() is one line that names the file and the JSON path."""

    def __init__(self, path: Path, json_path: str, what: str) -> None:
        self.path = path
        self.json_path = json_path
        place = f"{path}: {json_path}" if json_path else f"{path}"
        super().__init__(" ".join(f"{place} {what}".split()))
