"""The noise gate around launches: judges the machine before each and the time meanwhile after it, for the record."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from page_map_lab import checks
from page_map_lab.calibration import Sharing
from page_map_lab.cli_errors import NoiseGateError
from page_map_lab.finding import Situation
from page_map_lab.progress import Progress
from page_map_lab.record_flags import flags_of

# A neighbour that runs for a moment need not end a long run.
PATIENCE_S = 20
PASSING = {"load", "steal", "drift"}


class Gate:
    """The gate of one run. Cost: a second once, then a tenth of a second before and after each launch."""

    def __init__(self, results: Path, waived: list[str], measures_sharing: bool = True) -> None:
        self._results = results
        self._waived = waived
        self._sharing: Sharing | None = None
        self._measures_sharing = measures_sharing
        self._before: Situation | None = None

    def before(self, progress: Progress | None = None, kept: str = "") -> dict[str, Any]:
        """The gate before a launch. Waits a little for a quiet machine; raises when it does not become one."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            at = self._now()
            found = checks.as_gate(checks.examine(at), self._waived)
            hard = [finding for finding in found["findings"] if finding["severity"] == "hard"]
            if not hard:
                ticks, throttled = at.machine.cpu_ticks(), at.machine.throttle_count()
                self._before = replace(at, ticks_before=ticks, throttled_before=throttled)
                return found
            if {finding["check"] for finding in hard} - PASSING or time.monotonic() > deadline:
                worst = hard[0]
                waiver = "" if worst["check"] in checks.NOT_WAIVABLE else f" (or --waive {worst['check']})"
                said = f"{worst['check']}: {worst['found']}: {worst['advice']}{waiver}"
                raise NoiseGateError(said + (f"; {kept}" if kept else ""))
            if progress:
                progress.show(f"waiting: {hard[0]['found']}")
            time.sleep(1)

    def after(self) -> dict[str, Any]:
        """The gate after a launch: what happened since `before`."""
        before = self._before or self._now()
        drift = before.calibration and before.calibration.drift
        at = replace(
            self._now(), ticks_before=before.ticks_before, throttled_before=before.throttled_before,
            round_ns_before=drift.typical_ns if drift else None,
        )  # fmt: skip
        return checks.as_gate(checks.examine(at), self._waived)

    def block(self, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """What the record says of the gate."""
        measured = self._before and self._before.calibration
        return {"before": before, "after": after, "calibration": measured.as_record() if measured else None}

    def _now(self) -> Situation:
        at = checks.situation(results=self._results)
        # Steal since boot is no news of this run: it is judged over the time of a launch, or since this moment.
        at = replace(at, ticks_before=at.machine.cpu_ticks(), throttled_before=at.machine.throttle_count())
        at = checks.calibrated(at, drift_only=self._sharing is not None or not self._measures_sharing)
        if at.calibration is None:
            return at
        self._sharing = self._sharing or at.calibration.sharing
        return replace(at, calibration=replace(at.calibration, sharing=self._sharing))


class Watch:
    """The gate around all that a verb measures at once: begun before its first launch, and asked after its last."""

    def __init__(self, results: Path, waived: list[str]) -> None:
        self._gate = Gate(results, waived, measures_sharing=False)
        self.before = self._gate.before()

    def flags(self, verb: str) -> list[str]:
        """The checks that flag what was measured, as they would flag a record; said in one line where there are any."""
        found = flags_of({"gate": {"before": self.before, "after": self._gate.after()}})
        if found:
            sys.stderr.write(f"lab {verb}: flagged: measured although the gate found {', '.join(found)}: see `lab doctor`, then measure again\n")
        return found


def quiet_machine(results: Path, waived: list[str]) -> dict[str, Any]:
    """The gate for what has no launches of its own to judge. Waits a little; raises when the machine is not fit."""
    return Gate(results, waived, measures_sharing=False).before()
