"""The documents say what is there: commands, verbs, exit codes, files, tests, labels, and no figure without a source."""

import csv
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_process import lab

import atomics_rules
from configurations import CONFIGURATIONS
from page_map_lab import checks, claims_file, paths
from page_map_lab.cli_errors import ExitCode
from page_map_lab.main import existing_verbs
from page_map_lab.report_model import DEFAULT_BASE
from source_tree import ROOT, SourceTree
from verifier import ENDLESS, HANG, properties_of

README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = ROOT / "results" / "example"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_QUOTED = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"^\s*(?:TYPED_)?TEST(?:_P|_F)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
_CHECKERS = ["model", "explorer", "tests", "parts"]  # the columns of docs/guarantees.md
_TOP = ("impl/", "variants/", "bench/", "tests/", "scripts/", "docs/", "results/")
# What the build, a run, or a reader's own policy would make.
_MADE = ("variants/policies.hpp", "variants/shootdown/stepwise.hpp")


def paths_in(document: Path) -> Iterator[Path]:
    """The files and folders of the project that a document names, in links and in code."""
    text = document.read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        if not re.match(r"[a-z]+:|#", link):
            yield (document.parent / link.split("#")[0]).resolve()
    for quoted in _QUOTED.findall(text):
        word = quoted.split()[0]
        if word.startswith(_TOP) and "<" not in word and word not in _MADE:
            yield ROOT / word


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    for path in paths_in(document):
        # The example's picture comes with the example.
        if not EXAMPLE.exists() and (path == EXAMPLE or path.parent.name == "images"):
            continue
        assert list(path.parent.glob(path.name)), f"{document.name} names {path.relative_to(ROOT)}, which is not there"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_heading_that_a_document_links_to_is_there(document: Path) -> None:
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        if anchor and not re.match(r"[a-z]+:", link):
            target = document.parent / file if file else document
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


def test_the_readme_names_both_commands_and_what_they_take() -> None:
    text = README.read_text(encoding="utf-8")
    for script in ("run.sh", "test.sh"):
        assert f"`scripts/{script}" in text
    script = (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8")
    parts = re.search(r"^parts=\(([\w ]+)\)", script, re.MULTILINE)
    assert parts and all(f"`{part}`" in text for part in parts.group(1).split())


def test_the_readme_has_every_verb_and_no_other(tmp_path: Path) -> None:
    offered = set(re.findall(r"^    (\w[\w-]*)(?: |$)", lab(tmp_path, "--help").out, re.MULTILINE))
    described = set(re.findall(r"^\| `lab (\w[\w-]*)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert offered == described == set(existing_verbs())


def test_the_measuring_guide_has_every_check_and_no_other() -> None:
    text = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    table = text.partition("| check | severity |")[2].partition("\n\n")[0]
    described = [name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(described) == sorted(checks.NAMES)


def test_the_readme_has_every_exit_code_and_no_other() -> None:
    described = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)}
    assert described == {int(code) for code in ExitCode}


def policies_of(axis: str) -> set[str]:
    """The names of an axis's policies."""
    folder = next((ROOT / "variants").glob(f"{axis}*"))
    named = re.compile(r'std::string_view name = "(\w+)"')
    return {name for header in folder.glob("*.hpp") for name in named.findall(header.read_text(encoding="utf-8"))}


def test_the_readme_has_every_policy_and_no_other() -> None:
    rows = re.findall(r"^\| (layout|read|shootdown|mechanism) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    described = {axis: set(re.findall(r"`(\w+)`", policies)) for axis, policies in rows}
    floors = {"none"}
    for axis, policies in described.items():
        assert policies == policies_of(axis) - floors, axis


def existing_tests() -> set[str]:
    """Every test: of the C++ tests as `Suite.name`, and `Suite.*` for each suite; of the scripts' as `test_name`."""
    tree = SourceTree()
    pairs = [pair for source in tree.below("tests", suffixes=(".cpp", ".hpp")) for pair in _TEST.findall(source.text)]
    functions = re.compile(r"^def (test_\w+)", re.MULTILINE)
    scripts = {name for source in tree.below("tests/scripts", suffixes=(".py",)) for name in functions.findall(source.text)}
    return {f"{suite}.{name}" for suite, name in pairs} | {f"{suite}.*" for suite, _ in pairs} | scripts


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"`([A-Z]\w+\.(?:\w+|\*)|test_\w+)`", document.read_text(encoding="utf-8")))
    assert named - existing_tests() == set()
    if document.name in ("memory-model.md", "guarantees.md"):
        assert len(named) > 10


def checkers() -> dict[str, set[str]]:
    """What each column of docs/guarantees.md may name."""
    models = ROOT / "tests" / "model"
    macros = {macro.removeprefix("WITHOUT_") for each in CONFIGURATIONS for macro in each.macros if re.match("WITHOUT_|DEFECT_", macro)}
    properties = {name for each in CONFIGURATIONS for name in properties_of(models / f"{each.model}.pml")}
    explorer = ROOT / "tests" / "explorer"
    scenarios = re.findall(r'^    Scenario\{"(\w+)"', (explorer / "scenarios.cpp").read_text(encoding="utf-8"), re.MULTILINE)
    parts = re.findall(r"^(?:parts|on_request)=\(([\w ]+)\)", (ROOT / "scripts" / "test.sh").read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "model": macros | properties | {HANG, ENDLESS},
        "explorer": {*scenarios, *(path.stem for path in (explorer / "mutants").glob("*.mutant"))},
        "tests": existing_tests() | {"PageMap::audit"},
        "parts": set(" ".join(parts).split()),
    }  # fmt: skip


def promises() -> Iterator[tuple[str, dict[str, set[str]]]]:
    """The rows of docs/guarantees.md: what is promised, and what each column names."""
    columns: list[str] = []
    for line in (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8").splitlines():
        promise, *cells = line[1:-1].split("|") if line.startswith("|") else [""]
        if [cell.strip() for cell in cells] == _CHECKERS:
            columns = _CHECKERS
        elif not cells:
            columns = []
        elif columns and not set(promise) <= set("-"):
            yield promise.strip(), {column: set(_QUOTED.findall(cell)) for column, cell in zip(columns, cells, strict=True)}


def test_every_promise_has_a_test_and_names_only_what_is_there() -> None:
    known = checkers()
    rows = list(promises())
    assert len(rows) > 50
    for promise, named in rows:
        assert named["tests"], f"nothing tests: {promise}"
        for column, names in named.items():
            assert names <= known[column], f"{promise}: {column}: {sorted(names - known[column])}: not there"


def test_the_promises_leave_out_no_rule_of_the_model_and_nothing_of_the_explorer() -> None:
    """What can be broken on purpose breaks a promise: each rule, defect, property, scenario and mutant has its row."""
    known = checkers()
    for column in ("model", "explorer"):
        assert known[column] - set().union(*(named[column] for _, named in promises())) == set()


def test_the_memory_model_has_every_label_of_the_page_map_and_none_that_is_gone() -> None:
    text = (ROOT / "docs" / "memory-model.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `\[([\w-]+)\]` \|", text, re.MULTILINE))
    labels = atomics_rules.labels_of(SourceTree())
    owed = {label for label, sides in labels.items() if any(not place.startswith("bench/") for places in sides.values() for place in places)}
    assert owed <= described <= set(labels)


def test_the_memory_model_names_functions_that_exist() -> None:
    text = (ROOT / "docs" / "memory-model.md").read_text(encoding="utf-8")
    known = {word for source in SourceTree().below("impl", "variants", "bench", "tests") for word in re.findall(r"\w+", source.text)}
    for name in _QUOTED.findall(text):
        if re.fullmatch(r"[\w:]+", name):
            assert set(name.split("::")) <= known, f"memory-model.md names {name}, which is not there"


def test_the_example_of_a_new_policy_compiles(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "adding-a-policy.md").read_text(encoding="utf-8")
    example = next(block for block in re.findall(r"```cpp\n(.*?)```", text, re.DOTALL) if "#pragma once" in block)
    (tmp_path / "stepwise.hpp").write_text(example, encoding="utf-8")
    (tmp_path / "uses.cpp").write_text(
        '#include "stepwise.hpp"\n#include "impl/page_map/machine.hpp"\n#include "variants/mechanism/mprotect.hpp"\n'
        "using namespace page_map_lab;\nusing Example = Stepwise::On<MachineWith<Mprotect>>;\n"
        "static_assert(Shootdown<Example>);\nStatus use(Example& shootdown) { return shootdown.flush(); }\n",
        encoding="utf-8",
    )
    command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-D_GNU_SOURCE"]
    finished = subprocess.run(
        [*command, "-DPAGE_MAP_LAB_DEBUG_CHECKS=1", "-I", ROOT, tmp_path / "uses.cpp"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr


_CLAIM_ROW = re.compile(r"^\| `([\w-]+)` \| .* \| ((?:<=|>=|==) [\d.]+) \|$", re.MULTILINE)
# A fraction, or a ratio or time with its unit; neither versions nor names of files.
_FIGURE = re.compile(r"(?<![\w./-])(?:\d+\.\d+(?!\d|\.\w)|\d+(?=\s?(?:x|×|ns|us|µs|ms|times)\b))")


def claimed() -> dict[str, claims_file.Claim]:
    """The claims by name."""
    return {claim.name: claim for claim in claims_file.load(paths.CLAIMS)}


def test_each_row_of_the_readme_that_states_a_ratio_is_a_claim_with_its_bound() -> None:
    text = README.read_text(encoding="utf-8")
    rows = dict(_CLAIM_ROW.findall(text))
    known = claimed()
    assert len(rows) >= 5 and set(rows) <= set(known)
    assert {name: known[name].bound_text() for name in rows} == rows
    for line in text.splitlines():
        if found := _CLAIM_ROW.match(line):
            claim = known[found.group(1)]
            place, policies = line.split(" | ")[2], re.findall(r"`([a-z]+:\w+)`", line)
            stated = {int(number) for number in re.findall(r"\d+", place)}
            assert stated <= {value for value in claim.parameters.values() if isinstance(value, int)}, line
            assert claim.base and policies[0] in claim.contender.split("/"), line
            # A policy that a name leaves out is the default one.
            assert policies[1] in claim.base.split("/") or policies[1] == "frames:return" and "frames:" not in claim.base, line


def test_the_readme_states_no_figure_that_is_not_a_claims() -> None:
    text = README.read_text(encoding="utf-8")
    elsewhere = "\n".join(line for line in text.splitlines() if not _CLAIM_ROW.match(line))
    assert _FIGURE.findall(elsewhere) == []
    measured = ["0.188", "2.10", "580 times", "12 us", "5.5x", "1.05x", "0.90 to 0.95"]
    assert [bool(_FIGURE.search(f"it takes {figure}, here")) for figure in measured] == [True] * len(measured)
    assert _FIGURE.findall("Debian 12, page_map_lab-1.2.deb, 4096 pages, 3 %, 95 % intervals, 0.13.1") == []


def test_the_readme_has_the_examples_picture_in_its_place() -> None:
    text = README.read_text(encoding="utf-8")
    sample = re.search(r"<!-- sample: .*? -->\n(.*?)<!-- end of the sample -->", text, re.DOTALL)
    assert sample and "](docs/images/report.png)" in sample.group(1) and "results/example" in sample.group(1)


def test_the_example_has_the_bases_policies_and_none_that_is_gone() -> None:
    """A new policy is no reason to measure the example again; one that was renamed or removed is."""
    with open(EXAMPLE / "report" / "report.csv", newline="", encoding="utf-8") as stream:
        measured = {policy for row in csv.DictReader(stream) for policy in row["variant"].split("/")}
    axes = ("layout", "read", "shootdown", "mechanism")
    exist = {f"{axis}:{policy}" for axis in axes for policy in policies_of(axis)}
    of_axes = {policy for policy in measured if policy.partition(":")[0] in axes}
    assert set(DEFAULT_BASE.split("/")) <= of_axes <= exist, "scripts/lab run measures results/example anew"
