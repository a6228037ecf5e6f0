"""Makes and runs a verifier for a model with its macros, and says whether what came of it is what should."""


import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

HANG = "hang"  # everybody waits
ENDLESS = "endless"  # a thread goes on for ever and gets nowhere

# A verifier clears hundreds of megabytes before it searches: with huge pages the kernel has a tenth of the work with them.
HUGE_PAGES = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Kind(Enum):
    """What a configuration shows."""

    HOLDS = "holds"
    RULE = "rules removed"
    DEFECT = "defects put back"


@dataclass(frozen=True)
class Configuration:
    """One model with its macros, and what must come of it: every property, or a counterexample to this one."""

    name: str
    model: str
    macros: tuple[str, ...]
    kind: Kind = Kind.HOLDS
    found: str = ""
    ends: bool = False  # also that no run goes on for ever
    memory_mib: int = 3000
    depth: int = 4_000_000
    seconds: int = 600


@dataclass(frozen=True)
class Outcome:
    """What one run of a verifier said."""

    states: int
    violated: str  # a property, HANG, ENDLESS, or nothing
    finished: bool  # the whole state space was seen
    trouble: str  # why there is no answer


@dataclass
class Tally:
    """The figures of the last line."""

    states: int = 0
    configurations: int = 0
    properties: set[str] = field(default_factory=set)
    wanted: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    found: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))


def properties_of(model: Path) -> set[str]:
    """The properties that a model and the files it includes declare, in the paragraph that opens with these words."""
    text = model.read_text(encoding="utf-8")
    paragraph = re.search(r"^// The properties\..*?(?=\n\n|\n#)", text, re.MULTILINE | re.DOTALL)
    found = set(re.findall(r"^bool (\w+);$", paragraph.group(), re.MULTILINE)) if paragraph else set()
    for included in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
        found |= properties_of(model.parent / included)
    return found


def read_outcome(output: str, properties: set[str]) -> Outcome:
    """What a verifier printed, in our words."""
    states = sum(int(number) for number in re.findall(r"^\s*(\d+) states, stored", output, re.MULTILINE))
    violated = trouble = ""
    if match := re.search(r"assertion violated (.*) \(at depth", output):
        named = sorted(set(re.findall(r"\w+", match.group(1))) & properties)
        violated = named[0] if len(named) == 1 else f"an assertion without a name: {match.group(1)}"
    elif "invalid end state (at depth" in output:
        violated = HANG
    elif "non-progress cycle (at depth" in output:
        violated = ENDLESS
    if "max search depth too small" in output:
        trouble = "the search was cut off by its depth: raise it"
    elif "out of memory" in output:
        trouble = "the search ran out of memory: raise its limit, or divide the scenario"
    elif "Full statespace search" not in output:
        trouble = "the verifier gave no answer"
    errors = re.search(r"errors: (\d+)", output)
    if not trouble and (errors is None or (errors.group(1) != "0") != bool(violated)):
        trouble = "the verifier's errors are not understood"
    finished = not violated and not trouble and "Search not completed" not in output
    if not violated and not trouble and not finished:
        trouble = "the search was not completed"
    return Outcome(states, violated, finished, trouble)


def called(command: Sequence[str], folder: Path, seconds: int, environment: Mapping[str, str] = os.environ) -> str:
    """A command's output; raises RuntimeError with its last line where it fails."""
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} took longer than {seconds} s") from error
    output = done.stdout + done.stderr
    if done.returncode != 0:
        errors = [line for line in output.splitlines() if "rror" in line] or output.splitlines() or ["no output"]
        raise RuntimeError(f"{command[0]} failed: {errors[0].strip()}")
    return output


def verify(configuration: Configuration, models: Path, folder: Path, *, endless: bool) -> Outcome:
    """Makes the verifier, and runs it to its end or to its first error. Breadth first where an error is wanted: the
    counterexample is a shortest one. `endless` looks for runs without end instead of broken assertions."""
    folder.mkdir(parents=True, exist_ok=True)
    model = models / f"{configuration.model}.pml"
    # Unoptimised: so few states are sooner searched through than an optimising compiler is done.
    options = ["-O0", "-DNP" if endless else "-DSAFETY"]
    if configuration.kind is not Kind.HOLDS and not endless:
        options.append("-DBFS")
    run = ["./pan", f"-m{configuration.depth}", "-w22", *(["-l"] if endless else [])]
    try:
        generated = called(["spin", "-a", *(f"-D{macro}" for macro in configuration.macros), str(model)], folder, 60)
        if "Error" in generated:
            raise RuntimeError(f"spin failed: {generated.strip().splitlines()[0]}")
        called(["gcc", *options, f"-DMEMLIM={configuration.memory_mib}", "-w", "-o", "pan", "pan.c"], folder, 300)
        output = called(run, folder, configuration.seconds, HUGE_PAGES)
    except RuntimeError as error:
        return Outcome(0, "", False, str(error))
    (folder / "pan.out").write_text(output, encoding="utf-8")
    for part in folder.glob("pan.[chmtbp]*"):
        if part.name != "pan.out":
            part.unlink()
    return read_outcome(output, properties_of(model))


def complaint(configuration: Configuration, outcome: Outcome) -> str:
    """What is not as it should be, or nothing."""
    wanted = configuration.found
    if outcome.trouble:
        return outcome.trouble
    if outcome.violated and not wanted:
        return f"the model breaks: {outcome.violated}"
    if wanted and not outcome.violated:
        return f"not found: it should break {wanted}, and nothing breaks"
    if outcome.violated != wanted:
        return f"it should break {wanted}, and breaks {outcome.violated}"
    return ""


def runs_of(configuration: Configuration) -> list[bool]:
    """Which searches a configuration takes: for broken assertions and hangs, for runs without end."""
    if configuration.kind is Kind.HOLDS:
        return [False, True] if configuration.ends else [False]
    return [configuration.found == ENDLESS]


def check(configurations: Sequence[Configuration], models: Path, build: Path,
          say: Callable[[str], None] = print) -> tuple[Tally, list[str]]:
    """Runs the configurations, two at a time and the longest first; returns the figures, and what is not as expected."""
    tally = Tally()
    complaints: list[str] = []
    runs = [(configuration, endless) for configuration in configurations for endless in runs_of(configuration)]
    for configuration in configurations:
        tally.wanted[configuration.kind] += 1

    def one(run: tuple[Configuration, bool]) -> Outcome:
        configuration, endless = run
        folder = build / (configuration.name + ("-ends" if endless else ""))
        return verify(configuration, models, folder, endless=endless)

    broken: set[str] = set()
    with ThreadPoolExecutor(max_workers=2) as pool:
        for (configuration, endless), outcome in zip(runs, pool.map(one, runs), strict=True):
            tally.states += outcome.states
            if wrong := complaint(configuration, outcome):
                broken.add(configuration.name)
                complaints.append(f"{configuration.name}: {wrong}")
                say(complaints[-1])
            elif configuration.kind is Kind.HOLDS:
                tally.properties |= {ENDLESS} if endless else {HANG} | properties_of(models / f"{configuration.model}.pml")
    for configuration in configurations:
        tally.found[configuration.kind] += configuration.name not in broken
    return tally, complaints


def figures(tally: Tally) -> str:
    """The last line."""
    holds = f"{tally.found[Kind.HOLDS]} of {tally.wanted[Kind.HOLDS]}"
    parts = [f"states {tally.states}", f"properties {len(tally.properties)}", f"scenarios searched through {holds}"]
    for kind in (Kind.RULE, Kind.DEFECT):
        parts.append(f"{kind.value} and found {tally.found[kind]} of {tally.wanted[kind]}")
    return f"model: {', '.join(parts)}"
