"""The gate's checks of the processors and of who shares them."""

import os

from page_map_lab import build
from page_map_lab.finding import Finding, Situation
from page_map_lab.machine import CpuTicks, ranges_text

BOOST = "/sys/devices/system/cpu/cpufreq/boost"
POLICY_BOOST = "/sys/devices/system/cpu/cpufreq/policy[0-9]*/boost"
INTEL_NO_TURBO = "/sys/devices/system/cpu/intel_pstate/no_turbo"
SMT_CONTROL = "/sys/devices/system/cpu/smt/control"
GOVERNORS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"

def build_type(at: Situation) -> Finding:
    """Only the bench preset may produce numbers."""
    preset = build.preset_of(at.binaries)
    if preset == build.PRESET:
        return Finding("build_type", "ok", "preset bench")
    if preset is None:
        return Finding("build_type", "info", "not built yet, or built elsewhere", "nothing to do: `scripts/lab run` builds the bench preset")
    return Finding("build_type", "hard", f"preset {preset}", "unset PAGE_MAP_LAB_BINARIES, so that the bench preset is used")


def governor(at: Situation) -> Finding:
    """A governor that changes the clock makes time a matter of history."""
    names = {path.read_text().strip() for path in at.machine.glob(GOVERNORS)}
    if not names:
        return Finding("governor", "info", "no cpufreq here: nobody in this system sets the clock")
    if names == {"performance"}:
        return Finding("governor", "ok", "performance")
    return Finding(
        "governor", "hard", ", ".join(sorted(names)),
        "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )


def boost(at: Situation) -> Finding:
    """Boost makes the clock depend on the neighbours' load and on heat."""
    if at.machine.number(INTEL_NO_TURBO) == 0:
        return Finding("boost", "soft", "turbo on (intel_pstate)", f"echo 1 | sudo tee {INTEL_NO_TURBO}")
    if at.machine.number(BOOST) == 1:
        return Finding("boost", "soft", "on", f"echo 0 | sudo tee {BOOST}")
    # amd_pstate has a switch for each policy, and none for all.
    switches = [path.read_text().strip() for path in at.machine.glob(POLICY_BOOST)]
    if "1" in switches:
        found = f"on for {switches.count('1')} of {len(switches)} policies (amd_pstate)"
        return Finding("boost", "soft", found, "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/policy*/boost")
    if switches or at.machine.exists(BOOST) or at.machine.exists(INTEL_NO_TURBO):
        return Finding("boost", "ok", "off")
    return Finding("boost", "info", "no switch for it here")


def smt(at: Situation) -> Finding:
    """Siblings share a core, so that two threads may have one core's worth."""
    usable = os.sched_getaffinity(0) if at.machine.is_live else set(at.machine.online_cpus())
    groups = [sorted(set(group) & usable) for group in at.machine.sibling_groups()]
    siblings = [group for group in groups if len(group) > 1]
    if siblings:
        names = "; ".join(ranges_text(group) for group in siblings[:4]) + ("; ..." if len(siblings) > 4 else "")
        return Finding(
            "smt", "soft", f"siblings of {len(siblings)} cores may be used: CPUs {names}",
            f"--plan scatter uses cores of their own first; or: echo off | sudo tee {SMT_CONTROL}",
        )
    if at.machine.number("/sys/devices/system/cpu/smt/active") == 1 and not groups:
        return Finding("smt", "soft", "siblings share cores", f"echo off | sudo tee {SMT_CONTROL}")
    return Finding("smt", "ok", "no siblings shown")


def hypervisor(at: Situation) -> Finding:
    """Absolute figures of a shared machine belong to nobody."""
    if not at.machine.is_virtual():
        return Finding("hypervisor", "ok", "none")
    return Finding(
        "hypervisor", "soft", "a virtual machine that may share its cores",
        "trust ratios taken in one process; take absolute figures on bare metal",
    )


def steal(at: Situation) -> Finding:
    """Time that the hypervisor gave to others."""
    now, before = at.machine.cpu_ticks(), at.ticks_before or CpuTicks(0, 0)
    if now is None or now.total <= before.total:
        return Finding("steal", "info", "too little time has passed to say" if now else "/proc/stat does not say")
    percent = 100 * (now.steal - before.steal) / (now.total - before.total)
    span = "meanwhile" if at.ticks_before else "since boot"
    if percent > 1:
        return Finding("steal", "hard", f"{percent:.1f} % of the time {span}", "measure when the host is quiet, or on bare metal")
    return Finding("steal", "ok", f"{percent:.1f} % {span}")


def load(at: Situation) -> Finding:
    """Other programs that run now."""
    others = at.machine.others_running()
    if others is None:
        return Finding("load", "info", "/proc/loadavg does not say")
    if others >= 1:
        return Finding("load", "hard", f"{others} other threads want to run", "end them first: `top -o %CPU` shows which")
    return Finding("load", "ok", "nobody else runs")
