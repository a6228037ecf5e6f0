"""Makes the changed copy of a header that a mutant is compiled from.

A mutant is a text: a sentence that says what is broken, fields (the variant's `layout`, `read` and `shootdown`, the `scenario`
that shows it, the bound in `schedules`, and in `expect` a part of what the explorer must say is wrong), and exact replacements between <<<<, ==== and >>>>, each in the `file` named last
above it.
"""

import sys
from pathlib import Path


class DoesNotApply(Exception):
    """What a mutant replaces is not there, or not once."""


def replacements(text: str) -> dict[str, list[tuple[str, str]]]:
    """What is replaced in each file, and by what."""
    found: dict[str, list[tuple[str, str]]] = {}
    path = ""
    for block in text.split(">>>>\n"):
        above, opened, body = block.partition("<<<<\n")
        for line in above.splitlines():
            path = line.removeprefix("file: ").strip() if line.startswith("file: ") else path
        if opened:
            before, divided, after = body.partition("====\n")
            if not divided or not before or not path:
                raise DoesNotApply("a replacement is written <<<<, what is there, ====, what comes in its place, >>>>")
            found.setdefault(path, []).append((before, after))
    if not found:
        raise DoesNotApply("it replaces nothing")
    return found


def mutated(source: str, changes: list[tuple[str, str]]) -> str:
    """The source with every replacement made."""
    for before, after in changes:
        count = source.count(before)
        if count != 1:
            raise DoesNotApply(f"these lines are there {count} times and not once:\n{before}")
        source = source.replace(before, after)
    return source


def main(mutant: Path, root: Path, folder: Path) -> int:
    text = mutant.read_text(encoding="utf-8")
    try:
        changed = {
            path: mutated((root / path).read_text(encoding="utf-8"), changes) for path, changes in replacements(text).items()
        }
    except (DoesNotApply, OSError) as failure:
        print(f"error: mutant {mutant.stem} no longer applies: rewrite {mutant.name} for the code as it is now: {failure}", file=sys.stderr)
        return 1
    for path, source in changed.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
