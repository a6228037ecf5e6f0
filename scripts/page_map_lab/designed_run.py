"""From the records of a run's pilot to the launches that follow it; and, at the end, to what was reached."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from page_map_lab import design
from page_map_lab.design import BY_BUDGET, PILOT_LAUNCHES, Design
from page_map_lab.launch import heap_padding_bytes
from page_map_lab.plan import COVERAGE, MOST_LAUNCHES_QUICK, Launch, Plan
from page_map_lab.run_folder import RunFolder


def is_due(run: RunFolder) -> bool:
    """Whether the run's pilot is complete and has not been looked at."""
    return run.plan.request.is_designed and run.plan.design is None


def extend(run: RunFolder) -> None:
    """Designs the rest of the run, and appends it to the plan."""
    from page_map_lab.run_noise import pilot_of  # only here and below: a run that is not designed needs no numpy

    request = run.plan.request
    groups = _groups(run.plan.launches)
    pilots = [pilot for name, launches in groups.items() if (pilot := pilot_of(run, name, launches)) is not None]
    seconds = request.budget_minutes * 60 - run.plan.seconds_used if request.budget_minutes else float("inf")
    is_bounded = request.mode == "quick" and not request.variants
    room = MOST_LAUNCHES_QUICK - len(run.plan.launches) if is_bounded else float("inf")
    found = design.design(pilots, request.target_width_percent, seconds, room)
    about = {
        "stopped_by": found.stopped_by,
        "target_width_percent": request.target_width_percent,
        "budget_minutes": request.budget_minutes,
        "pilot_launches": PILOT_LAUNCHES,
        "pilot": [asdict(pilot) for pilot in pilots],
        "choices": [asdict(choice) for choice in found.choices],
    }
    run.replan(replace(run.plan, launches=[*run.plan.launches, *_further(run.plan, groups, found)], design=about))


def lines(plan: Plan) -> list[str]:
    """What the design says, for people."""
    about = plan.design or {}
    return [
        f"{choice['name']}: {choice['launches']} launches of {choice['repetitions']} repetitions, for intervals of at most "
        f"{choice['width_percent']:.3g} % (noisiest: {choice['noisiest']})"
        for choice in about.get("choices", [])
    ] + [f"after a pilot of {PILOT_LAUNCHES} launches, the {about.get('stopped_by')} decides"]


def is_out_of_time(run: RunFolder) -> bool:
    """Whether a designed run has used its budget; its pilot is never cut short."""
    minutes = run.plan.request.budget_minutes
    return minutes is not None and run.plan.design is not None and run.plan.seconds_used > minutes * 60


def cut_short(run: RunFolder) -> None:
    """Takes what was not measured in time out of the plan."""
    about = {**(run.plan.design or {}), "stopped_by": BY_BUDGET}
    missing = {launch.index for launch in run.missing()}
    run.replan(replace(run.plan, launches=[each for each in run.plan.launches if each.index not in missing], design=about))


def outcome(run: RunFolder) -> dict[str, Any] | None:
    """What a designed run came to: what stopped it, and how wide the widest interval of each group is; None for others."""
    if run.plan.design is None:
        return None
    from page_map_lab.run_noise import estimates, records_of

    groups = []
    for name, launches in _groups(run.plan.launches).items():
        widths = {cell: design.percent_of(found.half_width) for cell, found in estimates(records_of(run, launches)).items()}
        if widths:
            widest = max(widths, key=lambda cell: widths[cell])
            groups.append({"name": name, "launches": len(launches), "width_percent": widths[widest], "widest": widest})
    known = ("stopped_by", "target_width_percent", "budget_minutes")
    return {**{name: run.plan.design[name] for name in known}, "groups": groups}


def sentence(about: dict[str, Any]) -> str:
    """The outcome for people."""
    parts = [f"{each['name']} {each['width_percent']:.3g} % ({each['launches']} launches)" for each in about["groups"]]
    return f"stopped by the {about['stopped_by']}; widest interval of a ratio: {', '.join(parts) or 'none'}"


def _groups(launches: Iterable[Launch]) -> dict[str, list[Launch]]:
    """The launches with intervals by what they measure, under names that people can read."""
    groups: dict[tuple[Any, ...], list[Launch]] = {}
    for launch in launches:
        if launch.kind != COVERAGE:
            groups.setdefault((launch.workload, tuple(launch.variants), launch.kind, *_place(launch)), []).append(launch)
    named: dict[str, list[Launch]] = {}
    for (workload, *_), found in groups.items():
        alike = sum(name.partition(" ")[0] == workload for name in named)
        named[f"{workload} {alike + 1}" if alike else workload] = found
    return named


def _place(launch: Launch) -> tuple[str, ...]:
    """Where the launch runs: --plan and --memory, as far as given."""
    words = launch.arguments
    return tuple(words[words.index(option) + 1] for option in ("--plan", "--memory") if option in words)


def _further(plan: Plan, groups: dict[str, list[Launch]], found: Design) -> list[Launch]:
    """The blocks after the pilot's, each in an order of its own."""
    chance = random.Random(f"{plan.request.seed} after the pilot")
    further: list[Launch] = []
    for block in range(PILOT_LAUNCHES + 1, max((choice.launches for choice in found.choices), default=0) + 1):
        due = [choice for choice in found.choices if choice.launches >= block]
        chance.shuffle(due)
        for choice in due:
            # Sets of counters take turns from block to block, and so they go on.
            like = next(each for each in groups[choice.name] if (block - each.block) % len(plan.request.counter_sets) == 0)
            seed = chance.randrange(1, 1 << 31)
            changed = {
                "--repetitions": str(choice.repetitions),
                "--heap-padding": str(heap_padding_bytes(seed)),
                "--seed": str(seed),
            }
            arguments = list(like.arguments)
            for option, value in changed.items():
                arguments[arguments.index(option) + 1] = value
            index = len(plan.launches) + len(further)
            further.append(replace(like, index=index, block=block, seed=seed, arguments=arguments))
    return further
