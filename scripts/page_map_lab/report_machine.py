"""What a reader must know about the machine before believing a number, said plainly: its facts and its flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from page_map_lab.record_flags import MARK, sharing_sentence
from page_map_lab.records import Record
from page_map_lab.report_model import HostReport

HARDWARE_COUNTERS = ("cycles", "instructions")
NEEDS_CARE = "care"
GOOD = "good"


@dataclass(frozen=True)
class Flag:
    """One plain sentence about the machine; `kind` says whether it calls for care."""

    kind: str
    short: str
    sentence: str


def facts(host: HostReport) -> list[tuple[str, str]]:
    """The machine in a few lines."""
    known = host.facts
    build = host.records[0].section("build")
    mechanism = known.get("tlb_mechanism")
    lines = [
        ("processor", _text(known.get("cpu_model"))),
        ("CPUs", f"{_text(known.get('logical_cpus'))} in {_text(known.get('cores'))} cores, {_text(known.get('packages'))} packages"),
        ("memory", f"{_size(known.get('memory_bytes'))} on {_text(known.get('numa_nodes'))} node(s)"),
        ("kernel", _text(known.get("kernel"))),
        ("hypervisor", _text(known.get("hypervisor"), known.get("hypervisor_why") or "none")),
        ("TLB shootdown by", _text(mechanism.get("value") if isinstance(mechanism, dict) else mechanism)),
        ("build", f"{_text(build.get('preset'))}, {_text(build.get('compiler'))}, {_text(build.get('flags')).strip()}"),
        ("revision", ", ".join(revisions(host.records)) or "unknown"),
    ]
    return [(name, value) for name, value in lines if value]


def revisions(records: Sequence[Record]) -> list[str]:
    """The revisions that were measured, marked where the tree had changes."""
    found = {}
    for record in records:
        build = record.section("build")
        if build.get("git_revision"):
            found[str(build["git_revision"])[:12] + (" with local changes" if build.get("git_dirty") else "")] = None
    return list(found)


def flags(host: HostReport) -> list[Flag]:
    """What calls for care, the gravest first, and what is good."""
    found = [*_correctness(host), *_unfinished(host), *_build(host), *_machine(host), *_placement(host), *_gate(host)]
    return sorted(found, key=lambda flag: flag.kind == GOOD)


def has_pmu(host: HostReport) -> tuple[bool | None, str]:
    """Whether hardware counters counted, and why not; None where nobody asked."""
    states: dict[str, str] = {}
    for record in host.records:
        for cell in record.cells:
            for reading in (*cell.counters, *(counter for phase in cell.phases for counter in phase.get("counters") or ())):
                if reading["name"] in HARDWARE_COUNTERS:
                    states[str(reading["state"])] = str(reading.get("why") or "")
    if "ok" in states or "multiplexed" in states:
        return True, ""
    if "denied" in states:
        return False, f"not permitted: {states['denied']}"
    if "absent" in states:
        return False, states["absent"] or "this machine has none"
    return None, "no launch asked for hardware counters"


def _correctness(host: HostReport) -> list[Flag]:
    failed = [cell for record in host.records for cell in record.cells if not cell.check_passed]
    if not failed:
        return []
    first = failed[0]
    sentence = f"{len(failed)} cells failed their own check, first {first.name}: {first.check_message or 'no message'}. Their numbers mean nothing."
    return [Flag(NEEDS_CARE, "check failed", sentence)]


def _unfinished(host: HostReport) -> list[Flag]:
    unfinished = [cell for record in host.records for cell in record.cells if cell.failed is not None]
    if not unfinished:
        return []
    sentence = f"{len(unfinished)} cells could not be measured, first {unfinished[0].name}: {unfinished[0].failed}."
    return [Flag(NEEDS_CARE, "cells not measured", sentence)]


def _build(host: HostReport) -> list[Flag]:
    found = []
    presets = {str(record.section("build").get("preset")) for record in host.records if not record.plain_google_benchmark}
    if presets - {"bench"}:
        found.append(Flag(NEEDS_CARE, "not a bench build", f"Built with preset {', '.join(sorted(presets))}: only bench may produce numbers."))
    if len(revisions(host.records)) > 1:
        found.append(Flag(NEEDS_CARE, "several revisions", "The records come from several revisions of the code."))
    return found


def _machine(host: HostReport) -> list[Flag]:
    known = host.facts
    found = []
    if known.get("fixture"):
        found.append(Flag(NEEDS_CARE, "fixture", "Synthetic records: no machine measured these numbers."))
    if known.get("shared_virtual_machine"):
        sentence = "A shared virtual machine: neighbours move absolute times up to twofold; believe ratios taken inside one process."
        found.append(Flag(NEEDS_CARE, "shared VM", sentence))
    pmu, why = has_pmu(host)
    if pmu:
        found.append(Flag(GOOD, "PMU", "Hardware counters counted."))
    elif pmu is False:
        found.append(Flag(NEEDS_CARE, "no PMU", f"No hardware counters ({why.rstrip('.')}); software events and tracepoints only."))
    else:
        found.append(Flag(NEEDS_CARE, "no PMU data", f"No hardware counters: {why}."))
    nodes = known.get("numa_nodes")
    if nodes == 1:
        found.append(Flag(NEEDS_CARE, "one node", "One memory node: nothing here says what remote or interleaved memory costs."))
    elif isinstance(nodes, int):
        found.append(Flag(GOOD, f"{nodes} nodes", f"{nodes} memory nodes."))
    if _smt(host):
        found.append(Flag(NEEDS_CARE, "SMT", "Hyperthreads share cores: two threads on one core are not twice the throughput."))
    return found


def _smt(host: HostReport) -> bool:
    cpus, cores = host.facts.get("logical_cpus"), host.facts.get("cores")
    active = any(record.section("environment").get("smt") in (True, "on") for record in host.records)
    return active or (isinstance(cpus, int) and isinstance(cores, int) and cpus > cores)


def _placement(host: HostReport) -> list[Flag]:
    found = []
    for what, states in (
        ("threads", [record.section("placement").get("state") for record in host.records]),
        ("memory", [(record.section("placement").get("memory") or {}).get("state") for record in host.records]),
    ):
        wrong = states.count("mismatch")
        if wrong:
            found.append(Flag(NEEDS_CARE, f"{what} misplaced", f"In {wrong} of {len(states)} launches {what} were not where they were asked to be."))
    return found


def _gate(host: HostReport) -> list[Flag]:
    worst: dict[str, str] = {}
    runs_by_hand = 0
    told = {"hypervisor"} if host.facts.get("shared_virtual_machine") else set()
    told |= {"hardware_counters"} if has_pmu(host)[0] is False else set()
    for record in host.records:
        gate = record.data.get("gate")
        if not gate:
            runs_by_hand += 1
            continue
        for moment in ("before", "after"):
            for finding in (gate.get(moment) or {}).get("findings") or []:
                if finding.get("severity") in ("soft", "hard") and finding.get("check") not in told:
                    worst[str(finding.get("check"))] = f"{finding.get('found')}: {finding.get('advice')}"
    sharing = dict.fromkeys(sentence for record in host.records if (sentence := sharing_sentence(record.data)))
    found = [Flag(NEEDS_CARE, "shared core", f"{sentence}.") for sentence in sharing]
    found += [Flag(NEEDS_CARE, f"gate: {check}", f"{check}: {text}") for check, text in worst.items() if not (check == "core_sharing" and sharing)]
    flagged = [record.flags for record in host.records if record.flags]
    if flagged:
        counts = Counter(check for checks in flagged for check in checks)
        why = ", ".join(f"{check} ({count})" for check, count in counts.most_common())
        sentence = f"{len(flagged)} of {len(host.records)} launches, marked {MARK}, were measured although the gate found {why}."
        found.append(Flag(NEEDS_CARE, f"{len(flagged)} flagged launches", sentence))
    if runs_by_hand:
        found.append(Flag(NEEDS_CARE, "no gate", f"{runs_by_hand} of {len(host.records)} launches ran by hand, without the noise gate."))
    return found


def _text(value: Any, otherwise: str = "unknown") -> str:
    return otherwise if value is None or value == "" else str(value)


def _size(value: Any) -> str:
    return f"{value / (1 << 30):.1f} GiB" if isinstance(value, (int, float)) else "unknown"
