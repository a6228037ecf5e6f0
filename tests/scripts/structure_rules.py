"""The rules of the house, each a function from a tree to what breaks it: `path:line: what is wrong: the way out`."""

import ast
import re
import sys
from collections.abc import Iterator

from source_tree import Source, SourceTree

LAYERS = ("impl/core", "impl/platform", "impl/store", "impl/page_map", "variants", "bench/harness", "bench/workloads", "bench")

# Made by the build.
GENERATED = {"variants/policies.hpp", "build_revision.hpp"}

# Policies that are floors: measured beside the others, and so not in the catalog.
FLOORS = {"variants/read_path/none.hpp"}

LONGEST_FILE = 500
LIBRARIES = {"numpy", "scipy", "matplotlib", "mpl_toolkits", "jinja2", "jsonschema"}

# Scripts that name a C++ file without reading it, and why.
MAY_NAME_SOURCES = {"scripts/page_map_lab/build.py": "lists the names of the files that are built, unread"}

_POLICY = re.compile(r'struct\s+(\w+)\b[^{;]*\{[^{}]*?\bstring_view\s+name\s*=\s*"([^"]*)"')
_LIST = re.compile(r"using\s+(\w+)\s*=\s*TypeList<([\w\s,]*)>\s*;")


def layer_of(path: str) -> int | None:
    """How high a file stands, or None where the order does not bind it (tests)."""
    found = [rank for rank, folder in enumerate(LAYERS) if path.startswith(f"{folder}/")]
    return found[0] if found else None


def layer_order(tree: SourceTree) -> Iterator[str]:
    """core < platform < store < page_map < variants < bench: a file includes nothing that stands above it."""
    for source in tree.below("impl", "variants", "bench"):
        own = layer_of(source.path)
        if own is None:
            yield f"{source.path}:1: no layer: put it into one of {', '.join(LAYERS)}"
            continue
        for line, included in source.includes():
            theirs = layer_of(included)
            if theirs is not None and theirs > own:
                yield f"{source.path}:{line}: includes {included} of a higher layer: move what it needs down"
            elif included.startswith("tests/"):
                yield f"{source.path}:{line}: includes {included}: only tests see tests"


def includes_from_the_root(tree: SourceTree) -> Iterator[str]:
    """Files are included by their path from the root, and exist."""
    paths = {source.path for source in tree.files} | GENERATED
    for source in tree.below("impl", "variants", "bench", "tests"):
        for line, included in source.includes():
            if included not in paths:
                yield f"{source.path}:{line}: includes {included}, which is not there: write its path from the root"


def policies(tree: SourceTree) -> dict[str, tuple[str, str]]:
    """Every policy: the path of its file, and its type with the name that the type carries."""
    found = {}
    for source in tree.below("variants", suffixes=(".hpp",)):
        if source.path.count("/") == 2:  # variants/<axis>/<policy>.hpp
            for match in _POLICY.finditer(source.text):
                found[source.path] = (match.group(1), match.group(2))
    return found


def siblings_apart(tree: SourceTree) -> Iterator[str]:
    """A policy includes no other policy, of its axis or of another."""
    known = policies(tree)
    for source in tree.below("variants"):
        own = source.path.rsplit(".", 1)[0] + ".hpp"
        if own not in known:
            continue
        for line, included in source.includes():
            if included in known and included != own:
                yield f"{source.path}:{line}: a policy includes the policy {included}: move what they share beside them"


def bench_sees_concepts_only(tree: SourceTree) -> Iterator[str]:
    """Workloads and the harness know the catalog, and no policy by name."""
    for source in tree.below("bench"):
        for line, included in source.includes():
            if re.match(r"variants/[^/]+/", included):
                yield f"{source.path}:{line}: includes {included}: take variants from variants/catalog.hpp"


def catalog_and_files_agree(tree: SourceTree) -> Iterator[str]:
    """Each policy is its own file, named as the policy is, and one entry of the catalog; floors are not listed."""
    catalog = tree.get("variants/catalog.hpp")
    known = policies(tree)
    by_type = {}
    for path, (type_name, name) in known.items():
        stem = path.rsplit("/", 1)[-1].removesuffix(".hpp")
        if name != stem:
            yield f'{path}:1: the policy "{name}" is in a file of another name: call it {name}.hpp'
        by_type[type_name] = path
    if catalog is None:
        yield "variants/catalog.hpp:1: there is no catalog: list the policies there"
        return
    listed: dict[str, int] = {}
    for match in _LIST.finditer(catalog.code):
        names = re.findall(r"\w+", match.group(2))
        listed |= dict.fromkeys(names, catalog.line_of(match.start()))
        axes = {by_type[name].split("/")[1] for name in names if name in by_type}
        if len(axes) > 1:
            yield f"{catalog.place(match.start())}: {match.group(1)} mixes the axes {', '.join(sorted(axes))}: one list an axis"
    for name, line in listed.items():
        if name not in by_type:
            yield f"{catalog.path}:{line}: lists {name}, which no file under variants/<axis>/ defines: add it, or drop the line"
    for path, (type_name, _) in known.items():
        if path in FLOORS and type_name in listed:
            yield f"{path}:1: the floor {type_name} is in the catalog: list policies only"
        elif path not in FLOORS and type_name not in listed:
            yield f"{path}:1: the policy {type_name} is not in the catalog: add its line to {catalog.path}"


def script_imports(tree: SourceTree) -> Iterator[str]:
    """Scripts use the standard library, a few well-kept ones, and each other."""
    for source in tree.below("scripts", suffixes=(".py", "/lab")):
        for node in ast.walk(ast.parse(source.text)):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""] if node.level == 0 else ["page_map_lab"]
            for module in modules:
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names | LIBRARIES | {"page_map_lab"}:
                    yield f"{source.path}:{node.lineno}: imports {top}: use the standard library or {', '.join(sorted(LIBRARIES))}"


def scripts_read_records_only(tree: SourceTree) -> Iterator[str]:
    """Scripts know records and what binaries print, and never look into the C++ sources."""
    for source in tree.below("scripts", suffixes=(".py", "/lab")):
        if source.path in MAY_NAME_SOURCES:
            continue
        module = ast.parse(source.text)
        prose = {
            id(body[0].value)
            for node in ast.walk(module)
            if isinstance(body := getattr(node, "body", None), list) and body and isinstance(body[0], ast.Expr)
        }
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                if re.search(r"\.(?:[ch]|\[ch\])pp\b|^impl$|^(?:impl|variants)/", node.value):
                    yield f'{source.path}:{node.lineno}: names the C++ source "{node.value}": ask a binary with --describe'


def no_assert(tree: SourceTree) -> Iterator[str]:
    """`check` stays in release builds and `debug_check` says that it does not; assert does neither."""
    for source in tree.below("impl", "variants", "bench", "tests"):
        for match in re.finditer(r"\bassert\s*\(|#\s*include\s*<(?:cassert|assert\.h)>", source.code):
            yield f"{source.place(match.start())}: assert: use check or debug_check of impl/core/check.hpp"


_UNFINISHED = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"))
_FOREIGN = re.compile(rf"\b({_UNFINISHED})\b|(?<![\w.~-])/(?:home|root|work|Users)/\w")


def nothing_unfinished_and_no_machine_paths(tree: SourceTree) -> Iterator[str]:
    """What is not finished is an issue, and what lies on one machine only is not in the project."""
    for source in tree.files:
        for match in _FOREIGN.finditer(source.text):
            what = match.group(1) or "a path of one machine"
            yield f"{source.place(match.start())}: {what}: finish it, or file an issue; write paths from the root"


def short_files(tree: SourceTree) -> Iterator[str]:
    """A file holds one idea; one that grows past this holds two."""
    for source in tree.files:
        if len(source.lines) > LONGEST_FILE and not source.path.startswith("results/"):
            yield f"{source.path}:{len(source.lines)}: more than {LONGEST_FILE} lines: divide it by ideas"


def file_names(tree: SourceTree) -> Iterator[str]:
    """snake_case for code; words with hyphens for documents and shell scripts; siblings never told apart by a number."""
    for source in tree.files:
        code = source.path.endswith((*CODE_SUFFIXES,))
        pattern = r"(__)?[a-z][a-z0-9]*(_[a-z0-9]+)*(__)?\.\w+(\.j2)?" if code else r"[\w.-]+"
        if not re.fullmatch(pattern, source.name):
            yield f"{source.path}:1: not a name in snake_case"
        elif code and re.search(r"(?<![a-z0-9])[0-9]+$|[a-z]_?[0-9]$", source.stem):
            yield f"{source.path}:1: told from its siblings by a number: say what it is"


CODE_SUFFIXES = (".hpp", ".cpp", ".py", ".cmake", ".css", ".j2")


def headers_open_with_a_sentence(tree: SourceTree) -> Iterator[str]:
    """A header begins with what it is for, and is included once."""
    for source in tree.below("impl", "variants", "bench", suffixes=(".hpp",)):
        if not source.text.startswith("// "):
            yield f"{source.path}:1: opens with no sentence: say what the header is for"
        if "#pragma once" not in source.lines:
            yield f"{source.path}:1: no #pragma once"
