"""The gate's checks by measurement: heat, a fixed loop of work, and which processors share a core."""

from page_map_lab.finding import Finding, Situation
from page_map_lab.machine import ranges_text

NEAR_LIMIT_CELSIUS = 10  # to the limit
SOFT_SPREAD_PERCENT = 3
HARD_SPREAD_PERCENT = 10
SOFT_TREND_PERCENT = 2
SOFT_CHANGE_PERCENT = 3
HARD_CHANGE_PERCENT = 10
_NOT_MEASURED = "not measured: the program calibrate is not built, or cannot pin itself here"
_BUILD_IT = "scripts/lab run builds it"


def temperature(at: Situation) -> Finding:
    """Near its limit a processor slows down."""
    readings = at.machine.temperatures()
    if not readings:
        return Finding("temperature", "info", "no sensor is shown here")
    name, celsius, limit = min(readings, key=lambda reading: reading[2] - reading[1])
    found = f"{celsius:.0f} °C at {name}, limit {limit:.0f} °C"
    if celsius > limit - NEAR_LIMIT_CELSIUS:
        return Finding(
            "temperature", "hard", found, "let it cool, and cap the clock: sudo cpupower frequency-set --max FREQUENCY"
        )
    return Finding("temperature", "ok", found)


def throttling(at: Situation) -> Finding:
    """A processor that was slowed down for its heat measured something else."""
    count = at.machine.throttle_count()
    advice = "improve the cooling, or cap the clock: sudo cpupower frequency-set --max FREQUENCY"
    if count is None:
        return Finding("throttling", "info", "not counted here")
    if at.throttled_before is not None and count > at.throttled_before:
        return Finding("throttling", "hard", f"{count - at.throttled_before} times meanwhile", advice)
    if count and at.throttled_before is None:
        return Finding("throttling", "soft", f"{count} times since boot", advice)
    return Finding("throttling", "ok", "none" if at.throttled_before is None else "none meanwhile")


def drift(at: Situation) -> Finding:
    """The same work should take the same time."""
    measured = at.calibration and at.calibration.drift
    if not measured:
        return Finding("drift", "info", _NOT_MEASURED, _BUILD_IT)
    change = None if at.round_ns_before is None else 100 * (measured.typical_ns - at.round_ns_before) / at.round_ns_before
    found = f"spread {measured.spread_percent:.1f} %, trend {measured.trend_percent:+.1f} %"
    found += f" in {len(measured.round_ns)} rounds of {measured.typical_ns / 1000:.0f} us"
    found += "" if change is None else f", {change:+.1f} % since before"
    advice = "sudo scripts/lab tune-host -- COMMAND, with nothing else running; `scripts/lab doctor drift` again shows whether it helped"
    moved = abs(change or 0)
    if measured.spread_percent > HARD_SPREAD_PERCENT or moved > HARD_CHANGE_PERCENT:
        return Finding("drift", "hard", found, advice)
    trend = abs(measured.trend_percent)
    if measured.spread_percent > SOFT_SPREAD_PERCENT or trend > SOFT_TREND_PERCENT or moved > SOFT_CHANGE_PERCENT:
        return Finding("drift", "soft", found, advice)
    return Finding("drift", "ok", found)


def core_sharing(at: Situation) -> Finding:
    """Topologies of virtual machines are often made up; two processors at work together tell."""
    sharing = at.calibration and at.calibration.sharing
    if not sharing:
        return Finding("core_sharing", "info", _NOT_MEASURED, _BUILD_IT)
    sentence = sharing.sentence()
    if sentence:
        return Finding(
            "core_sharing", "soft", sentence,
            f"measure with one thread a core, --plan list:{','.join(str(core[0]) for core in sharing.cores())}, or on bare metal",
        )
    unsteady = sharing.sometimes_shared_pairs()
    if unsteady:
        names = ", ".join(f"{first} and {second}" for first, second in unsteady)
        return Finding(
            "core_sharing", "soft", f"CPUs {names} shared a core in some looks and not in others: who runs beside them changes",
            "take ratios inside one process, or measure on bare metal",
        )
    unknown = sum(not looks for looks in sharing.pairs.values()) + sharing.pairs_left_out
    if unknown:
        return Finding(
            "core_sharing", "info", f"{unknown} pairs of processors could not be told: too busy to run at once, or too many",
            "end what else runs: `top -o %CPU` shows it",
        )
    if len(sharing.cpus) < 2:
        return Finding("core_sharing", "ok", "one processor, or siblings only that the topology declares")
    return Finding("core_sharing", "ok", f"CPUs {ranges_text(sorted(sharing.cpus))} have cores of their own, by measurement")
