"""A second policy of the mechanism's axis takes what docs/adding-a-policy.md says: one file and one line. The build makes and finds its
variants, and benchmarks that feel the axis have them, under names of their own. So do a further layout and a further read path."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from source_tree import ROOT

PLANTED = """// Stands for a second mechanism.
#pragma once

#include <string_view>

#include "impl/platform/protection.hpp"

namespace page_map_lab {

struct Planted {
    static constexpr std::string_view name = "planted";

    static Status set_access(std::byte* base, std::size_t bytes, Access access) noexcept {
        return protect(base, bytes, access);
    }
};

}  // namespace page_map_lab
"""
# What variants/CMakeLists.txt finds around it in the real build; nothing is compiled by it here.
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(planted LANGUAGES CXX)
add_library(page_map_lab_page_map INTERFACE)
add_library(PkgConfig::URCU INTERFACE IMPORTED)
add_subdirectory(variants)
"""
NAMES = """#include <iostream>

#include "bench/harness/variant_subjects.hpp"

using namespace page_map_lab;

template <FeltAxes felt>
void print(const char* who) {
    bench::WorkloadDescription workload;
    bench::add_variants<felt>(workload, []<class Variant>(const bench::Parameters&) -> std::unique_ptr<bench::Cell> { return nullptr; });
    for (const auto& subject : workload.subjects) {
        std::cout << who << ' ' << subject.name;
        for (const auto& [axis, policy] : subject.policies) {
            std::cout << ' ' << axis << '=' << policy;
        }
        std::cout << '\\n';
    }
}

int main() {
    print<FeltAxes{.read = true, .mechanism = true}>("feels");
    print<FeltAxes{.read = true}>("does_not");
}
"""
# What the build makes of a pair, and that the catalog has it: an instance of what it does not list is empty.
IS_LISTED = """#include "build/variants/instances/{layout}_{read_path}.cpp"

static_assert(page_map_lab::registry_detail::is_listed<page_map_lab::variant_named<"{layout}", "{read_path}", "batched", "mprotect">>);
"""
COMPILER = ("g++", "-std=c++20", "-O0", "-w", "-D_GNU_SOURCE", "-DPAGE_MAP_LAB_DEBUG_CHECKS=1")


def run(*command: str | Path) -> str:
    """What the command prints; it succeeds."""
    environment = {**os.environ, "CCACHE_DISABLE": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def plant(tree: Path, header: str, text: str, last: str, policy: str) -> Path:
    """A copy of variants/ with a planted policy behind the last of its axis, as its author would leave it, and what the build makes of
    it. One shootdown is enough."""
    shutil.copytree(ROOT / "variants", tree / "variants")
    catalog = tree / "variants" / "catalog.hpp"
    listed = catalog.read_text(encoding="utf-8")
    for name, line in (("per_page", "    PerPage,\n"), ("hull", "    Hull,\n"), ("whole_space", "")):
        (tree / "variants" / "shootdown" / f"{name}.hpp").unlink()
        listed = listed.replace(line, "")
    listed = listed.replace("    Batched,\n    WholeSpace>;", "    Batched>;")
    (tree / "variants" / header).write_text(text, encoding="utf-8")
    catalog.write_text(listed.replace(f"    {last}>;", f"    {last},\n    {policy}>;"), encoding="utf-8")
    (tree / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
    run("cmake", "-S", tree, "-B", tree / "build")
    return tree


@pytest.fixture(name="tree", scope="module")
def fixture_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the planted mechanism."""
    return plant(tmp_path_factory.mktemp("planted"), "mechanism/planted.hpp", PLANTED, "Mprotect", "Planted")


def compiled(tree: Path, source: Path, *words: str) -> Path:
    """The object, or with further words the program, that a source makes."""
    made = tree / f"{source.stem}.o"
    includes = [word for folder in (tree, tree / "build" / "variants" / "include", ROOT) for word in ("-I", folder)]
    run(*COMPILER, *includes, *(words or ("-c",)), source, "-o", made)
    return made


def entries(symbols: str, kind: str) -> set[str]:
    """The entries of the flat layout's variants under the spinlock among the symbols of one kind."""
    words = (line.split() for line in symbols.splitlines())
    found = {line[-1] for line in words if len(line) > 1 and line[-2] in kind and "variant_entry" in line[-1]}
    return {name for name in found if "4Flat" in name and "8Spinlock" in name}


def test_every_variant_of_the_catalog_is_instantiated(tree: Path) -> None:
    wanted = entries(run("nm", compiled(tree, tree / "variants" / "registry.cpp")), "U")
    made = entries(run("nm", compiled(tree, tree / "build" / "variants" / "instances" / "flat_spinlock.cpp")), "TW")
    assert len(wanted) == 2 and any("7Planted" in name for name in wanted)
    assert wanted <= made


def test_names_and_policies_say_the_mechanism_where_it_is_felt_and_is_not_the_bases(tree: Path) -> None:
    source = tree / "names.cpp"
    source.write_text(NAMES, encoding="utf-8")
    lines = run(compiled(tree, source, "-DNDEBUG")).splitlines()
    feels = [line.split()[1:] for line in lines if line.startswith("feels")]
    does_not = [line.split()[1:] for line in lines if line.startswith("does_not")]
    assert len(feels) == 2 * len(does_not) == len({words[0] for words in feels})
    assert ["read:rcu_qsbr", "read=rcu_qsbr"] in feels and ["read:rcu_qsbr", "read=rcu_qsbr"] in does_not
    assert ["read:rcu_qsbr/mechanism:planted", "read=rcu_qsbr", "mechanism=planted"] in feels
    assert not any("mechanism" in word for words in does_not for word in words)


@pytest.mark.parametrize(
    ("original", "last", "policy", "layout", "read_path"),
    [("layout/radix", "XArray", "PlantedRadix", "planted", "spinlock"), ("read_path/rcu_mb", "RcuBp", "PlantedRcuMb", "radix", "planted")],
)
def test_a_layout_or_a_read_path_takes_one_file_and_one_line(
    tmp_path: Path, original: str, last: str, policy: str, layout: str, read_path: str
) -> None:
    text = (ROOT / "variants" / f"{original}.hpp").read_text(encoding="utf-8")
    text = re.sub(r"\b(" + "|".join(re.findall(r"struct (\w+)", text)) + r")\b", r"Planted\1", text)
    axis, _, name = original.partition("/")
    tree = plant(tmp_path, f"{axis}/planted.hpp", text.replace(f'"{name}"', '"planted"'), last, policy)
    source = tree / "is_listed.cpp"
    source.write_text(IS_LISTED.format(layout=layout, read_path=read_path), encoding="utf-8")
    compiled(tree, source, "-fsyntax-only")
