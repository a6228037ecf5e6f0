"""The plan of a run: which launches, of what, in which order. It is written before the first launch, so nothing is lost.

A launch is one fresh process that measures several variants of one workload interleaved. The quick and full matrices are:
block 0, every variant of every workload once (coverage); then, block after block, one launch a workload of the base and each
step away from it along one axis (these cells get intervals). Within a block the order is random, from the kept seed.

Where a width of the intervals or a budget of time was asked for, the first blocks are a pilot, and designed_run.py appends the
blocks that its noise calls for.

Where several sets of counters are asked for, because the hardware cannot count them together, each launch carries one of them, and
the launches of the same things in successive blocks take the next. What one launch covers has the first set, so that all of it compares.

On a machine with several memory nodes, full adds launches of the base from a processor of each node, with its memory local,
interleaved and on each other node: what remote memory costs.
"""

import math
import random
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from page_map_lab.binaries import Workload, nearest
from page_map_lab.cli_errors import UsageError
from page_map_lab.design import PILOT_LAUNCHES
from page_map_lab.launch import heap_padding_bytes
from page_map_lab.plain_types import misfit

PLAN_VERSION = 1
_NAME = re.compile(r"\w+")  # of a workload: it becomes part of file names
COVERAGE, INTERVAL, PLACED = "coverage", "interval", "placed"
# Whose cost by node pair is measured: every thread walks nodes that somebody else may have placed.
PLACED_WORKLOAD = "lookup"
MOST_LAUNCHES_QUICK = 250


@dataclass(frozen=True)
class Request:
    """What the user asked for, after checking; everything that decides the plan."""

    mode: str = "quick"
    workloads: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)
    parameters: dict[str, list[str]] = field(default_factory=dict)  # sweep values that replace the size's own
    placement_plan: str | None = None
    memory: str | None = None
    places: list[list[str]] = field(default_factory=list)  # pairs of plan and memory that the base is measured at besides
    counters: str | None = None  # a set, or several with commas between them
    require_counters: bool = False
    trace: str | None = None
    launches: int = 8  # of each cell with an interval, where nothing is designed
    target_width_percent: float | None = None
    budget_minutes: float | None = None
    repetitions: int | None = None
    min_time_ms: int | None = None
    timeout_s: float | None = None
    seed: int = 0

    @property
    def size(self) -> str:
        """The size that the binaries are asked for."""
        return "real" if self.mode == "full" else "smoke"

    @property
    def is_designed(self) -> bool:
        """Whether a pilot decides the number of launches."""
        return self.target_width_percent is not None or self.budget_minutes is not None

    @property
    def counter_sets(self) -> list[str | None]:
        """The sets of counters that the launches take turns with; one that is None where none was asked for."""
        return [*self.counters.split(",")] if self.counters else [None]

    @property
    def first_blocks(self) -> int:
        """How many blocks of launches with intervals are planned before anything is measured."""
        return PILOT_LAUNCHES if self.is_designed else self.launches


@dataclass(frozen=True)
class Effort:
    """How long a launch measures each cell, how many cells one launch may hold, and whether the base is measured beside each.

    With one repetition a cell, the luck of the base's own would be in every ratio of the launch.
    """

    repetitions: int
    min_time_ms: int
    most_cells: int
    base_beside: bool = False


# Sized so that the quick matrix ends within ten minutes on two cores; full is for people who can wait.
EFFORTS = {
    ("quick", COVERAGE): Effort(1, 5, 1000, base_beside=True),
    ("quick", INTERVAL): Effort(4, 5, 1000),
    ("full", COVERAGE): Effort(3, 100, 400),
    ("full", INTERVAL): Effort(5, 100, 400),
    ("full", PLACED): Effort(5, 100, 400),
}


@dataclass(frozen=True)
class Launch:
    """One process of the plan."""

    index: int
    block: int
    kind: str
    workload: str
    variants: list[str]
    cells: int
    seed: int
    timeout_s: float
    arguments: list[str]  # all but --launch and --record

    @property
    def name(self) -> str:
        """The stem of the record's file name."""
        return f"{self.index:04d}-{self.workload}"


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to be done, or to go on."""

    run: str
    host: str
    created: str
    request: Request
    binaries: dict[str, str]  # workload to the hash of its binary
    launches: list[Launch]
    design: dict[str, Any] | None = None  # what the pilot came to, once it has
    seconds_used: float = 0.0  # of a designed run: everything after the build, gate, waits and failures included

    def as_json(self) -> dict[str, Any]:
        """The plan as it is kept in plan.json."""
        return {"plan_version": PLAN_VERSION, **asdict(self)}

    @staticmethod
    def from_json(value: Any, path: Path) -> "Plan":
        """The plan that was kept."""
        try:
            if value["plan_version"] != PLAN_VERSION:
                raise UsageError(f"{path}: a plan of version {value['plan_version']}: start a new run")
            plan = Plan(
                run=value["run"],
                host=value["host"],
                created=value["created"],
                request=Request(**value["request"]),
                binaries=value["binaries"],
                launches=[Launch(**launch) for launch in value["launches"]],
                design=value.get("design"),
                seconds_used=float(value.get("seconds_used", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}: not a plan of this lab ({error!r}): start a new run") from error
        wrong = misfit(plan)
        if wrong or any(not _NAME.fullmatch(launch.workload) for launch in plan.launches):
            raise UsageError(f"{path}: not a plan of this lab (in its {wrong or 'launches'}): start a new run")
        return plan


def chosen_variants(workload: Workload, patterns: list[str]) -> list[str]:
    """The names that the patterns mean for one workload, each once, in the workload's own order."""
    wanted = {name for pattern in patterns for name in workload.select(pattern)}
    return [name for name in [*workload.variants, *workload.floors] if name in wanted]


def check_matches(request: Request, workloads: list[Workload]) -> None:
    """Refuses a variant or a parameter that no chosen workload knows."""
    for pattern in request.variants:
        if not any(workload.select(pattern) for workload in workloads):
            known = [name for workload in workloads for name in [*workload.variants, *workload.floors]]
            raise UsageError(f'unknown variant "{pattern}"{nearest(pattern, known)}: `lab list` shows what exists')
    for parameter, values in request.parameters.items():
        check_choices(parameter, values, workloads)
        if not any(parameter in workload.parameters for workload in workloads):
            known = sorted({name for workload in workloads for name in workload.parameters})
            raise UsageError(f'no chosen workload has the parameter "{parameter}": there is {", ".join(known)}')
    if request.trace and not any(workload.replays_traces for workload in workloads):
        raise UsageError("no chosen workload replays a trace: leave --trace out, or name such a workload")


def check_choices(parameter: str, values: list[str], workloads: list[Workload]) -> None:
    """Refuses a word that no chosen workload takes for a parameter of words."""
    taken = [workload.parameters[parameter] for workload in workloads if parameter in workload.parameters]
    choices = [words["choices"] for words in taken if isinstance(words, dict) and "choices" in words]
    for value in values:
        if choices and not any(value in words for words in choices):
            raise UsageError(f'{parameter} "{value}" does not exist: there is {", ".join(choices[0])}')


def cells_per_variant(workload: Workload, request: Request) -> int:
    """How many points of the sweep one variant is measured at."""
    further = workload.variations if request.size == "real" else ()
    # The user decides over the axes that the command line names.
    varied = [lists for lists in further if not lists.keys() & request.parameters.keys()]
    return sum(
        math.prod(
            max(1, len(request.parameters.get(name) or lists.get(name) or workload.sizes(name, request.size)))
            for name in workload.parameters
        )
        for lists in ({}, *varied)
    )


def split(variants: list[str], each: int, most: int, base: str | None) -> list[list[str]]:
    """The variants in groups of at most `most` cells; the base goes into every group, so that ratios stay in-process."""
    room = max(2, most // max(1, each))
    if len(variants) <= room:
        return [variants]
    rest = [name for name in variants if name != base]
    shared = [base] if base in variants else []
    room -= len(shared)
    parts = math.ceil(len(rest) / room)
    return [shared + rest[part::parts] for part in range(parts)]


def launch_arguments(workload: Workload, request: Request, variants: list[str], effort: Effort, seed: int) -> list[str]:
    """The command line of one launch, without the program, --launch and --record."""
    arguments = ["--size", request.size]
    for name in variants:
        arguments += ["--variant", name]
    for name, values in request.parameters.items():
        if name in workload.parameters:
            text = ",".join(values)
            arguments += [f"--{name}", text] if name in ("pages", "threads", "pattern") else ["--set", f"{name}={text}"]
    for option, value in (
        ("--plan", request.placement_plan),
        ("--memory", request.memory),
        ("--counters", request.counters),
    ):
        arguments += [option, value] if value else []
    if request.require_counters:
        arguments.append("--require-counters")
    if request.trace and workload.replays_traces:
        arguments += ["--trace", request.trace]
    repetitions = request.repetitions or effort.repetitions
    minimum = effort.min_time_ms if request.min_time_ms is None else request.min_time_ms
    arguments += ["--repetitions", str(repetitions), "--min-time-ms", str(minimum)]
    if effort.base_beside and (base := workload.base()):
        arguments += ["--beside", base]
    return [*arguments, "--heap-padding", str(heap_padding_bytes(seed)), "--seed", str(seed)]


def placed_requests(request: Request, workload: Workload) -> list[Request]:
    """The request at each of its places: one thread and one pattern of keys, so that a place is all that differs."""
    single = {"threads": ["1"], "pattern": ["uniform"]}
    parameters = request.parameters | {name: values for name, values in single.items() if name in workload.parameters}
    return [replace(request, placement_plan=plan, memory=memory, parameters=parameters) for plan, memory in request.places]


def with_counters(request: Request, turn: int | None) -> Request:
    """The request with one of its sets of counters, by turns that the seed begins; with the first where there are no turns."""
    sets = request.counter_sets
    return replace(request, counters=sets[0] if turn is None else sets[(request.seed + turn) % len(sets)])


def make_launches(request: Request, workloads: list[Workload]) -> list[Launch]:
    """The launches of a request, in the order in which they will run."""
    check_matches(request, workloads)
    blocks: list[list[tuple[str, Workload, list[str], Request]]] = [[] for _ in range(request.first_blocks + 1)]
    for workload in workloads:
        each = cells_per_variant(workload, request)
        base = workload.base()
        if request.variants:
            chosen, covered = chosen_variants(workload, request.variants), []
        else:
            covered = [*workload.variants, *workload.floors]
            chosen = [name for name in covered if name in {base, *workload.steps(), *workload.floors}]
        for kind, names in ((COVERAGE, covered), (INTERVAL, chosen)):
            if names:
                groups = split(names, each, EFFORTS[request.mode, kind].most_cells, base)
                for block in [0] if kind == COVERAGE else range(1, request.first_blocks + 1):
                    blocks[block] += [(kind, workload, group, request) for group in groups]
        if workload.name == PLACED_WORKLOAD and base:
            for placed in placed_requests(request, workload):
                for block in range(1, request.first_blocks + 1):
                    blocks[block].append((PLACED, workload, [base], placed))
    if request.first_blocks < len(request.counter_sets):
        raise UsageError(
            f"--counters {request.counters} are more sets than the {request.first_blocks} launches that they would be split over: "
            "raise --launches, or name fewer sets"
        )
    chance = random.Random(request.seed)
    launches: list[Launch] = []
    for number, unordered in enumerate(blocks):
        block = [
            (kind, workload, variants, with_counters(asked, None if kind == COVERAGE else number + position))
            for position, (kind, workload, variants, asked) in enumerate(unordered)
        ]
        chance.shuffle(block)
        for kind, workload, variants, asked in block:
            effort = EFFORTS[request.mode, kind]
            seed = chance.randrange(1, 1 << 31)
            launches.append(
                Launch(
                    index=len(launches),
                    block=number,
                    kind=kind,
                    workload=workload.name,
                    variants=variants,
                    cells=len(variants) * cells_per_variant(workload, asked),
                    seed=seed,
                    timeout_s=request.timeout_s or (300 if request.mode == "quick" else 3600),
                    arguments=launch_arguments(workload, asked, variants, effort, seed),
                )
            )
    if not launches:
        raise UsageError("nothing matched, so there is nothing to measure: `lab list` shows what exists")
    if request.mode == "quick" and not request.variants and len(launches) > MOST_LAUNCHES_QUICK:
        raise UsageError(f"{len(launches)} launches are too many for quick: lower --launches, or choose a --workload")
    return launches
