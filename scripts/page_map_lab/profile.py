"""`lab profile WORKLOAD VARIANT...`: where the time of some variants goes, as one session folder with a page.

One launch measures all variants interleaved, without a profiler, for scores, phases and counters; then each variant is run
alone under perf, which the benchmark switches on for what it measures and off again. perf is left out where it is not
installed, and samples by the clock where there is no PMU: the page says so, and names every view that cannot be had.
"""

import argparse
import json
import signal
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file, binaries, build, doctor, paths, perf, profile_page, profile_views, run_request, trace_attribution
from page_map_lab import run as measuring
from page_map_lab.cli_errors import CheckFailedError, ExitCode, LabError, UsageError
from page_map_lab.gate import Watch
from page_map_lab.launch import command_of, run_process
from page_map_lab.machine import Machine
from page_map_lab.plan import Effort, Request, check_matches, chosen_variants, launch_arguments
from page_map_lab.progress import Progress
from page_map_lab.run_folder import refuse_other_builds

LAUNCH_TIMEOUT_S = 600
TIMELINE = "timeline.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab profile`."""
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload to profile")
    parser.add_argument("variant", nargs="+", metavar="VARIANT", help="variants or floors: names or shell globs")
    parser.add_argument("--threads", metavar="LIST", help="thread counts (default: the fewest)")
    parser.add_argument("--pages", metavar="LIST", help="pages of the object")
    parser.add_argument("--pattern", metavar="LIST", help="key patterns")
    parser.add_argument("--processes", metavar="LIST", help="worker processes that map the object (default 0)")
    parser.add_argument("--set", action="append", metavar="KEY=LIST", help="values of any other parameter (repeatable)")
    parser.add_argument("--trace", metavar="FILE", help="the trace that replay replays")
    parser.add_argument("--plan", default="compact", metavar="P", help="which processors (default compact)")
    parser.add_argument("--counters", metavar="SET", help=f"counters: {', '.join(run_request.COUNTER_SETS)}")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="repetitions of each cell (default 5)")
    parser.add_argument("--min-time-ms", type=int, default=100, metavar="N", help="time of one repetition (default 100)")
    parser.add_argument("--frequency", type=int, default=4999, metavar="HZ", help="samples a second (default 4999)")
    parser.add_argument(
        "--event", metavar="E", help="what to sample: an event of perf list or a tracepoint (default cycles, cpu-clock without a PMU)"
    )
    parser.add_argument("--seconds", type=float, default=3, metavar="N", help="how long each view of each variant runs (default 3)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="decides orders and keys (default 1)")
    parser.add_argument("--waive", action="append", default=[], metavar="CHECK", help="a hard finding not to stop for, or all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the session folder")


def make_request(namespace: argparse.Namespace) -> Request:
    """What to measure, checked as far as that goes without binaries."""
    doctor.require_waivable(namespace.waive)
    for value, option in (
        (namespace.repetitions, "--repetitions"),
        (namespace.min_time_ms, "--min-time-ms"),
        (namespace.frequency, "--frequency"),
        (namespace.seconds, "--seconds"),
    ):
        run_request.positive(value, option)
    if namespace.counters and namespace.counters not in run_request.COUNTER_SETS:
        raise UsageError(f'--counters "{namespace.counters}" is no set: use {", ".join(run_request.COUNTER_SETS)}')
    if namespace.out and namespace.out.exists() and any(namespace.out.iterdir() if namespace.out.is_dir() else [1]):
        raise UsageError(f"--out {namespace.out} is not an empty folder: name another")
    binaries.check_names_before_building([namespace.workload], namespace.variant)
    return Request(
        workloads=[namespace.workload],
        variants=namespace.variant,
        parameters=run_request.sweep(namespace),
        placement_plan=run_request.check_pinning_plan(namespace.plan),
        counters=namespace.counters,
        trace=run_request.check_trace(namespace.trace) if namespace.trace else None,
        repetitions=namespace.repetitions,
        min_time_ms=namespace.min_time_ms,
        seed=namespace.seed,
    )


def one_thread_unless_asked(request: Request, workload: binaries.Workload) -> Request:
    """A profile of several thread counts at once says nothing: the fewest, unless the user names some."""
    if "threads" in request.parameters or "threads" not in workload.parameters:
        return request
    fewest = [str(value) for value in workload.sizes("threads", "smoke")[:1]]
    return Request(**{**vars(request), "parameters": {**request.parameters, "threads": fewest}})


def launch(command: list[str], folder: Path, what: str) -> None:
    """Runs one launch of the session, which must succeed."""
    outcome = run_process(command, LAUNCH_TIMEOUT_S, folder / "launch.log")
    if outcome.exit_code == ExitCode.CHECK_FAILED:
        raise CheckFailedError(f"{what}: {outcome.message}")
    if outcome.exit_code:
        raise LabError(f"{what} cannot be profiled: {outcome.message}")


def file_name(variant: str) -> str:
    """A variant's name as a folder's."""
    return variant.replace("/", "+").replace(":", "-")


def measure(
    namespace: argparse.Namespace, workload: binaries.Workload, request: Request, names: list[str], session: Path
) -> dict[str, Any]:
    """Everything the page is made of."""
    effort = Effort(namespace.repetitions, namespace.min_time_ms, 0)
    # Long enough for samples, in as many repetitions as there are removals to watch.
    sampled = Effort(namespace.repetitions, max(1, round(1000 * namespace.seconds / namespace.repetitions)), 0)
    machine = Machine()
    why_not = perf.why_absent()
    event = namespace.event or perf.event(machine)
    if why_not is None and namespace.event and (why := perf.why_not_event(event)):
        raise UsageError(f'--event "{event}" cannot be sampled here ({why}): `perf list` shows what can')
    progress = Progress([1.0] + [4.0] * (0 if why_not else len(names)), namespace.quiet)

    def command_for(variant: str, folder: Path, record_name: str, more: Sequence[str]) -> list[str]:
        # A trace of all that a view of seconds does would be gigabytes, and one removal a repetition is watched anyway.
        lasting = Effort(namespace.repetitions, 1, 0) if "--timeline" in more else sampled
        alone = launch_arguments(workload, request, [variant], lasting, request.seed)
        return [*command_of(workload.path, alone, folder / record_name), *more]

    try:
        progress.show("scores, phases and counters")
        record = session / "record.json"
        arguments = launch_arguments(workload, request, names, effort, request.seed)
        launch(command_of(workload.path, arguments, record), session, workload.name)
        value = atomic_file.read_json(record, "the record")
        refuse_other_builds(value, record)
        progress.step_done()
        recorder = profile_views.Recorder(session, launch, command_for, event, namespace.frequency, _marks_phases(value), machine)
        variants = []
        for number, name in enumerate(names if why_not is None else [], 1):
            progress.show(f"perf, {name}")
            folder = session / file_name(name)
            folder.mkdir()
            variants.append(recorder.of_variant(number, name, folder))
            progress.step_done()
    finally:
        progress.clear()
    attributed = [row for views in variants for row in views.attribution]
    why_no_locks = next((views.why_no_locks for views in variants if views.why_no_locks), "")
    notes = trace_attribution.attribution_notes(attributed, why_no_locks)
    if attributed:
        host = str((value.get("host") or {}).get("name"))
        removals = sum(views.removals for views in variants)
        found = trace_attribution.Attribution(host, workload.name, removals, attributed, notes)
        trace_attribution.write(session / trace_attribution.FILE_NAME, found)
        events = [event for views in variants for event in views.trace_events]
        atomic_file.write_text(session / TIMELINE, json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}) + "\n")
    return {
        "record": value,
        "variants": variants,
        "differences": profile_views.differences(session, variants),
        "hardware": profile_views.hardware_views(machine),
        "attribution": attributed,
        "attribution_notes": notes,
        "event": event,
        "frequency": namespace.frequency,
        "why_no_perf": why_not,
        "arguments": arguments,
        "timeline": TIMELINE if attributed else None,
    }


def _marks_phases(record: dict[str, Any]) -> bool:
    return any(cell.get("phases") for cell in record["cells"])


def run(namespace: argparse.Namespace) -> int:
    """Profiles, and prints the session folder last."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    request = make_request(namespace)
    folder = build.binaries_for(namespace.dry_run, namespace.quiet)
    if folder is None:
        print("would then measure and profile " + ", ".join(namespace.variant))
        return ExitCode.OK
    measuring.refuse_build(folder)
    workload = binaries.describe_all(folder, [namespace.workload])[namespace.workload]
    check_matches(request, [workload])
    if workload.replays_traces and not request.trace:
        request = Request(**{**vars(request), "trace": run_request.shipped_trace()})
    request = one_thread_unless_asked(request, workload)
    # In the order in which they were named: differences are from the first.
    names = list(dict.fromkeys(name for pattern in request.variants for name in chosen_variants(workload, [pattern])))
    if namespace.dry_run:
        print("\n".join(f"would profile: {name}" for name in names))
        return ExitCode.OK
    watch = Watch(namespace.out or paths.RESULTS, run_request.waived_names(namespace.waive))
    moment = datetime.now(timezone.utc)
    host = measuring.probe(workload, request)["host"]["name"]
    session = namespace.out.absolute() if namespace.out else paths.RESULTS / host / f"{moment:%Y-%m-%d-%H%M%S}-profile-{workload.name}"
    session.mkdir(parents=True, exist_ok=True)
    measured = measure(namespace, workload, request, names, session)
    flags = watch.flags("profile")
    atomic_file.write_text(session / "index.html", profile_page.page(workload, names, measured, watch.before, flags))
    if namespace.json:
        said = {"session": str(session.resolve()), "page": str((session / "index.html").resolve()), "variants": names, "flags": flags}
        print(json.dumps({**said, "event": measured["event"], "why_no_perf": measured["why_no_perf"]}, indent=1))
        return ExitCode.OK
    if measured["why_no_perf"]:
        print(f"no perf: {measured['why_no_perf']}")
    print(paths.shown(session / "index.html"))
    print(paths.shown(session))
    return ExitCode.OK
