"""The gate's checks, on made-up machines."""

from pathlib import Path

import pytest
from lab_process import lab

from page_map_lab import checks
from page_map_lab.machine import CpuTicks, Machine

QUIET = {
    "proc/cpuinfo": "flags : fpu vme",
    "proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\n",
    "proc/loadavg": "0.00 0.00 0.00 0/100 1",
    "proc/meminfo": "MemAvailable: 8000000 kB\nSwapTotal: 0 kB",
    "proc/interrupts": "TLB: 1 2\nCAL: 1 2\nRES: 1 2",
    "proc/sys/kernel/numa_balancing": "0",
    "proc/sys/kernel/perf_event_paranoid": "-1",
    "proc/sys/kernel/nmi_watchdog": "0",
    "proc/sys/vm/max_map_count": "65530",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/devices/system/cpu/cpufreq/boost": "0",
    "sys/devices/system/cpu/smt/active": "0",
    "sys/devices/system/node/node0/meminfo": "",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "sys/kernel/mm/ksm/run": "0",
    "sys/kernel/tracing/events/tlb/tlb_flush/id": "300",
    "sys/bus/event_source/devices/cpu/type": "4",
}


def machine(root: Path, **changes: str | None) -> Path:
    """A quiet machine's files with some changed; `__` stands for `/`, None takes the file away."""
    files: dict[str, str | None] = {**QUIET, **{name.replace("__", "/"): text for name, text in changes.items()}}
    for name, text in files.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
    return root


def findings(root: Path, ticks: CpuTicks | None = None) -> dict[str, checks.Finding]:
    """What the checks find, by name."""
    situation = checks.Situation(Machine(root), root / "bin", root, ticks)
    return {finding.check: finding for finding in checks.examine(situation)}


def test_a_quiet_bare_machine_passes(tmp_path: Path) -> None:
    found = findings(machine(tmp_path))
    assert {name for name, finding in found.items() if finding.severity not in ("ok", "info")} <= {"disk_space"}
    assert set(found) == set(checks.NAMES)


@pytest.mark.parametrize(
    ("changes", "check", "severity", "advice"),
    [
        ({"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "powersave"}, "governor", "hard", "performance"),
        ({"sys__devices__system__cpu__cpufreq__boost": "1"}, "boost", "soft", "echo 0"),
        ({"sys__devices__system__cpu__smt__active": "1"}, "smt", "soft", "echo off"),
        ({"proc__stat": "cpu  100 0 100 700 0 0 0 100 0 0"}, "steal", "hard", "quiet"),
        ({"proc__loadavg": "2.00 2.00 2.00 3/100 1"}, "load", "hard", "top"),
        ({"sys__kernel__mm__transparent_hugepage__enabled": "[always] madvise never"}, "transparent_huge_pages", "soft", "madvise"),
        ({"proc__sys__kernel__perf_event_paranoid": "3"}, "perf_event_paranoid", "soft", "sysctl"),
        ({"sys__kernel__tracing__events__tlb__tlb_flush__id": None}, "tracefs", "soft", "mount -t tracefs"),
        ({"sys__kernel__tracing__events__tlb__tlb_flush__id": None}, "tracepoint_counters", "soft", "tracefs"),
        ({"proc__sys__vm__max_map_count": "1000"}, "max_map_count", "soft", "vm.max_map_count"),
        ({"proc__meminfo": "MemAvailable: 8000000 kB\nSwapTotal: 4096 kB"}, "swap", "soft", "swapoff"),
        ({"proc__meminfo": "MemAvailable: 8000 kB\nSwapTotal: 0 kB"}, "free_memory", "soft", "quick"),
        ({"proc__sys__kernel__nmi_watchdog": "1"}, "nmi_watchdog", "soft", "nmi_watchdog=0"),
        ({"sys__bus__event_source__devices__cpu__type": None}, "hardware_counters", "soft", "PMU"),
        ({"sys__kernel__mm__ksm__run": "1"}, "same_page_merging", "soft", "ksm"),
        ({"proc__interrupts": "LOC: 1 2"}, "interrupt_counters", "soft", "tracepoints"),
    ],
)
def test_each_trouble_is_found_and_can_be_mended(
    tmp_path: Path, changes: dict[str, str | None], check: str, severity: str, advice: str
) -> None:
    finding = findings(machine(tmp_path, **changes))[check]
    assert finding.severity == severity and advice in finding.advice and finding.found


def test_numa_balancing_matters_with_two_nodes_only(tmp_path: Path) -> None:
    on = {"proc__sys__kernel__numa_balancing": "1"}
    assert findings(machine(tmp_path / "one", **on))["numa_balancing"].severity == "ok"
    two = machine(tmp_path / "two", **on, sys__devices__system__node__node1__meminfo="")
    assert findings(two)["numa_balancing"].severity == "hard"


def test_noise_is_soft_on_a_shared_virtual_machine_but_a_wrong_build_is_not(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__cpuinfo="flags : fpu hypervisor", proc__loadavg="2.00 2.00 2.00 3/100 1")
    (root / "bin").mkdir()
    (root / "CMakeCache.txt").write_text("PAGE_MAP_LAB_PRESET:STRING=dev\n")
    found = findings(root)
    assert found["load"].severity == "soft" and "shared virtual machine" in found["load"].found
    assert found["hypervisor"].severity == "soft"
    assert found["build_type"].severity == "hard" and "dev" in found["build_type"].found


def test_steal_is_judged_over_the_time_of_a_launch(tmp_path: Path) -> None:
    root = machine(tmp_path, proc__stat="cpu  100 0 100 700 0 0 0 100 0 0")
    assert findings(root, CpuTicks(total=500, steal=100))["steal"].severity == "ok"
    assert findings(root, CpuTicks(total=500, steal=50))["steal"].severity == "hard"


def test_an_empty_machine_breaks_no_check(tmp_path: Path) -> None:
    assert set(findings(tmp_path)) == set(checks.NAMES)


def test_waiving_a_hard_finding_leaves_it_in_the_record(tmp_path: Path) -> None:
    found = list(findings(machine(tmp_path, proc__loadavg="2.00 2.00 2.00 3/100 1")).values())
    assert checks.verdict(found, []) == "hard"
    assert checks.verdict(found, ["load"]) == checks.verdict(found, ["all"]) == "soft"
    gate = checks.as_gate(found, ["load"])
    assert [finding["check"] for finding in gate["findings"] if "waived" in finding["found"]] == ["load"]


def test_doctor_exits_3_on_a_hard_finding_and_0_when_it_is_waived(tmp_path: Path) -> None:
    root = machine(tmp_path / "root", proc__loadavg="2.00 2.00 2.00 3/100 1")
    loud = lab(tmp_path, "doctor", "load", "--root", str(root), "--json")
    assert loud.code == 3 and loud.json["verdict"] == "hard"
    assert lab(tmp_path, "doctor", "load", "--root", str(root), "--waive", "load").code == 0
    assert "top" in lab(tmp_path, "doctor", "load", "--root", str(root)).out


def test_doctor_refuses_what_does_not_exist(tmp_path: Path) -> None:
    assert lab(tmp_path, "doctor", "weather").failed_with(2, "weather")
    assert lab(tmp_path, "doctor", "--root", str(tmp_path / "nowhere")).failed_with(2, "nowhere")
