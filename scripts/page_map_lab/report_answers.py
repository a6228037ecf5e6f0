"""The answer to each workload's question, as a sentence with its variant, its ratio and its interval, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from page_map_lab.records import CellKey
from page_map_lab.statistics import FASTER, INDISTINGUISHABLE, MINIMUM_LAUNCHES, SLOWER

if TYPE_CHECKING:
    from page_map_lab.report_model import Row

SURE, TIED, UNDECIDED, UNCOMPARED = "sure", "not told apart", "not enough data", "no ratio"
MOST_NAMES = 3


@dataclass(frozen=True)
class Answer:
    """The first screen's line for one workload. The ratio is that of `contender` to the base: of the winner, or, where nothing
    beats the base, of the one that comes nearest to beating it. `cells` is what the ratio was made of."""

    winner: str
    winner_label: str
    contender_label: str
    ratio: float | None
    low: float | None
    high: float | None
    sureness: str
    sentence: str
    where: str
    remark: str
    row: Row | None = None


def plain_name(variant: str) -> str:
    """The policies without their axes: `radix, rcu_qsbr, batched`."""
    return ", ".join(part.partition(":")[2] or part for part in variant.split("/"))


def words_of(key: CellKey) -> str:
    """The parameters as one reads them aloud: `512 pages, 50 % frames, zipf pattern, 1 thread`."""
    words = []
    for name, value in sorted(key.parameters, key=lambda item: (item[0] not in ("pages", "threads"), item[0])):
        plain = name.replace("_", " ")
        if name in ("pages", "threads", "regions", "victims"):
            words.append(f"{value} {plain if value != 1 else plain.removesuffix('s')}")
        elif name.endswith("_percent"):
            words.append(f"{value} % {plain.removesuffix(' percent')}")
        elif name.endswith("_ns"):
            words.append(f"{plain.removesuffix(' ns')} {value} ns")
        else:
            words.append(f"{plain} {value}")
    if key.plan not in ("", "compact"):
        words.append(f"plan {key.plan}")
    if key.memory not in ("", "local"):
        words.append(f"memory {key.memory}")
    return ", ".join(words)


def ratio_words(ratio: float) -> str:
    """A ratio with as many digits as a sentence bears."""
    return f"{ratio:.3f}x" if ratio < 10 else f"{ratio:.1f}x"


def interval_words(low: float | None, high: float | None) -> str:
    """`0.174 to 0.202`, or a dash."""
    digits = 3 if high is not None and high < 10 else 1
    return "-" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def answer(here: Sequence[Row], everywhere: Sequence[Row]) -> Answer:
    """Which variant to take at one set of parameters, with what the other sets of parameters say as a remark."""
    where = words_of(here[0].key) if here else ""
    base = next((row for row in here if row.is_base), None)
    contenders = sorted((row for row in here if row.comparison is not None and not row.floor), key=_ratio)
    winner = next((row for row in contenders if row.verdict == FASTER), None)
    floor = min((row for row in here if row.comparison is not None and row.floor), key=_ratio, default=None)
    if winner is not None:
        return _won(winner, contenders, everywhere, where, _floor(floor))
    if base is not None:
        return _base_stands(base, contenders, everywhere, where, _floor(floor))
    return _without_base(here, where)


def _won(winner: Row, contenders: Sequence[Row], everywhere: Sequence[Row], where: str, floor: list[str]) -> Answer:
    estimate = winner.comparison.estimate
    ties = [r for r in contenders if r is not winner and r.verdict == FASTER and r.comparison.estimate.low <= estimate.high]
    verdicts = [row.verdict for row in everywhere if row.variant == winner.variant and row.comparison is not None]
    remarks = [f"not told from it: {_names(ties)}"] if ties else []
    if len(verdicts) > 1:
        remarks.append(f"cheaper in {verdicts.count(FASTER)}, dearer in {verdicts.count(SLOWER)} of {len(verdicts)} parameter sets")
    remarks += [*_guess(contenders, estimate.ratio), *floor]
    cost = f"{ratio_words(estimate.ratio)} the base's cost ({interval_words(estimate.low, estimate.high)})"
    sentence = f"(else as the base): {cost}, surely cheaper, {_launches(winner)}."
    return _answer(winner, winner, SURE, sentence, where, remarks)


def _base_stands(base: Row, contenders: Sequence[Row], everywhere: Sequence[Row], where: str, floor: list[str]) -> Answer:
    tied = [row for row in contenders if row.verdict == INDISTINGUISHABLE]
    slower = [row for row in contenders if row.verdict == SLOWER]
    remarks = [f"not told from the base: {_names(tied)}"] if len(tied) > 1 else []
    if tied and slower:
        remarks.append(f"surely dearer: {_names(slower)}")
    remarks += _elsewhere(everywhere, base)
    remarks += [*_guess(contenders, 0.97), *floor]
    if tied:
        nearest, estimate = tied[0], tied[0].comparison.estimate
        sentence = (
            f"(the base): no variant is surely cheaper. Nearest: {nearest.label}, {ratio_words(estimate.ratio)} "
            f"({interval_words(estimate.low, estimate.high)}), {_launches(nearest)}."
        )
        return _answer(base, nearest, TIED, sentence, where, remarks)
    if slower:
        nearest, estimate = slower[0], slower[0].comparison.estimate
        sentence = (
            f"(the base): {'the one other' if len(slower) == 1 else f'all {len(slower)} others'} with an interval surely cost more. "
            f"Next: {nearest.label}, {ratio_words(estimate.ratio)} ({interval_words(estimate.low, estimate.high)}), {_launches(nearest)}."
        )
        return _answer(base, nearest, SURE, sentence, where, remarks)
    measured = f"the base has {base.launches} of the {MINIMUM_LAUNCHES} launches that an interval needs"
    if base.launches >= MINIMUM_LAUNCHES:
        measured = f"no other variant has the {MINIMUM_LAUNCHES} launches that an interval needs"
    nearest = contenders[0] if contenders else None
    guess = f" {nearest.label} looked like {ratio_words(_ratio(nearest))}." if nearest else ""
    sentence = f"(the base), undecided: {measured}.{guess}"
    return _answer(base, nearest, UNDECIDED, sentence, where, [] if nearest else remarks)


def _without_base(here: Sequence[Row], where: str) -> Answer:
    ranked = [row for row in here if row.score is not None and not row.floor]
    if not ranked:
        return Answer("", "no usable number", "", None, None, None, UNCOMPARED, "every repetition was excluded.", where, "")
    better_is_more = ranked[0].cells[0].direction == "higher_is_better"
    best = (max if better_is_more else min)(ranked, key=lambda row: row.score)
    sentence = "has the best score; no base was measured here, so there is no ratio."
    return Answer(best.variant, best.variant, "", None, None, None, UNCOMPARED, sentence, where, "", best)


def _answer(winner: Row, contender: Row | None, sureness: str, sentence: str, where: str, remarks: Sequence[str]) -> Answer:
    estimate = contender.comparison.estimate if contender else None
    return Answer(
        winner.variant,
        plain_name(winner.variant) if winner.is_base else winner.label,
        contender.label if contender else "",
        estimate.ratio if estimate else None,
        estimate.low if estimate else None,
        estimate.high if estimate else None,
        sureness,
        sentence,
        where,
        "; ".join(remarks),
        contender or winner,
    )


def _elsewhere(everywhere: Sequence[Row], base: Row) -> list[str]:
    """Where, at other parameters, something does beat the base: an answer at one point is not one everywhere."""
    better = sorted((row for row in everywhere if row.verdict == FASTER and not row.floor and row.key != base.key), key=_ratio)
    if not better:
        return []
    first, estimate = better[0], better[0].comparison.estimate
    found = f"{first.label} at {ratio_words(estimate.ratio)} ({interval_words(estimate.low, estimate.high)})"
    return [f"cheaper for sure elsewhere: {found} with {words_of(first.key)}"]


def _floor(floor: Row | None) -> list[str]:
    if floor is None:
        return []
    estimate = floor.comparison.estimate
    sure = f" ({interval_words(estimate.low, estimate.high)})" if estimate.has_interval else ""
    return [f"the floor, {floor.label.removeprefix('floor:')}: {ratio_words(estimate.ratio)}{sure}"]


def _guess(contenders: Sequence[Row], below: float) -> list[str]:
    unsure = [row for row in contenders if row.verdict not in (FASTER, SLOWER, INDISTINGUISHABLE) and _ratio(row) < below]
    return [f"{unsure[0].label} looked like {ratio_words(_ratio(unsure[0]))} in {_launches(unsure[0])}: measure it again"] if unsure else []


def _ratio(row: Row) -> float:
    return row.comparison.estimate.ratio


def _launches(row: Row) -> str:
    launches = row.comparison.estimate.contender_launches
    return "one launch" if launches == 1 else f"{launches} launches"


def _names(rows: Sequence[Row]) -> str:
    more = len(rows) - MOST_NAMES
    return ", ".join(row.label for row in rows[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
