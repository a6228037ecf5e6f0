"""The rules of shared memory: orders are named, acquire and release carry labels that pair, relaxed says why.

A label stands in a comment as `[slot-put] acquire` or `[page-lock, page-current] release`; beside code that says which of the
two it is, `[page-current]` alone will do.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from source_tree import Source, SourceTree

FOLDERS = ("impl", "variants", "bench")

# How far above its access a comment may stand.
REACH_LINES = 4

# Who may name std::atomic: the machine that hands it out, and what has one instance a process whatever the machine.
MAY_NAME_ATOMICS = {
    "impl/page_map/machine.hpp": "hands it out",
    "impl/page_map/fault_handler.cpp": "the process has one SIGSEGV handler",
}

_ACCESS = re.compile(
    r"(?:\.|->)\s*(load|store|exchange|compare_exchange_weak|compare_exchange_strong|fetch_(?:add|sub|or|and|xor)|test_and_set)\s*\("
)
_LABEL = re.compile(r"\[([a-z]+(?:-[a-z]+)+(?:,\s*[a-z]+(?:-[a-z]+)+)*)\](?:\s*(acquire|release)\b)?")
_ORDER = re.compile(r"\bmemory_order(?:_|::)(\w+)")
_DECLARED = re.compile(r"\b(?:std::atomic|Atomic)<[^;{}()]*?>\s+(\w+)\s*(?=[;{=(])")
SIDES = {"acquire": {"acquire"}, "release": {"release"}, "acq_rel": {"acquire", "release"}}


def arguments_at(code: str, opening: int) -> list[str]:
    """The arguments of the call whose parenthesis opens there."""
    depth, start, found = 0, opening + 1, []
    for position in range(opening, len(code)):
        if code[position] in "([{":
            depth += 1
        elif code[position] in ")]}":
            depth -= 1
            if depth == 0:
                found.append(code[start:position].strip())
                return [argument for argument in found if argument]
        elif code[position] == "," and depth == 1:
            found.append(code[start:position].strip())
            start = position + 1
    return found


def orders_are_named(tree: SourceTree) -> Iterator[str]:
    """No access takes the default order, which is the dearest and says nothing about what is meant."""
    for source in tree.below(*FOLDERS):
        for match in _ACCESS.finditer(source.code):
            call = match.group(1)
            arguments = arguments_at(source.code, match.end() - 1)
            orders = sum(1 for argument in arguments if _ORDER.search(argument))
            # page_map.load(index) is no atomic's: those have no argument but the order.
            is_atomic = call not in ("load", "store") or len(arguments) == orders + (call == "store")
            if is_atomic and orders < 1 + call.startswith("compare_exchange"):
                yield f"{source.place(match.start())}: {call} without its memory order: name it"
        for name in {match.group(1) for match in _DECLARED.finditer(source.code)}:
            operator = rf"(?:\+\+|--)\s*{name}\b|\b{name}\s*(?:\+\+|--|[-+|&^]=|=(?!=))"
            for match in re.finditer(operator, source.code):
                yield f"{source.place(match.start())}: {name} is atomic, and an operator names no order: use fetch_add, load, store"


def _sides_near(source: Source, line: int) -> set[str]:
    """The sides that labels claim in the comments of a line (from 1) and of those shortly above."""
    first = max(0, line - 1 - REACH_LINES)
    said = "\n".join(source.comments[first:line])
    orders = {side for match in _ORDER.finditer(source.code.splitlines()[line - 1]) for side in SIDES.get(match.group(1), ())}
    return {side for match in _LABEL.finditer(said) for side in ([match.group(2)] if match.group(2) else orders)}


def orders_are_labelled(tree: SourceTree) -> Iterator[str]:
    """Each acquire and each release says which pair it is half of."""
    for source in tree.below(*FOLDERS):
        for match in _ORDER.finditer(source.code):
            line = source.line_of(match.start())
            for side in sorted(SIDES.get(match.group(1), set()) - _sides_near(source, line)):
                yield f"{source.path}:{line}: this {side} has no label: write `[what-is-ordered] {side}: ...` above it"
            if match.group(1) in ("seq_cst", "consume"):
                yield f"{source.path}:{line}: {match.group(1)}: acquire and release pairs are what this project reasons in"


def labels_of(tree: SourceTree) -> dict[str, dict[str, list[str]]]:
    """Each label, and the places of its two sides."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"acquire": [], "release": []})
    for source in tree.below(*FOLDERS):
        code = source.code.splitlines()
        for line, said in enumerate(source.comments, start=1):
            for match in _LABEL.finditer(said):
                sides = {match.group(2)} if match.group(2) else set()
                if not sides:
                    sides = {side for order in _ORDER.finditer(code[line - 1]) for side in SIDES.get(order.group(1), ())}
                for label in re.split(r",\s*", match.group(1)):
                    places = found[label]
                    for side in sides:
                        places[side].append(f"{source.path}:{line}")
    return dict(found)


def labels_pair(tree: SourceTree) -> Iterator[str]:
    """A label with one side orders nothing."""
    for label, places in sorted(labels_of(tree).items()):
        for side, other in (("acquire", "release"), ("release", "acquire")):
            if not places[side]:
                where = places[other][0] if places[other] else "somewhere"
                yield f"{where}: [{label}] has no {side} anywhere: a pair has two sides"


def relaxed_says_why(tree: SourceTree) -> Iterator[str]:
    """A comment on the access, shortly above or on the line that it goes on in, says `relaxed` and why nothing is needed."""
    for source in tree.below(*FOLDERS):
        for match in re.finditer(r"\bmemory_order(?:_|::)relaxed", source.code):
            line = source.line_of(match.start())
            said = "\n".join(source.comments[max(0, line - 1 - REACH_LINES) : line + 1])
            if "relaxed" not in said:
                yield f"{source.path}:{line}: relaxed without a reason: write `// relaxed: why` on it or above"


def atomics_come_from_the_machine(tree: SourceTree) -> Iterator[str]:
    """The page map and its policies take atomics from their Machine, so that another machine can stand in its place."""
    for source in tree.below("impl/page_map", "variants"):
        if source.path not in MAY_NAME_ATOMICS:
            for match in re.finditer(r"\bstd::(atomic(?:_\w+)?\s*[<(]|atomic_flag|mutex|shared_mutex|condition_variable)", source.code):
                yield f"{source.place(match.start())}: {match.group().rstrip('<( ')}: take it from the Machine"
