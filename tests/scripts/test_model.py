"""The models: the code that they name is there, each switch is tried, and the driver fails where it has to."""

import re
from pathlib import Path

import pytest

from configurations import CONFIGURATIONS
from verifier import ENDLESS, HANG, Configuration, Kind, check, figures, properties_of, read_outcome

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "tests" / "model").glob("*.pml"))
_REFERENCE = re.compile(r"\[(\w+\.[ch]pp): ([^\]]+)\]")


def references(text: str) -> list[tuple[str, str]]:
    """The functions that a model says it stands for: the file and the name of each."""
    return [(file, name.strip()) for file, names in _REFERENCE.findall(text) for name in names.split(",")]


def code_of(file: str) -> str:
    """The text of the file of this name."""
    found = [path for folder in ("impl", "variants") for path in (ROOT / folder).rglob(file)]
    assert len(found) == 1, f"{file}: {len(found)} files of this name"
    return found[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.name)
def test_model_names_functions_that_are_there(model: Path) -> None:
    missing = [f"{file}: {name}" for file, name in references(model.read_text(encoding="utf-8"))
               if not re.search(rf"\b{re.escape(name)}\b", code_of(file))]
    assert missing == []


def test_model_names_every_pass_of_the_removal() -> None:
    named = {name for model in MODELS for _, name in references(model.read_text(encoding="utf-8"))}
    passes = {"mark_unused", "revoke_entries", "collect_dirty_and_unmap", "write_pages", "empty_unclaimed_slots", "give_back"}
    assert passes | {"find", "put", "load", "insert", "fault", "grant", "remove_region", "writeback"} <= named


def test_model_of_workers_names_both_sides_of_a_request() -> None:
    named = set(references((ROOT / "tests" / "model" / "workers.pml").read_text(encoding="utf-8")))
    asks = {("agent_link.cpp", name) for name in ("post", "answer_to", "kill")}
    assert asks | {("agent.cpp", "serve"), ("worker.cpp", "attend"), ("page_map_removal.hpp", "revoke_entries")} <= named


def test_model_switches_are_all_tried() -> None:
    """Each rule and each defect that a model can leave out or put back is a configuration, and the other way round."""
    switches = {name for model in MODELS for name in re.findall(r"\b(?:WITHOUT|DEFECT)_\w+", model.read_text(encoding="utf-8"))}
    tried = {macro for each in CONFIGURATIONS for macro in each.macros if re.match("WITHOUT|DEFECT", macro)}
    # The removal word is one of two defences: a scenario of its own, where the other has to hold alone.
    assert switches == tried
    assert {each.macros[-1] for each in CONFIGURATIONS if each.kind is not Kind.HOLDS} == switches - {"WITHOUT_REMOVAL_WORD"}


def test_model_properties_are_all_broken_by_something() -> None:
    """A property that nothing can break is not checked."""
    properties = {name for each in CONFIGURATIONS for name in properties_of(ROOT / "tests" / "model" / f"{each.model}.pml")}
    assert properties | {HANG, ENDLESS} == {each.found for each in CONFIGURATIONS if each.found}


TINY = """
// The properties.
bool too_large;
bool too_small;
byte number;
active proctype Counter() {
    do
    :: number < LIMIT -> number++; assert(number <= 3 || too_large)
    :: number == LIMIT -> break
    od
#ifdef WAITING
    ; number == 100
#endif
#ifdef SPINNING
    ; do :: number = LIMIT :: number = LIMIT - 1 od
#endif
}
"""


def tiny(name: str, *macros: str, found: str = "", depth: int = 1000) -> Configuration:
    """A configuration of the tiny model."""
    kind = Kind.RULE if found else Kind.HOLDS
    return Configuration(name, "tiny", macros, kind, found, ends=not found, depth=depth)


@pytest.mark.parametrize(("configuration", "complaint"), [
    (tiny("sound", "LIMIT=3"), ""),
    (tiny("broken", "LIMIT=4"), "broken: the model breaks: too_large"),
    (tiny("waiting", "LIMIT=3", "WAITING"), "waiting: the model breaks: hang"),
    (tiny("spinning", "LIMIT=3", "SPINNING"), "spinning: the model breaks: endless"),
    (tiny("cut", "LIMIT=3", depth=2), "cut: the search was cut off by its depth: raise it"),
    (tiny("found", "LIMIT=4", found="too_large"), ""),
    (tiny("missed", "LIMIT=3", found="too_large"), "missed: not found: it should break too_large, and nothing breaks"),
    (tiny("other", "LIMIT=4", found="too_small"), "other: it should break too_small, and breaks too_large"),
    (tiny("malformed", "LIMIT=("), "malformed: spin failed"),
], ids=lambda value: value.name if isinstance(value, Configuration) else "")
def test_model_driver_says_what_is_not_as_expected(configuration: Configuration, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.pml").write_text(TINY, encoding="utf-8")
    said: list[str] = []
    tally, complaints = check([configuration], tmp_path, tmp_path / "build", said.append)
    assert complaints == said
    assert bool(complaints) == bool(complaint) and all(each.startswith(complaint) for each in complaints)
    assert tally.found[configuration.kind] == (0 if complaint else 1) and tally.wanted[configuration.kind] == 1
    assert ("1 of 1" in figures(tally)) == (not complaint)


def test_model_driver_believes_no_search_that_ran_out_of_memory_or_kept_no_states() -> None:
    whole = "Full statespace search for:\nState-vector 20 byte, depth reached 9, errors: 0\n       12 states, stored\n"
    assert read_outcome(whole, set()).finished and read_outcome(whole, set()).states == 12
    assert "memory" in read_outcome(f"pan: out of memory\n{whole}", set()).trouble
    assert read_outcome(whole.replace("Full", "Bit"), set()).trouble
    assert read_outcome(f"Warning: Search not completed\n{whole}", set()).trouble
