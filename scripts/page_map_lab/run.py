"""`lab run`: measures a matrix of variants and parameters, each launch a fresh process, and loses nothing when cut short."""

import argparse
import contextlib
import itertools
import json
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file, binaries, build, designed_run, paths, run_request
from page_map_lab.cli_errors import CountersError, ExitCode, LabError, UsageError
from page_map_lab.gate import Gate, quiet_machine
from page_map_lab.launch import Outcome, command_of, environment_padding_bytes, layout_of, run_process
from page_map_lab.plan import Launch, Plan, Request, make_launches
from page_map_lab.progress import Progress, duration_text
from page_map_lab.run_folder import RunFolder, hash_of, now, refuse_other_builds
from page_map_lab.run_request import add_arguments

__all__ = ["add_arguments", "run"]

MOST_LINES = 10


def probe(workload: binaries.Workload, request: Request) -> dict[str, Any]:
    """One tiny launch whose record says who the host is, how the binary was built, and whether it can do what is asked."""
    single = {name: workload.sizes(name, "smoke")[:1] for name in workload.parameters}
    parameters = {name: [str(value) for value in values] for name, values in single.items() if values}
    parameters |= {name: values[:1] for name, values in request.parameters.items() if name in workload.parameters}
    small = Request(
        workloads=[workload.name], variants=[workload.base() or next(iter(workload.variants))], parameters=parameters,
        counters=request.counters, require_counters=request.require_counters,
        memory=request.memory, trace=request.trace if workload.replays_traces else None,
        launches=1, repetitions=1, min_time_ms=1, seed=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="page_map_lab-") as folder:
        record = Path(folder) / "probe.json"
        outcome = run_process(
            command_of(workload.path, make_launches(small, [workload])[0].arguments, record), 120, Path(folder) / "log"
        )
        if outcome.exit_code == ExitCode.COUNTERS_UNAVAILABLE:
            raise CountersError(outcome.message)
        if not record.exists():
            raise LabError(f"a first try fails ({outcome.message}): see `{workload.path.name} --help`, or `lab doctor`")
        value = atomic_file.read_json(record, "the record of a first try")
        refuse_other_builds(value, record)
        return value


def first_try(request: Request, workloads: list[binaries.Workload]) -> str:
    """The host's name, by a tiny launch; where counters are required, by one of each workload with each set, so that no run ends midway."""
    tries = itertools.product(workloads, request.counter_sets) if request.require_counters else [(workloads[0], request.counter_sets[0])]
    hosts = [probe(workload, replace(request, counters=counters))["host"]["name"] for workload, counters in tries]
    return str(hosts[0])


class Runner:
    """Runs what is missing of one run folder."""

    def __init__(self, run: RunFolder, folder: Path, waived: list[str], quiet: bool) -> None:
        self.run = run
        self.binaries = folder
        self.gate = Gate(run.folder, waived)
        self.quiet = quiet
        self.failures: list[tuple[Launch, Outcome]] = []
        self.hard_afterwards: list[str] = []
        self.hung: set[tuple[str, ...]] = set()
        self.progress = Progress([], quiet)

    @staticmethod
    def _weight(launch: Launch) -> float:
        repetitions = int(launch.arguments[launch.arguments.index("--repetitions") + 1])
        return 1 + launch.cells * (1 + repetitions) / 20

    def one(self, launch: Launch) -> None:
        """Runs one launch and completes its record."""
        kept = f"finished records are kept in {paths.shown(self.run.folder)}"
        before = self.gate.before(self.progress, kept)
        about = {
            "run": self.run.plan.run, "index": launch.index, "block": launch.block, "seed": launch.seed,
            "layout": layout_of(launch.seed),
        }  # fmt: skip
        binary = self.binaries / f"bench_{launch.workload}"
        record = self.run.record_path(launch)
        command = command_of(binary, launch.arguments, record, about)
        started = now()
        padding = environment_padding_bytes(launch.seed)
        outcome = run_process(command, launch.timeout_s, self.run.log_path(launch), padding)
        if outcome.disk_full:
            raise UsageError(f"the disk is full ({outcome.message}): free some space, then {self.resume_command()}")
        if outcome.exit_code == ExitCode.COUNTERS_UNAVAILABLE:
            raise CountersError(outcome.message)
        if not outcome.has_record or not record.exists():
            record.unlink(missing_ok=True)
            missing = outcome.message or "it ended without a record"
            self.failures.append((launch, Outcome(outcome.exit_code, missing, outcome.seconds)))
            return
        after = self.gate.after()
        if after["verdict"] == "hard":
            self.hard_afterwards.append(launch.name)
        self.run.amend(launch, self.gate.block(before, after), command, started, outcome.seconds)

    def resume_command(self) -> str:
        """What the user types to go on."""
        return f"`scripts/lab run --resume --out {paths.shown(self.run.folder)}`"

    def all(self) -> None:
        """Runs every missing launch, and those that the pilot then calls for; what fails is reported, the others go on."""
        try:
            self.planned()
            if designed_run.is_due(self.run):
                with self.counted():
                    designed_run.extend(self.run)
                self.progress.clear()
                for line in designed_run.lines(self.run.plan) if not self.quiet else []:
                    sys.stderr.write(f"lab run: {line}\n")
                self.planned()
        except KeyboardInterrupt:
            self.progress.clear()
            left = len(self.run.missing())
            done = len(self.run.plan.launches) - left
            sys.stderr.write(
                f"lab run: interrupted with {done} of {len(self.run.plan.launches)} launches done: "
                f"{self.resume_command()} goes on\n"
            )
            raise SystemExit(ExitCode.INTERRUPTED) from None
        finally:
            self.progress.clear()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """What happens here uses up the budget."""
        started = time.monotonic()
        yield
        self.run.spend(time.monotonic() - started)

    def planned(self) -> None:
        """Runs every launch that is planned and missing; ends between two blocks where a design's time is used up.

        What hung once is not tried again on a budget: it would be spent on waiting.
        """
        missing = self.run.missing()
        self.progress = Progress([self._weight(launch) for launch in missing], self.quiet)
        for _, block in itertools.groupby(missing, key=lambda launch: launch.block):
            if designed_run.is_out_of_time(self.run):
                designed_run.cut_short(self.run)
                return
            for launch in block:
                subjects = (launch.workload, *launch.variants)
                if subjects in self.hung:
                    self.progress.step_done()
                    continue
                what = launch.variants[0] if len(launch.variants) == 1 else f"{len(launch.variants)} variants"
                self.progress.show(f"{launch.workload}, {what}, {launch.cells} cells")
                with self.counted():
                    self.one(launch)
                self.progress.step_done()
                if self.failures and self.failures[-1][0] is launch:
                    if self.failures[-1][1].timed_out and self.run.plan.request.budget_minutes is not None:
                        self.hung.add(subjects)
                    self.progress.clear()
                    sys.stderr.write(f"lab run: launch {launch.name} failed: {self.failures[-1][1].message}\n")


def refuse_build(folder: Path) -> None:
    """Refuses binaries that a build folder says are of another preset."""
    preset = build.preset_of(folder)
    if preset not in (None, build.PRESET):
        raise UsageError(f"{paths.shown(folder)} was built with the preset {preset}: only bench may produce numbers")


def plan_new(namespace: argparse.Namespace, said: dict[str, Any]) -> tuple[Plan | None, list[binaries.Workload], Path]:
    """The plan of a new run; None where --dry-run would have to build first."""
    request = run_request.make_request(said)
    folder = build.binaries_for(namespace.dry_run, namespace.quiet)
    if folder is None:
        print("the launches are known once the binaries can be asked what they measure")
        return None, [], Path()
    refuse_build(folder)
    workloads = list(binaries.describe_all(folder, request.workloads or None).values())
    if any(workload.replays_traces for workload in workloads) and not request.trace:
        request = Request(**{**vars(request), "trace": run_request.shipped_trace()})
        if request.trace is None:
            without = [workload for workload in workloads if not workload.replays_traces]
            if not without or request.workloads:
                raise UsageError("replay needs a trace and none is shipped: give --trace FILE")
            workloads = without
    launches = make_launches(request, workloads)
    used = {launch.workload for launch in launches}
    moment = datetime.now(timezone.utc)
    plan = Plan(
        run=f"{moment:%Y-%m-%d-%H%M%S}-{request.mode}",
        host="",
        created=now(),
        request=request,
        binaries={workload.name: hash_of(workload.path) for workload in workloads if workload.name in used},
        launches=launches,
    )
    return plan, [workload for workload in workloads if workload.name in used], folder


def start_new(namespace: argparse.Namespace, said: dict[str, Any]) -> tuple[RunFolder, Path] | None:
    """Makes the folder of a new run; None after a dry run."""
    plan, workloads, folder = plan_new(namespace, said)
    if plan is None:
        return None
    if namespace.dry_run:
        print_plan(plan, namespace.json)
        return None
    started = time.monotonic()
    quiet_machine(namespace.out or paths.RESULTS, run_request.waived_names(namespace.waive))
    plan = Plan(**{**vars(plan), "host": first_try(plan.request, workloads)})
    run = RunFolder.create(namespace.out or paths.RESULTS / plan.host / plan.run, plan)
    run.spend(time.monotonic() - started)
    return run, folder


def open_old(namespace: argparse.Namespace, said: dict[str, Any]) -> tuple[RunFolder, Path | None]:
    """Opens the run to resume, with the same settings and the same binaries; without these where a dry run would have to build first."""
    run = RunFolder.open(namespace.out) if namespace.out else RunFolder.newest_unfinished(paths.RESULTS)
    run_request.check_agrees(said, run.plan.request)
    folder = build.binaries_for(namespace.dry_run, namespace.quiet)
    if folder is None:
        return run, None
    refuse_build(folder)
    names = [name for name in run.plan.binaries if (folder / f"bench_{name}").exists()]
    run.check_same_binaries({name: hash_of(folder / f"bench_{name}") for name in names})
    return run, folder


def print_plan(plan: Plan, as_json: bool) -> None:
    """Prints what would run."""
    if as_json:
        print(json.dumps(plan.as_json(), indent=1))
        return
    for launch in plan.launches:
        print(f"{launch.name}  block {launch.block}, {launch.cells} cells: bench_{launch.workload} {shlex.join(launch.arguments)}")
    further = "; a pilot, whose noise decides how many follow" if plan.request.is_designed else ""
    print(f"{len(plan.launches)} launches, seed {plan.request.seed}{further}")


def summary(runner: Runner, seconds: float) -> dict[str, Any]:
    """What the run came to."""
    missing = runner.run.missing()
    return {
        "run": runner.run.plan.run,
        "host": runner.run.plan.host,
        "directory": str(runner.run.folder.resolve()),
        "launches": len(runner.run.plan.launches),
        "finished": len(runner.run.plan.launches) - len(missing),
        "seconds": round(seconds, 1),
        "seed": runner.run.plan.request.seed,
        "design": designed_run.outcome(runner.run),
        "failed": [{"launch": launch.name, "why": outcome.message} for launch, outcome in runner.failures],
        "failed_checks": runner.run.failed_checks(),
        "noisy": runner.hard_afterwards,
    }


def exit_code_of(runner: Runner, result: dict[str, Any]) -> int:
    """The worst of what happened."""
    codes = {outcome.exit_code for _, outcome in runner.failures}
    if result["failed_checks"] or codes - {ExitCode.USAGE}:
        return ExitCode.CHECK_FAILED
    if codes:
        return ExitCode.USAGE
    return ExitCode.NOISE_GATE if runner.hard_afterwards else ExitCode.OK


def print_summary(result: dict[str, Any], resume: str) -> None:
    """The result for people; the folder comes last."""
    print(f"{result['finished']} of {result['launches']} launches in {duration_text(result['seconds'])}, seed {result['seed']}")
    if result["design"]:
        print(designed_run.sentence(result["design"]))
    for failure in result["failed"]:
        print(f"failed: {failure['launch']}: {failure['why']}")
    for line in result["failed_checks"][:MOST_LINES]:
        print(f"check failed: {line}")
    if len(result["failed_checks"]) > MOST_LINES:
        print(f"check failed: {len(result['failed_checks']) - MOST_LINES} more cells; --json lists them all")
    if result["noisy"]:
        print(f"noise was found after {len(result['noisy'])} launches: {', '.join(result['noisy'][:5])}")
    if result["finished"] < result["launches"]:
        print(f"to finish what is missing: {resume}")
    print(paths.shown(Path(result["directory"])))


def run(namespace: argparse.Namespace) -> int:
    """Measures, and prints the run's folder last."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_request.check_place(namespace.out, namespace.resume)
    said = run_request.given(namespace)
    waived = run_request.waived_names(namespace.waive)
    if namespace.resume:
        old, folder = open_old(namespace, said)
        if namespace.dry_run or folder is None:
            print("\n".join(f"would run: {launch.name}" for launch in old.missing()) or "nothing is missing")
            return ExitCode.OK
        opened = old, folder
    else:
        created = start_new(namespace, said)
        if created is None:
            return ExitCode.OK
        opened = created
    started = time.monotonic()
    runner = Runner(*opened, waived, namespace.quiet)
    runner.all()
    result = summary(runner, time.monotonic() - started)
    if namespace.json:
        print(json.dumps(result, indent=1))
    else:
        print_summary(result, runner.resume_command())
    if result["failed_checks"]:
        sys.stderr.write(f"lab run: {len(result['failed_checks'])} correctness checks failed: {result['failed_checks'][0]}\n")
    return exit_code_of(runner, result)
