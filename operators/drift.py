"""Drift of door counters: the balance of a day, its correction after the close, and factors learnt for the live one.

Who goes in comes out, so over a day from empty to empty the counts of a store have to balance. What is left over is the
counters' error (kpis.md 2.4). From it two things are learnt at each reset and then frozen for a day:

- per door, day type and block of four hours a factor for its outs, kept as log(sum in / sum out). A block alone says nothing
  about its factor (a store fills in the morning and empties in the evening), only the day does. So the day's log ratio, under
  the factors that were in force, is credited to the blocks in proportion to their share of the outs (normalised least mean
  squares, Widrow and Hoff 1960): what all days have in common goes to all blocks, what only days with a busy evening have
  goes to the evening.
- the error rate per crossing p: the mean of squared leftovers over the variance that p = 1 would have predicted.
"""

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt

import msgspec

from schemas.rows import DoorFactors

Door = tuple[str, int]
"""Device and line number."""

DAY_TYPES, BLOCKS = 3, 6
BLOCK_S = 14_400
ERROR_RATE = 0.02
"""Error rate per crossing before anything is learnt (kpis.md 2.4)."""
_ERROR_DAYS = 5.0
"""Days that the first error rate counts for."""
_ERROR_FORGET = 0.97
"""Weight of the past per day of error rate: a memory of about 33 days."""
_FORGET = 0.95
"""Weight of the past per day of the same type: about four weeks of weekdays, five months of Saturdays."""
PRIOR = 32.0
"""Crossings that "no drift" counts for. 4 x ERROR_RATE / PRIOR = 0.05 squared: before learning, a door's log ratio is
believed to be within 5 % (one standard deviation)."""
_OTHER_DAYS = 0.25
"""How much a crossing on another day type says about this one."""
_BLOCK_PRIOR = 500.0
"""Crossings that the mean of a door counts for in each of its blocks."""
_MOST = 0.35
"""Largest believable log ratio; a sensor that loses more than 30 % one way is broken, not drifting."""
_ONE_WAY = 0.25
"""Log ratio from which a door is held to be used one way rather than to count badly."""
_ABSURD = 0.3
"""Imbalance of a day from which it teaches nothing: a dead or turned sensor."""
_LEAST_CROSSINGS = 50
_LEAST_COVERAGE = 0.9


class Balance(msgspec.Struct, frozen=True):
    """A day's balance. `residual`: in minus out, people; `imbalance`: residual over the mean of in and out, None without
    crossings; `z`: residual in standard deviations at an error rate. A small imbalance is necessary, not sufficient: equal
    misses both ways cancel."""

    people_in: int
    people_out: int
    residual: int
    imbalance: float | None
    z: float | None


def balance(people_in: int, people_out: int, error_rate: float = ERROR_RATE) -> Balance:
    """Residual, imbalance and test statistic of a day (kpis.md 2.4)."""
    crossings, residual = people_in + people_out, people_in - people_out
    if crossings == 0:
        return Balance(people_in, people_out, 0, None, None)
    return Balance(people_in, people_out, residual, residual / (crossings / 2), residual / sqrt(error_rate * crossings))


def proportional(people_in: Sequence[int], people_out: Sequence[int]) -> list[float]:
    """People present after each interval of a finished day, the short side scaled up so that it ends at zero.

    >>> [round(n, 2) for n in proportional((0, 30, 60, 40, 10), (0, 10, 45, 55, 24))]
    [0.0, 19.55, 32.54, 15.07, 0.0]

    A day with crossings one way only cannot be scaled and is returned as it is.
    """
    total_in, total_out = sum(people_in), sum(people_out)
    scale_in = scale_out = 1.0
    if total_in > total_out > 0:
        scale_out = total_in / total_out
    elif total_out > total_in > 0:
        scale_in = total_out / total_in
    so_far_in = so_far_out = 0
    result = []
    for coming, going in zip(people_in, people_out, strict=True):
        so_far_in, so_far_out = so_far_in + coming, so_far_out + going
        result.append(so_far_in * scale_in - so_far_out * scale_out)
    return result


def mean_visit_s(present: Sequence[float], step_s: float, people_in: float) -> float | None:
    """Mean duration of a visit in seconds by Little's law: person-seconds over people in. None when nobody came in.

    `present`: people in the store, one value a step, over a whole day from empty to empty (then it is exact).
    """
    return sum(present) * step_s / people_in if people_in > 0 else None


class DoorDrift(msgspec.Struct, array_like=True):
    """What is learnt of one door: per day type x block (index day_type * 6 + block) the log ratio and its evidence in decayed
    crossings."""

    log_ratio: list[float]
    weight: list[float]

    @classmethod
    def nothing(cls) -> "DoorDrift":
        return cls([0.0] * (DAY_TYPES * BLOCKS), [0.0] * (DAY_TYPES * BLOCKS))


class Factors(msgspec.Struct, array_like=True):
    """What a store's days have taught so far; frozen while a day runs.

    `revision`: number of resets learnt from. `error_weight`: days behind `error_rate`. `level` and `level_variance`: people
    present at the reset, not zero only for a store that is never known to be empty. Keys of `doors`: device and line.
    """

    revision: int = 0
    error_rate: float = ERROR_RATE
    error_weight: float = _ERROR_DAYS
    level: float = 0.0
    level_variance: float = 0.0
    doors: dict[Door, DoorDrift] = {}


class DoorRates(msgspec.Struct, frozen=True):
    """A door's factors in force on a day. `logs` and `factors`: per block; `spread`: variance of a log ratio per unit of error
    rate; `evidence`: decayed crossings behind it, 0 = nothing learnt."""

    logs: tuple[float, ...]
    factors: tuple[float, ...]
    spread: float
    evidence: float


NO_RATES = DoorRates((0.0,) * BLOCKS, (1.0,) * BLOCKS, 4.0 / PRIOR, 0.0)


def rates(factors: Factors, door: Door, day_type: int) -> DoorRates:
    """The factors of a door for a day type: each block shrunk to the mean of the door over all its days and blocks."""
    drift = factors.doors.get(door)
    total = sum(drift.weight) if drift else 0.0
    if drift is None or total <= 0.0:
        return NO_RATES
    mean = sum(map(float.__mul__, drift.weight, drift.log_ratio)) / total
    here = slice(day_type * BLOCKS, (day_type + 1) * BLOCKS)
    own = drift.weight[here]
    logs = tuple((w * r + _BLOCK_PRIOR * mean) / (w + _BLOCK_PRIOR) for w, r in zip(own, drift.log_ratio[here], strict=True))
    evidence = sum(own) + _OTHER_DAYS * (total - sum(own))
    return DoorRates(logs, tuple(map(exp, logs)), 4.0 / (evidence + PRIOR), evidence)


class DoorDay(msgspec.Struct):
    """A door's finished day: people in and out per block of the civil day."""

    people_in: list[int]
    people_out: list[int]

    @property
    def crossings(self) -> int:
        return sum(self.people_in) + sum(self.people_out)

    def corrected_out(self, at: DoorRates) -> list[float]:
        return [n * f for n, f in zip(self.people_out, at.factors, strict=True)]


def teaches(days: Mapping[Door, DoorDay], coverage: float | None) -> bool:
    """Whether a day says something about drift: enough crossings, enough coverage (None: unknown), no absurd imbalance."""
    if coverage is not None and coverage < _LEAST_COVERAGE:
        return False
    of_day = balance(sum(sum(d.people_in) for d in days.values()), sum(sum(d.people_out) for d in days.values()))
    enough = of_day.people_in + of_day.people_out >= _LEAST_CROSSINGS
    return enough and of_day.imbalance is not None and abs(of_day.imbalance) <= _ABSURD


def learn_day(factors: Factors, days: Mapping[Door, DoorDay], day_type: int) -> Factors:
    """The factors after a day that teaches; revision + 1. `factors` were in force on it and stay untouched."""
    ordered = sorted(days.items())
    in_force = {door: rates(factors, door, day_type) for door, _ in ordered}
    ratios = _log_ratios(ordered, in_force)
    doors = dict(factors.doors)
    for door, day in ordered:
        doors[door] = _learn_door(doors.get(door), in_force[door], day, ratios[door], day_type)
    rate, weight = _learn_error(factors, ordered, in_force)
    return Factors(factors.revision + 1, rate, weight, 0.0, 0.0, doors)


def _log_ratios(days: Sequence[tuple[Door, DoorDay]], in_force: Mapping[Door, DoorRates]) -> dict[Door, float]:
    """What each door's log(in / corrected out) came to.

    Where a door is clearly used one way (in by one door, out by another), single doors say nothing about their errors: then
    all doors get the ratio of the store.
    """
    sums = {door: (float(sum(day.people_in)), sum(day.corrected_out(in_force[door]))) for door, day in days}
    if any(_one_way(*pair) for pair in sums.values()):
        store = _log_ratio(sum(i for i, _ in sums.values()), sum(o for _, o in sums.values()))
        return dict.fromkeys(sums, store)
    return {door: _log_ratio(*pair) for door, pair in sums.items()}


def _log_ratio(people_in: float, people_out: float) -> float:
    # Half a person on both sides: a door with crossings one way only stays finite.
    return log((people_in + 0.5) / (people_out + 0.5))


def _one_way(people_in: float, people_out: float) -> bool:
    apart = abs(people_in - people_out) > 3.0 * sqrt(people_in + people_out)
    return apart and abs(_log_ratio(people_in, people_out)) > _ONE_WAY


def _learn_door(drift: DoorDrift | None, at: DoorRates, day: DoorDay, log_ratio: float, day_type: int) -> DoorDrift:
    old = drift or DoorDrift.nothing()
    learnt, weight = list(old.log_ratio), list(old.weight)
    gain = day.crossings / (day.crossings + _FORGET * at.evidence + PRIOR)
    outs = day.corrected_out(at)
    total = sum(outs) or 1.0
    shares = [n / total for n in outs]
    norm = sum(s * s for s in shares) or 1.0
    for block, share in enumerate(shares):
        slot = day_type * BLOCKS + block
        crossings = day.people_in[block] + day.people_out[block]
        weight[slot] = _FORGET * weight[slot] + crossings
        if crossings:
            # From the block's own value: from the shrunk one, every day would shrink it again.
            base = learnt[slot] if old.weight[slot] > 0.0 else at.logs[block]
            learnt[slot] = max(-_MOST, min(_MOST, base + gain * log_ratio * share / norm))
    return DoorDrift(learnt, weight)


def _learn_error(
    factors: Factors, days: Sequence[tuple[Door, DoorDay]], in_force: Mapping[Door, DoorRates]
) -> tuple[float, float]:
    residual = expected = 0.0
    for door, day in days:
        out = sum(day.corrected_out(in_force[door]))
        residual += sum(day.people_in) - out
        expected += day.crossings + in_force[door].spread * out * out
    # One odd day may not widen the interval for a month: three standard deviations are the most that count.
    seen = min(residual * residual / expected, 9.0 * factors.error_rate)
    weight = factors.error_weight * _ERROR_FORGET
    rate = (factors.error_rate * weight + seen) / (weight + 1.0)
    return max(0.001, min(0.5, rate)), weight + 1.0


def factor_rows(site: str, reset: int, factors: Factors) -> list[tuple[object, ...]]:
    """Rows of `door_factors` from which `factors_from` builds the same factors again."""
    return [
        DoorFactors.row(
            site=site,
            reset=reset,
            device=device,
            line=line,
            day_type=slot // BLOCKS,
            block=slot % BLOCKS,
            log_ratio=drift.log_ratio[slot],
            weight=drift.weight[slot],
            error_rate=factors.error_rate,
            error_weight=factors.error_weight,
            level=factors.level,
            level_variance=factors.level_variance,
            factors_revision=factors.revision,
        )
        for (device, line), drift in sorted(factors.doors.items())
        for slot in range(DAY_TYPES * BLOCKS)
        if drift.weight[slot] > 0.0
    ]


def factors_from(rows: Sequence[Mapping[str, object]]) -> Factors:
    """Factors from the rows of one store and reset, by column name; without rows those of a store that knows nothing."""
    if not rows:
        return Factors()
    result = msgspec.convert(rows[0], _Row)
    doors: dict[Door, DoorDrift] = {}
    for raw in rows:
        row = msgspec.convert(raw, _Row)
        drift = doors.setdefault((row.device, row.line), DoorDrift.nothing())
        drift.log_ratio[row.day_type * BLOCKS + row.block] = row.log_ratio
        drift.weight[row.day_type * BLOCKS + row.block] = row.weight
    return Factors(result.factors_revision, result.error_rate, result.error_weight, result.level, result.level_variance, doors)


class _Row(msgspec.Struct):
    device: str
    line: int
    day_type: int
    block: int
    log_ratio: float
    weight: float
    error_rate: float
    error_weight: float
    level: float
    level_variance: float
    factors_revision: int
