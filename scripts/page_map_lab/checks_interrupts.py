"""The gate's checks of what else may run on a measured processor: other tasks, the timer, device interrupts."""

from page_map_lab.finding import Finding, Situation
from page_map_lab.machine import ranges_text

# Below this there is none to set apart: the lab's own processes need one, and most workloads two.
FEWEST_TO_ISOLATE = 4
BOOT = "boot with isolcpus=domain,managed_irq,{0} nohz_full={0} rcu_nocbs={0} and measure with --plan list:{0}"


def _to_set_apart(at: Situation) -> str:
    """The processors that a user would isolate: all but the first two."""
    return ranges_text(at.machine.online_cpus()[2:])


def isolated_cpus(at: Situation) -> Finding:
    """The scheduler puts other programs on every processor that is not set apart."""
    isolated = at.machine.cpu_list("/sys/devices/system/cpu/isolated")
    online = at.machine.online_cpus()
    if isolated:
        return Finding("isolated_cpus", "ok", f"CPUs {ranges_text(isolated)} are set apart")
    if len(online) < FEWEST_TO_ISOLATE:
        return Finding("isolated_cpus", "info", f"none, and with {max(1, len(online))} processors there is none to set apart")
    return Finding(
        "isolated_cpus", "soft", "none: other programs may be put beside a measured thread", BOOT.format(_to_set_apart(at))
    )


def tickless(at: Situation) -> Finding:
    """The timer interrupts a processor some hundred times a second, unless it is tickless."""
    quiet = at.machine.cpu_list("/sys/devices/system/cpu/nohz_full")
    isolated = at.machine.cpu_list("/sys/devices/system/cpu/isolated")
    online = at.machine.online_cpus()
    if quiet and set(isolated) <= set(quiet):
        return Finding("tickless", "ok", f"CPUs {ranges_text(quiet)}")
    if not isolated and len(online) < FEWEST_TO_ISOLATE:
        return Finding("tickless", "info", "none: the timer interrupts every processor, and there are too few to set some apart")
    ticking = sorted(set(isolated) - set(quiet)) or online
    return Finding(
        "tickless", "soft", f"the timer interrupts CPUs {ranges_text(ticking)}",
        BOOT.format(ranges_text(isolated) or _to_set_apart(at)),
    )


def irq_affinity(at: Situation) -> Finding:
    """Device interrupts take time from whatever runs where they come in."""
    served = at.machine.interrupt_cpus()
    online = set(at.machine.online_cpus())
    if not served:
        return Finding("irq_affinity", "info", "/proc/irq does not say")
    isolated = set(at.machine.cpu_list("/sys/devices/system/cpu/isolated"))
    everywhere = set().union(*served.values())
    spared = online - everywhere
    if spared and isolated <= spared:
        return Finding("irq_affinity", "ok", f"no device interrupt comes to CPUs {ranges_text(sorted(spared))}")
    disturbed = isolated or online
    count = sum(bool(set(cpus) & disturbed) for cpus in served.values())
    advice = f"sudo scripts/lab tune-host --cpus {ranges_text(sorted(isolated)) or 'LIST'} -- COMMAND, which moves them for that time"
    if not isolated and len(online) < FEWEST_TO_ISOLATE:
        return Finding("irq_affinity", "info", f"{count} device interrupts come to the measured processors, too", advice)
    return Finding("irq_affinity", "soft", f"{count} device interrupts may come to CPUs {ranges_text(sorted(disturbed))}", advice)
