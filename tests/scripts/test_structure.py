"""The structure of the project: its rules hold in this tree, and each of them fails on a tree that breaks it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import atomics_rules
import structure_rules
from source_tree import Source, SourceTree

Rule = Callable[[SourceTree], Iterator[str]]

RULES: tuple[Rule, ...] = (
    structure_rules.layer_order,
    structure_rules.includes_from_the_root,
    structure_rules.siblings_apart,
    structure_rules.bench_sees_concepts_only,
    structure_rules.catalog_and_files_agree,
    structure_rules.script_imports,
    structure_rules.scripts_read_records_only,
    structure_rules.no_assert,
    structure_rules.nothing_unfinished_and_no_machine_paths,
    structure_rules.short_files,
    structure_rules.file_names,
    structure_rules.headers_open_with_a_sentence,
    atomics_rules.orders_are_named,
    atomics_rules.orders_are_labelled,
    atomics_rules.labels_pair,
    atomics_rules.relaxed_says_why,
    atomics_rules.atomics_come_from_the_machine,
)

TREE = SourceTree()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_structure_of_this_tree(rule: Rule) -> None:
    assert list(rule(TREE)) == []


def test_structure_is_asked_of_the_whole_tree() -> None:
    """A lint that finds no files finds no faults."""
    assert len(TREE.below("impl")) > 50 and len(TREE.below("variants")) > 20 and len(TREE.below("scripts", suffixes=(".py",))) > 20
    assert len(structure_rules.policies(TREE)) >= 13
    assert {"map-lock", "slot-put", "node-publish"} <= set(atomics_rules.labels_of(TREE))


# A small house in order. Each case below puts one thing out of place.
SOUND = {
    "impl/core/error.hpp": "// Errors.\n#pragma once\n",
    "impl/page_map/slot.hpp": '// A slot.\n#pragma once\n#include "impl/core/error.hpp"\n',
    "variants/layout/radix.hpp": (
        '// A tree.\n#pragma once\n#include "impl/page_map/slot.hpp"\n#include "variants/layout/tree.hpp"\n'
        'struct Radix {\n    static constexpr std::string_view name = "radix";\n};\n'
    ),
    "variants/layout/tree.hpp": "// What trees share.\n#pragma once\n",
    "variants/layout/flat.hpp": '// An array.\n#pragma once\nstruct Flat {\n    static constexpr std::string_view name = "flat";\n};\n',
    "variants/read_path/spinlock.hpp": '// A lock.\n#pragma once\nstruct Spinlock { static constexpr std::string_view name = "spinlock"; };\n',
    "variants/catalog.hpp": (
        '// The catalog.\n#pragma once\n#include "variants/policies.hpp"\n'
        "using Layouts = TypeList<\n    Flat,\n    Radix>;\nusing ReadPaths = TypeList<Spinlock>;\n"
    ),
    "bench/harness/run.hpp": '// Runs.\n#pragma once\n#include "variants/catalog.hpp"\n',
    "bench/workloads/lookup.hpp": '// Asks.\n#pragma once\n#include "bench/harness/run.hpp"\n',
    "bench/bench_lookup.cpp": '#include "bench/workloads/lookup.hpp"\nint main() {}\n',
    "impl/page_map/map_lock.hpp": (
        "// A lock.\n#pragma once\n"
        "bool lock() {\n    // [map-lock] acquire: sees what the last holder wrote.\n"
        "    return held_.exchange(1, std::memory_order_acquire) == 0;\n}\n"
        "void unlock() {\n    held_.store(0, std::memory_order_release);  // [map-lock]\n}\n"
        "bool looks_free() {\n    // relaxed: a guess that the exchange confirms.\n"
        "    return held_.load(std::memory_order_relaxed) == 0;\n}\n"
        "void elsewhere() { pages.load(index); store.store(range, bytes); }\n"
    ),
    "scripts/page_map_lab/report.py": '"""Reads records of impl/core."""\nimport json\nimport numpy\nfrom page_map_lab import paths\n',
    "tests/impl/core/error_test.cpp": '#include "impl/core/error.hpp"\n#include "bench/harness/run.hpp"\n',
    "docs/adding-a-policy.md": "One file, one line.\n",
}


def plant(root: Path, files: dict[str, str]) -> SourceTree:
    """A tree with these files."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return SourceTree(root)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_structure_rule_holds_in_a_house_in_order(rule: Rule, tmp_path: Path) -> None:
    assert list(rule(plant(tmp_path, SOUND))) == []


HEADER = "// A header.\n#pragma once\n"
LOCK = "impl/page_map/map_lock.hpp"

def with_include(path: str) -> str:
    """A header that includes a file."""
    return f'{HEADER}#include "{path}"\n'


def policy(type_name: str, name: str) -> str:
    """A header with a policy."""
    return f'{HEADER}struct {type_name} {{ static constexpr std::string_view name = "{name}"; }};\n'


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """One file of the house in order, a little changed."""
    assert old in SOUND[path]
    return {path: SOUND[path].replace(old, new)}


LAYOUT = "variants/layout/"
CATALOG = "variants/catalog.hpp"
REPORT = "scripts/page_map_lab/report.py"
TESTED = "tests/impl/core/error_test.cpp"
ERROR = "impl/core/error.hpp"

# The rule, what is out of place, and words of its complaint.
CASES: list[tuple[Rule, dict[str, str], str]] = [
    (structure_rules.layer_order, {ERROR: with_include("impl/page_map/slot.hpp")}, "error.hpp:3: includes impl/page_map"),
    (structure_rules.layer_order, {"impl/page_map/slot.hpp": with_include("variants/layout/tree.hpp")}, "includes variants"),
    (structure_rules.layer_order, {"variants/layout/tree.hpp": with_include("bench/harness/run.hpp")}, "includes bench/harness"),
    (structure_rules.layer_order, {"bench/harness/run.hpp": with_include("bench/workloads/lookup.hpp")}, "includes bench/workloads"),
    (structure_rules.layer_order, {ERROR: with_include("tests/impl/core/fake.hpp")}, "only tests see tests"),
    (structure_rules.layer_order, {"impl/extra/thing.hpp": HEADER}, "no layer"),
    (structure_rules.includes_from_the_root, {"impl/page_map/slot.hpp": with_include("error.hpp")}, "not there"),
    (structure_rules.siblings_apart, edited(LAYOUT + "radix.hpp", "tree.hpp", "flat.hpp"), "radix.hpp:4: a policy includes"),
    (structure_rules.siblings_apart, {LAYOUT + "flat.cpp": with_include("variants/read_path/spinlock.hpp")}, "flat.cpp:3"),
    (structure_rules.bench_sees_concepts_only, {"bench/workloads/lookup.hpp": with_include(LAYOUT + "radix.hpp")}, "catalog"),
    (structure_rules.catalog_and_files_agree, {LAYOUT + "trie.hpp": policy("Trie", "trie")}, "Trie is not in the catalog"),
    (structure_rules.catalog_and_files_agree, edited(CATALOG, "Flat,", "Flat, Trie,"), "lists Trie"),
    (structure_rules.catalog_and_files_agree, edited(LAYOUT + "flat.hpp", '"flat"', '"array"'), "another name"),
    (structure_rules.catalog_and_files_agree, edited(CATALOG, "Flat,", "Flat, Spinlock,"), "mixes the axes"),
    (
        structure_rules.catalog_and_files_agree,
        {"variants/read_path/none.hpp": policy("Unprotected", "none"), **edited(CATALOG, "Spinlock", "Spinlock, Unprotected")},
        "the floor Unprotected",
    ),
    (structure_rules.script_imports, {REPORT: "import pandas\n"}, "imports pandas"),
    (structure_rules.script_imports, {REPORT: "from requests.sessions import Session\n"}, "imports requests"),
    (structure_rules.scripts_read_records_only, {REPORT: 'text = open("variants/catalog.hpp").read()\n'}, "names the C++ source"),
    (structure_rules.scripts_read_records_only, {REPORT: 'found = root.rglob("*.[ch]pp")\n'}, "--describe"),
    (structure_rules.no_assert, {"bench/harness/run.hpp": HEADER + "inline void f(int n) { assert(n); }\n"}, "use check"),
    (structure_rules.no_assert, {TESTED: "#include <cassert>\n"}, "use check"),
    (structure_rules.nothing_unfinished_and_no_machine_paths, {"docs/one.md": "x\nTO" "DO: more.\n"}, "one.md:2"),
    (structure_rules.nothing_unfinished_and_no_machine_paths, {"README.md": "See /ho" "me/someone/clone.\n"}, "one machine"),
    (structure_rules.short_files, {ERROR: "// Long.\n" * 501}, "more than 500 lines"),
    (structure_rules.file_names, {"impl/core/PageIndex.hpp": HEADER}, "snake_case"),
    (structure_rules.file_names, {"scripts/page_map_lab/report-page.py": ""}, "snake_case"),
    (structure_rules.file_names, {LAYOUT + "tree_2.hpp": HEADER}, "by a number"),
    (structure_rules.headers_open_with_a_sentence, {ERROR: "#pragma once\n"}, "opens with no sentence"),
    (structure_rules.headers_open_with_a_sentence, {ERROR: "// Errors.\n"}, "pragma once"),
    (atomics_rules.orders_are_named, {LOCK: HEADER + "bool f() { return held_.load(); }\n"}, "load without its memory order"),
    (atomics_rules.orders_are_named, {LOCK: HEADER + "void f() { held_->store(0); }\n"}, "store without"),
    (atomics_rules.orders_are_named, {LOCK: HEADER + "void f() { count.fetch_add(std::min(1, 2)); }\n"}, "fetch_add without"),
    (
        atomics_rules.orders_are_named,
        {LOCK: HEADER + "bool f() {\n  return held_.compare_exchange_weak(seen, 1,\n    std::memory_order_acquire);\n}\n"},
        "compare_exchange_weak without",
    ),
    (atomics_rules.orders_are_named, {LOCK: HEADER + "Atomic<std::uint32_t> held_{0};\nvoid f() { ++held_; }\n"}, "held_ is atomic"),
    (atomics_rules.orders_are_named, {LOCK: HEADER + "std::atomic<bool> done{false};\nvoid f() { done = true; }\n"}, "done is atomic"),
    (atomics_rules.orders_are_labelled, edited(LOCK, "[map-lock] acquire: s", "S"), "this acquire has no label"),
    (atomics_rules.orders_are_labelled, edited(LOCK, "  // [map-lock]\n", "\n"), "this release has no label"),
    (atomics_rules.orders_are_labelled, edited(LOCK, "order_relaxed", "order_seq_cst"), "seq_cst"),
    (atomics_rules.labels_pair, edited(LOCK, "  // [map-lock]\n", "\n"), "[map-lock] has no release"),
    (atomics_rules.labels_pair, edited(LOCK, "[map-lock] acquire", "[map-lokc] acquire"), "[map-lokc] has no release"),
    (atomics_rules.relaxed_says_why, edited(LOCK, "relaxed: a guess", "a guess"), "relaxed without a reason"),
    (atomics_rules.atomics_come_from_the_machine, {LAYOUT + "tree.hpp": HEADER + "std::atomic<int> count;\n"}, "from the Machine"),
    (atomics_rules.atomics_come_from_the_machine, {LOCK: HEADER + "std::mutex lock_;\n"}, "std::mutex"),
]


@pytest.mark.parametrize(("rule", "files", "words"), CASES, ids=[f"{case[0].__name__}-{case[2]}" for case in CASES])
def test_structure_rule_fails_on_what_breaks_it(rule: Rule, files: dict[str, str], words: str, tmp_path: Path) -> None:
    found = list(rule(plant(tmp_path, {**SOUND, **files})))
    assert found and any(words in complaint for complaint in found), found


def test_structure_rules_are_all_shown_to_fail() -> None:
    assert {case[0] for case in CASES} == set(RULES)


def test_structure_rules_look_at_code_and_not_at_what_is_said_about_it(tmp_path: Path) -> None:
    said = {
        "impl/core/error.hpp": HEADER + '// assert(x); held.load();\nconst char* s = "assert(x) // no comment";\n'
        "char c = '\"'; int n = 1'000'000;  // assert(y)\nstatic_assert(true);\n",
    }
    tree = plant(tmp_path, {**SOUND, **said})
    assert [complaint for rule in RULES for complaint in rule(tree)] == []


def test_structure_places_are_those_of_the_text() -> None:
    source = Source("impl/core/error.hpp", "// one\n/* two\nthree */ int four; // five\n")
    assert source.code == "      \n      \n         int four;        \n"
    assert [said.strip() for said in source.comments] == ["// one", "/* two", "three */           // five"]
    assert source.place(source.text.index("four")) == "impl/core/error.hpp:3"
