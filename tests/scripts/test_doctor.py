"""The gate's checks, on made-up machines."""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_process import lab
from made_up_machine import machine

from page_map_lab import checks, checks_counters, checks_interrupts, checks_memory, checks_processor, checks_steadiness
from page_map_lab.calibration import Calibration, Drift, Sharing
from page_map_lab.finding import Finding
from page_map_lab.machine import CpuTicks, Machine, ranges_text

STEADY = (100.0,) * 60
APART = Sharing((0, 1, 2, 3), {(0, 1): (1.98, 2.0), (2, 3): (1.97,)})


def findings(
    root: Path, ticks: CpuTicks | None = None, calibration: Calibration | None = Calibration(Drift(STEADY), APART), **before: float
) -> dict[str, checks.Finding]:
    """What the checks find, by name."""
    situation = checks.Situation(Machine(root), root / "bin", root, ticks, calibration=calibration, **before)
    return {finding.check: finding for finding in checks.examine(situation)}


def bench_build(root: Path) -> Path:
    """Makes the folder of binaries one of the bench preset."""
    (root / "bin").mkdir(parents=True)
    (root / "CMakeCache.txt").write_text("PAGE_MAP_LAB_PRESET:STRING=bench\n")
    return root


def test_a_healthy_machine_gives_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "free_bytes", lambda self, folder: 1 << 40)
    found = findings(bench_build(machine(tmp_path)))
    assert set(found) == set(checks.NAMES)
    assert [finding for finding in found.values() if finding.severity != "ok"] == []
    assert checks.verdict(list(found.values()), []) == "pass"


# What files say, the check that finds it, how bad it is, and a word of what mends it.
CAUSES: list[tuple[dict[str, str | None], str, str, str]] = [
    ({"sys__devices__system__cpu__cpu0__cpufreq__scaling_governor": "powersave"}, "governor", "hard", "performance"),
    ({"sys__devices__system__cpu__cpufreq__boost": "1"}, "boost", "soft", "echo 0"),
    ({"sys__devices__system__cpu__cpufreq__boost": None, "sys__devices__system__cpu__cpufreq__policy0__boost": "1",
      "sys__devices__system__cpu__cpufreq__policy1__boost": "0"}, "boost", "soft", "policy*/boost"),
    ({"sys__devices__system__cpu__intel_pstate__no_turbo": "0"}, "boost", "soft", "no_turbo"),
    ({"sys__devices__system__cpu__cpu0__topology__thread_siblings_list": "0,2",
      "sys__devices__system__cpu__cpu2__topology__thread_siblings_list": "0,2"}, "smt", "soft", "echo off"),
    ({**{f"sys__devices__system__cpu__cpu{cpu}__topology__thread_siblings_list": None for cpu in range(4)},
      "sys__devices__system__cpu__smt__active": "1"}, "smt", "soft", "echo off"),
    ({"sys__devices__system__cpu__isolated": ""}, "isolated_cpus", "soft", "isolcpus=domain,managed_irq,2-3"),
    ({"sys__devices__system__cpu__nohz_full": "(null)"}, "tickless", "soft", "nohz_full=2-3"),
    ({"sys__devices__system__cpu__nohz_full": "3"}, "tickless", "soft", "nohz_full=2-3"),
    ({"proc__irq__25__smp_affinity_list": "0-3"}, "irq_affinity", "soft", "tune-host --cpus 2-3"),
    ({"sys__devices__system__cpu__isolated": "", "proc__irq__25__smp_affinity_list": "0-3"}, "irq_affinity", "soft", "--cpus LIST"),
    ({"sys__class__thermal__thermal_zone0__temp": "95000"}, "temperature", "hard", "cool"),
    ({"sys__class__hwmon__hwmon0__name": "k10temp", "sys__class__hwmon__hwmon0__temp1_input": "88000",
      "sys__class__hwmon__hwmon0__temp1_crit": "95000"}, "temperature", "hard", "cool"),
    ({"sys__devices__system__cpu__cpu1__thermal_throttle__core_throttle_count": "7"}, "throttling", "soft", "cooling"),
    ({"proc__sys__kernel__kptr_restrict": "2"}, "kptr_restrict", "soft", "kptr_restrict=0"),
    ({"proc__stat": "cpu  100 0 100 700 0 0 0 100 0 0"}, "steal", "hard", "quiet"),
    ({"proc__sys__kernel__numa_balancing": "1", "sys__devices__system__node__node1__meminfo": ""},
     "numa_balancing", "hard", "numa_balancing=0"),
    ({"proc__cpuinfo": "flags : fpu hypervisor"}, "hypervisor", "soft", "bare metal"),
    ({"CMakeCache.txt": "PAGE_MAP_LAB_PRESET:STRING=dev"}, "build_type", "hard", "unset PAGE_MAP_LAB_BINARIES"),
    ({"proc__loadavg": "2.00 2.00 2.00 3/100 1"}, "load", "hard", "top"),
    ({"sys__kernel__mm__transparent_hugepage__enabled": "[always] madvise never"}, "transparent_huge_pages", "soft", "madvise"),
    ({"sys__kernel__mm__transparent_hugepage__shmem_enabled": "[always] within_size advise never deny force"},
     "shared_memory_huge_pages", "soft", "echo advise"),
    ({"sys__kernel__mm__transparent_hugepage__shmem_enabled": "always [within_size] advise never deny force"},
     "shared_memory_huge_pages", "soft", "echo advise"),
    ({"sys__kernel__mm__transparent_hugepage__shmem_enabled": "always within_size advise never deny [force]"},
     "shared_memory_huge_pages", "soft", "echo advise"),
    ({"proc__sys__kernel__perf_event_paranoid": None}, "perf_event_paranoid", "soft", "CONFIG_PERF_EVENTS"),
    ({"proc__sys__kernel__perf_event_paranoid": "3"}, "perf_event_paranoid", "soft", "sysctl"),
    ({"sys__kernel__tracing__events__tlb__tlb_flush__id": None}, "tracefs", "soft", "mount -t tracefs"),
    ({"sys__kernel__tracing__events__tlb__tlb_flush__id": None, "sys__kernel__tracing__events__header_page": ""},
     "tracefs", "soft", "remount,mode=755"),
    ({"sys__kernel__tracing__events__tlb__tlb_flush__id": None}, "tracepoint_counters", "soft", "tracefs"),
    ({"proc__sys__vm__max_map_count": "1000"}, "max_map_count", "soft", "vm.max_map_count"),
    ({"proc__meminfo": "MemAvailable: 8000000 kB\nSwapTotal: 4096 kB"}, "swap", "soft", "swapoff"),
    ({"proc__meminfo": "MemAvailable: 8000 kB\nSwapTotal: 0 kB"}, "free_memory", "soft", "quick"),
    ({"proc__sys__kernel__nmi_watchdog": "1"}, "nmi_watchdog", "soft", "nmi_watchdog=0"),
    ({"sys__bus__event_source__devices__cpu__type": None}, "hardware_counters", "soft", "PMU"),
    ({"sys__kernel__mm__ksm__run": "1"}, "same_page_merging", "soft", "ksm"),
    ({"proc__interrupts": "LOC: 1 2"}, "interrupt_counters", "soft", "tracepoints"),
]
# The same, of what no file says: the situation that the checks are told, what the disk has free, how the kernel refuses counters.
OTHER_CAUSES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"throttled_before": -1}, "throttling", "hard", "cooling"),
    ({"calibration": Calibration(Drift((100.0, 105.0) * 30))}, "drift", "soft", "tune-host"),
    ({"calibration": Calibration(Drift((100.0, 130.0) * 30))}, "drift", "hard", "tune-host"),
    ({"calibration": Calibration(None, Sharing((0, 1), {(0, 1): (1.05,)}))}, "core_sharing", "soft", "--plan list:0"),
    ({"calibration": Calibration(None, Sharing((0, 1), {(0, 1): (1.2, 1.9, 2.0)}))}, "core_sharing", "soft", "inside one process"),
    ({"free_bytes": 1 << 20}, "disk_space", "hard", "--out"),
    ({"free_bytes": 1 << 29}, "disk_space", "soft", "free some space"),
    ({"refused": "Permission denied"}, "hardware_counters", "soft", "sysctl"),
    ({"refused": "Permission denied"}, "software_counters", "soft", "sysctl"),
    ({"refused": "Permission denied"}, "tracepoint_counters", "soft", "sysctl"),
]


def findings_in(root: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int = 1 << 40, refused: str = "", **told: Any) -> dict[str, Finding]:
    """What the checks find below `root` in one of the situations that no file says."""
    with monkeypatch.context() as patch:
        patch.setattr(Machine, "free_bytes", lambda self, folder: free_bytes)
        if refused:
            patch.setattr(Machine, "is_live", True)
            patch.setattr(Machine, "counter_error", lambda self, kind, event, with_kernel: refused)
        return findings(root, **told)


def faked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Finding, str, str]]:
    """Every cause, one after the other: the finding of its check, and what severity and advice it should have."""
    for number, (files, check, severity, advice) in enumerate(CAUSES):
        yield findings_in(machine(folder / f"files-{number}", **files), monkeypatch)[check], severity, advice
    for number, (told, check, severity, advice) in enumerate(OTHER_CAUSES):
        yield findings_in(machine(folder / f"told-{number}"), monkeypatch, **told)[check], severity, advice


def test_each_trouble_is_found_and_can_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for finding, severity, advice in faked(tmp_path, monkeypatch):
        assert finding.severity == severity and advice in finding.advice and finding.found, finding


def test_every_finding_has_a_cause_that_is_faked_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place in the checks that makes a hard or a soft finding is reached, with each severity that it can give."""
    owed, made = set(), set()
    for module in (checks_counters, checks_interrupts, checks_memory, checks_processor, checks_steadiness):
        places = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call) and called(node) == "Finding"]
        assert places
        owed |= {
            (module.__name__, place.lineno, word.value)
            for place in places for word in ast.walk(place.args[1])
            if isinstance(word, ast.Constant) and word.value in ("hard", "soft")
        }  # fmt: skip

        def noting(*arguments: str, places: list[ast.Call] = places, name: str = module.__name__) -> Finding:
            line = sys._getframe(1).f_lineno
            made.update((name, place.lineno, arguments[1]) for place in places if place.lineno <= line <= (place.end_lineno or 0))
            return Finding(*arguments)

        monkeypatch.setattr(module, "Finding", noting)
    assert len(list(faked(tmp_path, monkeypatch))) == len(CAUSES) + len(OTHER_CAUSES)
    assert owed - made == set()


def test_the_checks_are_all_in_the_files_that_are_looked_at() -> None:
    looked_at = {checks_counters, checks_interrupts, checks_memory, checks_processor, checks_steadiness}
    assert {inspect.getmodule(check) for check in checks.CHECKS} == looked_at


def called(node: ast.Call) -> str:
    """The plain name of what a call calls."""
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_throttling_is_judged_over_the_time_of_a_launch(tmp_path: Path) -> None:
    root = machine(tmp_path, sys__devices__system__cpu__cpu1__thermal_throttle__core_throttle_count="7")
    assert findings(root, throttled_before=7)["throttling"].severity == "ok"
    during = findings(root, throttled_before=4)["throttling"]
    assert during.severity == "hard" and "3 times" in during.found


@pytest.mark.parametrize(
    ("rounds", "before", "severity", "words"),
    [
        (STEADY, None, "ok", "spread 0.0 %"),
        (STEADY, 99.0, "ok", "+1.0 % since before"),
        (STEADY, 95.0, "soft", "+5.3 % since before"),
        (STEADY, 80.0, "hard", "+25.0 % since before"),
        ((100.0, 105.0) * 30, None, "soft", "spread 4.9 %"),
        ((100.0, 130.0) * 30, None, "hard", "spread 26.1 %"),
        (tuple(100 + 0.06 * place for place in range(60)), None, "soft", "trend +2.4 %"),
    ],
)
def test_drift_is_spread_and_trend_and_change(
    tmp_path: Path, rounds: tuple[float, ...], before: float | None, severity: str, words: str
) -> None:
    found = findings(machine(tmp_path), calibration=Calibration(Drift(rounds), None), round_ns_before=before)
    assert found["drift"].severity == severity and words in found["drift"].found
    assert severity == "ok" or "tune-host" in found["drift"].advice


def test_processors_that_share_a_core_are_found_by_measurement(tmp_path: Path) -> None:
    def found(cpus: tuple[int, ...], pairs: dict[tuple[int, int], tuple[float, ...]]) -> checks.Finding:
        return findings(machine(tmp_path), calibration=Calibration(None, Sharing(cpus, pairs)))["core_sharing"]

    both = found((0, 1), {(0, 1): (1.05, 1.07, 1.9)})
    assert both.severity == "soft" and "CPUs 0, 1 share a core" in both.found and "1.07 times" in both.found
    assert "scaling beyond one core is not visible here" in both.found and "list:0" in both.advice
    four = found((0, 1, 2, 3), {(0, 2): (1.1,), (1, 3): (1.2,), (0, 1): (2.0,)})
    assert "0, 2; 1, 3" in four.found and "scaling beyond 2 cores" in four.found and "list:0,1" in four.advice
    assert found((0, 1), {(0, 1): (1.95, 2.0)}).severity == "ok"
    sometimes = found((0, 1), {(0, 1): (1.2, 1.9, 2.0)})
    assert sometimes.severity == "soft" and "some looks" in sometimes.found
    assert found((0, 1), {(0, 1): ()}).severity == "info"
    many = findings(machine(tmp_path), calibration=Calibration(None, Sharing((0, 1), {}, pairs_left_out=7)))["core_sharing"]
    assert many.severity == "info" and "7 pairs" in many.found
    assert findings(machine(tmp_path), calibration=None)["core_sharing"].severity == "info"


def test_few_processors_leave_none_to_set_apart(tmp_path: Path) -> None:
    processors = "sys__devices__system__cpu__"
    small = {f"{processors}online": "0-1", f"{processors}isolated": "", f"{processors}nohz_full": None}
    found = findings(machine(tmp_path, **small))
    assert {found[name].severity for name in ("isolated_cpus", "tickless", "irq_affinity")} == {"info"}


def test_declared_siblings_are_measured_once(tmp_path: Path) -> None:
    siblings = {f"sys__devices__system__cpu__cpu{cpu}__topology__thread_siblings_list": f"{cpu % 2},{cpu % 2 + 2}" for cpu in range(4)}
    declared = Machine(machine(tmp_path, **siblings))
    assert declared.one_cpu_a_core({0, 1, 2, 3}) == [0, 1] and declared.one_cpu_a_core({1, 2, 3, 9}) == [1, 2, 9]


def test_numbers_are_written_as_the_kernel_does() -> None:
    assert ranges_text([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8" and ranges_text([]) == ""


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
    assert found["load"].softened == "shared virtual machine"
    assert found["hypervisor"].severity == "soft" and found["hypervisor"].softened == ""
    assert found["build_type"].severity == "hard" and "dev" in found["build_type"].found
    assert checks.verdict(list(found.values()), ["all", "build_type"]) == "hard"


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
    assert [finding["check"] for finding in gate["findings"] if finding["softened"] == "waived"] == ["load"]
    assert [finding["check"] for finding in gate["findings"] if "waived" in finding["found"]] == ["load"]


def test_doctor_exits_3_on_a_hard_finding_and_0_when_it_is_waived(tmp_path: Path) -> None:
    root = machine(tmp_path / "root", proc__loadavg="2.00 2.00 2.00 3/100 1")
    loud = lab(tmp_path, "doctor", "load", "--root", str(root), "--json")
    assert loud.code == 3 and loud.json["verdict"] == "hard"
    assert lab(tmp_path, "doctor", "load", "--root", str(root), "--waive", "load").code == 0
    assert "top" in lab(tmp_path, "doctor", "load", "--root", str(root)).out


def test_counters_that_the_system_refuses_are_soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "is_live", True)
    monkeypatch.setattr(Machine, "counter_error", lambda self, kind, event, with_kernel: "Permission denied")
    found = findings(machine(tmp_path))
    assert found["hardware_counters"].severity == found["software_counters"].severity == found["tracepoint_counters"].severity == "soft"
    assert "Permission denied" in found["software_counters"].found and "sysctl" in found["software_counters"].advice


def test_doctor_refuses_what_does_not_exist(tmp_path: Path) -> None:
    assert lab(tmp_path, "doctor", "--waive", "build_type").failed_with(2, "build_type", "cannot be waived")
    assert lab(tmp_path, "run", "--waive", "build_type").failed_with(2, "build_type", "cannot be waived")
    assert lab(tmp_path, "doctor", "weather").failed_with(2, "weather")
    assert lab(tmp_path, "doctor", "--root", str(tmp_path / "nowhere")).failed_with(2, "nowhere")
