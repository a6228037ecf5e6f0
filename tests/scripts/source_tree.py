"""The project's files as the lint sees them: paths below a root, and C++ text with its comments and code told apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Where the project's own files are; whatever else lies in a clone is nobody's business.
FOLDERS = ("impl", "variants", "bench", "tests", "scripts", "docs", "results/example", ".ci")
TOP_FILES = ("*.md", "*.txt", "*.json", "*.ini", "results/*.json")
CPP_SUFFIXES = (".hpp", ".cpp")

_STRING = r'"(?:\\.|[^"\\\n])*"'
_CHARACTER = r"'(?:\\.|[^'\\\n])+'"
_TOKEN = re.compile(rf"(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<text>{_STRING}|(?<![0-9a-fA-F]){_CHARACTER})", re.DOTALL)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def _blank(text: str) -> str:
    """Spaces instead of everything but the line ends, so that places stay what they are."""
    return re.sub(r"[^\n]", " ", text)


@dataclass(frozen=True)
class Source:
    """One file: its path below the root, and its text."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The name up to its last dot."""
        return self.name.rsplit(".", 1)[0]

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.text.splitlines()

    @cached_property
    def code(self) -> str:
        """C++ without comments and without what strings contain; every line keeps its number and its columns."""

        def blank(match: re.Match[str]) -> str:
            token = match.group()
            return _blank(token) if match.lastgroup == "comment" else token[0] + _blank(token[1:-1]) + token[-1]

        return _TOKEN.sub(blank, self.text)

    @cached_property
    def comments(self) -> list[str]:
        """What the comments of each line say."""
        kept = list(_blank(self.text))
        for match in _TOKEN.finditer(self.text):
            if match.lastgroup == "comment":
                kept[match.start() : match.end()] = match.group()
        return "".join(kept).splitlines()

    def line_of(self, position: int) -> int:
        """The number of the line, from 1, that a position of the text or the code is in."""
        return self.text.count("\n", 0, position) + 1

    def place(self, position: int) -> str:
        """Path and line, as every message begins."""
        return f"{self.path}:{self.line_of(position)}"

    def includes(self) -> Iterator[tuple[int, str]]:
        """The files that it includes by name, with their lines."""
        for match in _INCLUDE.finditer(self.text):
            yield self.line_of(match.start(1)), match.group(1)


class SourceTree:
    """Every file of the project below one root; tests plant small ones."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def files(self) -> list[Source]:
        """All files that are text, sorted by path."""
        found: set[Path] = set()
        for folder in FOLDERS:
            found.update(path for path in (self.root / folder).rglob("*") if path.is_file())
        for pattern in TOP_FILES:
            found.update(self.root.glob(pattern))
        sources = []
        for path in sorted(found):
            relative = path.relative_to(self.root).as_posix()
            if "__pycache__" in relative or ".pytest_cache" in relative:
                continue
            try:
                sources.append(Source(relative, path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue  # a picture, or a trace
        return sources

    def below(self, *folders: str, suffixes: tuple[str, ...] = CPP_SUFFIXES) -> list[Source]:
        """The files below the folders that end so."""
        return [
            source
            for source in self.files
            if source.path.startswith(tuple(f"{folder}/" for folder in folders)) and source.path.endswith(suffixes)
        ]

    def get(self, path: str) -> Source | None:
        """One file, or None."""
        return next((source for source in self.files if source.path == path), None)
