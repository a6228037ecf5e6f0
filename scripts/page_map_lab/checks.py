"""The gate's checks of a machine: each says what was found, how bad it is, and the command that mends it.

Severities: `hard` stops a measurement unless waived, `soft` goes into the record and the report, `info` only into
`lab doctor`, `ok` is fine. On a shared virtual machine nobody can mend noise, so there a hard noise finding is soft.
What was hard and did not stop a measurement flags its record.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from page_map_lab import calibration, paths
from page_map_lab.checks_counters import (
    hardware_counters, interrupt_counters, kptr_restrict, nmi_watchdog, perf_event_paranoid, software_counters,
    tracefs, tracepoint_counters,
)  # fmt: skip
from page_map_lab.checks_interrupts import irq_affinity, isolated_cpus, tickless
from page_map_lab.checks_memory import (
    disk_space, free_memory, max_map_count, numa_balancing, same_page_merging, shared_memory_huge_pages, swap,
    transparent_huge_pages,
)  # fmt: skip
from page_map_lab.checks_processor import boost, build_type, governor, hypervisor, load, smt, steal
from page_map_lab.checks_steadiness import core_sharing, drift, temperature, throttling
from page_map_lab.finding import Finding, Situation
from page_map_lab.machine import CpuTicks, Machine

CHECKS: tuple[Callable[[Situation], Finding], ...] = (
    build_type, governor, boost, smt, core_sharing, isolated_cpus, tickless, irq_affinity, hypervisor, steal, load,
    temperature, throttling, drift, transparent_huge_pages, shared_memory_huge_pages, numa_balancing, same_page_merging,
    max_map_count, swap, free_memory, disk_space, perf_event_paranoid, kptr_restrict, nmi_watchdog, tracefs, hardware_counters,
    software_counters, tracepoint_counters, interrupt_counters,
)  # fmt: skip
NAMES = tuple(check.__name__ for check in CHECKS)
# Hard whoever owns the machine: they are not noise.
_ALWAYS_HARD = {"build_type", "disk_space"}
# Only the bench preset may produce numbers: nobody can decide otherwise for one run.
NOT_WAIVABLE = {"build_type"}
WAIVED = "waived"
SHARED_MACHINE = "shared virtual machine"


def examine(at: Situation) -> list[Finding]:
    """The findings of every check."""
    findings = [check(at) for check in CHECKS]
    if not at.machine.is_virtual():
        return findings
    return [
        replace(finding, severity="soft", found=f"{finding.found} ({SHARED_MACHINE})", softened=SHARED_MACHINE)
        if finding.severity == "hard" and finding.check not in _ALWAYS_HARD
        else finding
        for finding in findings
    ]


def situation(root: Path = Path("/"), results: Path | None = None, ticks_before: CpuTicks | None = None) -> Situation:
    """The situation as it is now, without a calibration."""
    return Situation(Machine(root), paths.binaries_folder(), results or paths.RESULTS, ticks_before)


def calibrated(at: Situation, drift_only: bool = False) -> Situation:
    """The same situation with the processors measured, where the program for it is built."""
    return replace(at, calibration=calibration.measure(at.binaries, at.machine, drift_only))


def waive(findings: list[Finding], waived: list[str]) -> list[Finding]:
    """The findings, the hard ones among the waived made soft."""
    return [
        replace(finding, severity="soft", found=f"{finding.found} (hard, but waived)", softened=WAIVED)
        if finding.severity == "hard"
        and finding.check not in NOT_WAIVABLE
        and (finding.check in waived or "all" in waived)
        else finding
        for finding in findings
    ]


def verdict(findings: list[Finding], waived: list[str]) -> str:
    """`hard`, `soft` or `pass`: the worst that was not waived."""
    severities = {finding.severity for finding in waive(findings, waived)}
    return "hard" if "hard" in severities else "soft" if "soft" in severities else "pass"


def as_gate(findings: list[Finding], waived: list[str]) -> dict:
    """The findings as a record keeps them: only what is not fine; what was hard and let pass says why."""
    kept = [asdict(finding) for finding in waive(findings, waived) if finding.severity in ("hard", "soft")]
    for entry in kept:
        entry["softened"] = entry["softened"] or None
    return {"verdict": verdict(findings, waived), "findings": kept}
