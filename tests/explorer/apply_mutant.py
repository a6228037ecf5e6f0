"""Makes the changed copy of a header that a mutant is compiled from.

A mutant is a text: a sentence that says what is broken, fields (`file`, the variant's `layout`, `read` and `shootdown`, the
`scenario` that shows it and the bound in `schedules`), and one or more exact replacements between <<<<, ==== and >>>>.
"""

import sys
from pathlib import Path


class DoesNotApply(Exception):
    """What a mutant replaces is not there, or not once."""


def field(text: str, name: str) -> str:
    """The value of a `name: value` line."""
    for line in text.splitlines():
        if line.startswith(f"{name}: "):
            return line.removeprefix(f"{name}: ").strip()
    raise DoesNotApply(f"it has no line '{name}: …'")


def replacements(text: str) -> list[tuple[str, str]]:
    """What is replaced, and by what."""
    found = []
    for block in text.split("<<<<\n")[1:]:
        body, closed, _ = block.partition(">>>>\n")
        before, divided, after = body.partition("====\n")
        if not closed or not divided or not before:
            raise DoesNotApply("a replacement is written <<<<, what is there, ====, what comes in its place, >>>>")
        found.append((before, after))
    if not found:
        raise DoesNotApply("it replaces nothing")
    return found


def mutated(source: str, text: str) -> str:
    """The source with every replacement made."""
    for before, after in replacements(text):
        count = source.count(before)
        if count != 1:
            raise DoesNotApply(f"these lines are there {count} times and not once:\n{before}")
        source = source.replace(before, after)
    return source


def main(mutant: Path, root: Path, folder: Path) -> int:
    text = mutant.read_text(encoding="utf-8")
    try:
        path = field(text, "file")
        changed = mutated((root / path).read_text(encoding="utf-8"), text)
    except (DoesNotApply, OSError) as failure:
        print(f"mutant {mutant.stem} no longer applies: rewrite {mutant.name} for the code as it is now: {failure}", file=sys.stderr)
        return 1
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(changed, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
