"""`lab selftest`: does the lab call a difference where there is none, and does it find one that was planted?

Each try is designed and judged as `lab run quick --target-width` and `lab compare` do it: a pilot, the launches and repetitions
that its noise calls for and the budget allows, an interval and a verdict. The width aimed at is the one that finds the planted
slowdown with a power of 0.9.
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page_map_lab import binaries, build, doctor, paths, run_request, selftest_noise, selftest_record
from page_map_lab import run as measuring
from page_map_lab.cli_errors import ExitCode, UsageError
from page_map_lab.design import width_to_find
from page_map_lab.gate import Watch
from page_map_lab.progress import Progress, duration_text
from page_map_lab.selftest_live import PATTERNS, Subject
from page_map_lab.statistics import INDISTINGUISHABLE, NOT_ENOUGH_DATA, SLOWER, RatioEstimate, verdict

PLANTED_PERCENT = 3
POWER = 0.9
TRIES = {"recorded": 1000, "live": 100}
MOST_FALSE = {"recorded": 62, "live": 10}  # of so many tries; for other numbers see Tally.most_false
FALSE_SHARE = 0.05  # of a lab that errs as often as it says
FEWEST_FOUND = 0.8  # of the planted slowdowns
RECORDED_LAUNCHES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab selftest`."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--recorded", action="store_true", help="on recorded noise instead of live: in a minute or two")
    form.add_argument("--record", action="store_true", help="record this machine's noise, for --recorded")
    parser.add_argument("--noise", type=Path, metavar="PATH", help="recorded noise: a file or a folder (default: results/noise)")
    parser.add_argument("--tries", type=int, metavar="N", help="comparisons of each kind (default 100 live, 1000 recorded)")
    parser.add_argument(
        "--launches", type=int, default=RECORDED_LAUNCHES, metavar="N", help=f"launches to record (default {RECORDED_LAUNCHES})"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="decides draws, orders and keys (default: random; recorded: 1)")
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for, or all")


@dataclass
class Tally:
    """What came of the tries."""

    form: str
    comparisons: int = 0
    false_verdicts: int = 0
    planted: int = 0
    planted_found: int = 0
    not_enough_data: int = 0
    launches: list[int] = field(default_factory=list)
    stopped_by: Counter[str] = field(default_factory=Counter)  # runs, by what decided how many launches they have
    seconds: float = 0.0
    flags: list[str] = field(default_factory=list)  # what the gate found before or after; live only

    def same(self, found: RatioEstimate) -> None:
        """Counts a comparison of a thing with itself."""
        self.comparisons += 1
        self.false_verdicts += verdict(found, found.p_value) not in (INDISTINGUISHABLE, NOT_ENOUGH_DATA)
        self._take(found)

    def slowed(self, found: RatioEstimate) -> None:
        """Counts a comparison with a planted slowdown."""
        self.planted += 1
        self.planted_found += verdict(found, found.p_value) == SLOWER
        self._take(found)

    def _take(self, found: RatioEstimate) -> None:
        self.not_enough_data += not found.has_interval
        self.launches.append(found.contender_launches)

    @property
    def most_false(self) -> int:
        """How many false verdicts may be: at any number of tries a lab that errs as often as it says fails with the same chance."""
        from scipy import stats  # takes a second, and a refusal needs none of it

        chance = stats.binom.cdf(MOST_FALSE[self.form], TRIES[self.form], FALSE_SHARE)
        return int(stats.binom.ppf(chance - 1e-9, self.comparisons, FALSE_SHARE))

    @property
    def fewest_found(self) -> int:
        """How many planted slowdowns must be found."""
        return math.ceil(FEWEST_FOUND * self.planted - 1e-9)

    @property
    def holds(self) -> bool:
        """Whether both bars are met."""
        return self.false_verdicts <= self.most_false and self.planted_found >= self.fewest_found

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints."""
        return {
            "form": self.form, "false_verdicts": self.false_verdicts, "comparisons": self.comparisons,
            "planted_found": self.planted_found, "planted": self.planted, "not_enough_data": self.not_enough_data,
            "planted_percent": PLANTED_PERCENT, "most_false_verdicts": self.most_false,
            "fewest_planted_found": self.fewest_found, "target_width_percent": width_to_find(PLANTED_PERCENT, POWER),
            "stopped_by": dict(self.stopped_by), "launches_median": statistics.median(self.launches), "launches_most": max(self.launches),
            "seconds": round(self.seconds, 1), "flags": self.flags, "holds": self.holds,
        }  # fmt: skip


def on_recorded_noise(path: Path, tries: int, seed: int, quiet: bool) -> Tally:
    """Comparisons of launches that are drawn from recorded ones."""
    width = width_to_find(PLANTED_PERCENT, POWER)
    pools = selftest_noise.load(path)
    tally = Tally("recorded")
    progress = Progress([1.0] * tries, quiet)
    try:
        for number, (pool, order) in enumerate(selftest_noise.draws(pools, tries, seed)):
            progress.show("recorded noise")
            run = selftest_noise.Run.of(pool, order, width)
            if number % 2:
                half = len(order) // 2
                before, after = (selftest_noise.Run.of(pool, launches, width) for launches in (order[:half], order[half:]))
                tally.same(after.against(before))
            else:
                tally.same(run.against_its_twin())
            tally.slowed(run.against_its_twin(1 + PLANTED_PERCENT / 100))
            tally.stopped_by[run.stopped_by] += 1
            progress.step_done()
    finally:
        progress.clear()
    return tally


def on_this_machine(subject: Subject, tries: int, quiet: bool) -> Tally:
    """Comparisons of launches that are measured now."""
    width = width_to_find(PLANTED_PERCENT, POWER)
    tally = Tally("live")
    progress = Progress([1.0] * tries, quiet)
    try:
        for number in range(0, tries, len(PATTERNS)):
            stopped_by, cells = subject.one_run(number, min(len(PATTERNS), tries - number), width, progress.show)
            tally.stopped_by[stopped_by] += 1
            for same, slowed in cells:
                tally.same(same)
                tally.slowed(slowed)
                progress.step_done()
    finally:
        progress.clear()
    return tally


def prepare(namespace: argparse.Namespace, seed: int, folder: Path) -> tuple[Subject, Watch]:
    """What is measured, on a machine that is quiet enough, and who watches that it stays so."""
    binaries_folder = build.ensure_built(namespace.quiet)
    measuring.refuse_build(binaries_folder)
    workload = binaries.describe_all(binaries_folder, [Subject.WORKLOAD])[Subject.WORKLOAD]
    base = workload.base()
    if base is None:
        raise UsageError(f"bench_{workload.name} has no base variant to plant a slowdown in: build the bench preset anew")
    watch = Watch(paths.RESULTS, run_request.waived_names(namespace.waive))
    return Subject(workload.path, base, PLANTED_PERCENT, seed, folder), watch


def record(subject: Subject, launches: int, noise: Path, quiet: bool) -> int:
    """Records, and prints where; what is measured stays when it is interrupted."""
    try:
        print(paths.shown(selftest_record.record(subject, launches, noise, quiet)))
    except KeyboardInterrupt:
        sys.stderr.write("lab selftest: interrupted; the launches that were measured are kept, and the same command goes on\n")
        raise SystemExit(ExitCode.INTERRUPTED) from None
    return ExitCode.OK


def print_tally(tally: Tally) -> None:
    """The result for people."""
    about = tally.as_json()
    stopped = ", ".join(f"{count} by the {what}" for what, count in sorted(tally.stopped_by.items()))
    print(
        f"{tally.form}: a thing compared with itself: {tally.false_verdicts} false verdicts in {tally.comparisons} "
        f"(at most {tally.most_false})\n"
        f"{tally.form}: a slowdown of {PLANTED_PERCENT} %: found in {tally.planted_found} of {tally.planted} "
        f"(at least {tally.fewest_found}); not enough data in {tally.not_enough_data}\n"
        f"{about['launches_median']:g} launches a comparison in the median, {about['launches_most']} at most; "
        f"runs stopped: {stopped}; {duration_text(tally.seconds)}\n" + ("both bars hold" if tally.holds else "A BAR DOES NOT HOLD")
    )


def run(namespace: argparse.Namespace) -> int:
    """Prints the tally; exit 1 when a bar does not hold."""
    doctor.require_known(namespace.waive)
    for value, option in ((namespace.tries, "--tries"), (namespace.launches, "--launches")):
        run_request.positive(value, option)
    if namespace.seed is not None and namespace.seed < 0:
        raise UsageError(f"--seed {namespace.seed} is out of range: give 0 or more")
    seed = namespace.seed if namespace.seed is not None else 1 if namespace.recorded else secrets.randbelow(1 << 31)
    form = "recorded" if namespace.recorded else "live"
    tries = namespace.tries or TRIES[form]
    noise = namespace.noise or selftest_noise.FOLDER
    if namespace.dry_run:
        print(f"would record {namespace.launches} launches" if namespace.record else f"would make {tries} tries, {form}")
        return ExitCode.OK
    started = time.monotonic()
    if namespace.recorded:
        tally = on_recorded_noise(noise, tries, seed, namespace.quiet)
    else:
        with tempfile.TemporaryDirectory(prefix="page_map_lab-") as folder:
            subject, watch = prepare(namespace, seed, Path(folder))
            if namespace.record:
                code = record(subject, namespace.launches, noise, namespace.quiet)
                watch.flags("selftest")
                return code
            tally = on_this_machine(subject, tries, namespace.quiet)
            tally.flags = watch.flags("selftest")
    tally.seconds = time.monotonic() - started
    if namespace.json:
        print(json.dumps(tally.as_json(), indent=1))
    else:
        print_tally(tally)
    if not tally.holds:
        sys.stderr.write(f"lab selftest: a bar does not hold: seed {seed} repeats the order\n")
    return ExitCode.OK if tally.holds else ExitCode.REGRESSION
