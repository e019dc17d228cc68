"""People in a store: drift-corrected estimate with a 90 % interval, one state per store and day (kpis.md 2.4).

The state holds every minute's counts per door since the last reset, so the result is a function of the set of
(minute, door, counts) only: order, repeats and corrections do not matter. Checkpoints of the running sums make the newest
minute cheap; a correction goes back to the checkpoint before it.

The estimate after a minute, with f = learnt factor of the door in that block of the day:

    level    = level at reset + sum in - sum (f x out)
    estimate = level - min(0, lowest level so far)          reflection: below zero, entries were missed; it stays in the state
    variance = variance at reset + p x (crossings + sum over doors of (4 / (evidence + 32)) x (f x out)^2) + (p x estimate)^2

p is the learnt error rate per crossing. The first part are single errors, the second the uncertainty of the factors (all of a
door's outs err together), the third what no balance shows: people missed on the way in *and* out.
Times are epoch seconds; a minute is named by its start, the estimate holds at its end.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from math import sqrt

import msgspec

from operators import capacity
from operators.calendar import civil_day, utc_offset
from operators.drift import BLOCK_S, BLOCKS, Balance, Door, DoorDay, DoorRates, Factors, balance, learn_day, rates, teaches
from operators.drift import proportional as _proportional
from schemas.sites import Site

SCHEMA = 1
"""Number of the stored form of `OccupancyState`; another one is refused."""
MOST_MINUTES = 26 * 60
"""Minutes after the reset that a state takes: the longest civil day and an hour."""
_Z90 = 1.6448536269514722
"""Half width of a 90 % interval in standard deviations."""
_EVERY, _LAST = 60, 16
"""Checkpoints: one an hour, and one a minute for the newest ones (the usual horizon)."""
_CODES = ("B", "H", "I")
"""Array types of counts: one, two or four bytes."""


class OccupancyError(ValueError):
    """A stored state that cannot be read, or counts that cannot be."""


class OccupancyConfig(msgspec.Struct, frozen=True):
    """What the registry says of a store. `special_days`: dates with exceptional hours, which learn as Sundays and holidays do.
    `always_open`: never known to be empty, so the level is carried over the reset."""

    zone: str
    capacity_operational: int | None = None
    capacity_legal: int | None = None
    always_open: bool = False
    special_days: frozenset[date] = frozenset()

    @classmethod
    def of(cls, site: Site) -> "OccupancyConfig":
        special = frozenset(date.fromisoformat(day) for day in site.exceptions)
        return cls(site.zone, site.capacity_operational, site.capacity_legal, site.hours is None, special)

    def day_type(self, reset: int) -> int:
        """0 weekday, 1 Saturday, 2 Sunday or special, of the civil day that begins at a reset."""
        day = civil_day(self.zone, reset)
        if day in self.special_days:
            return 2
        return max(0, day.weekday() - 4)

    def block(self, epoch: int) -> int:
        """Block of four hours of the civil day, 0 to 5."""
        return (epoch + utc_offset(self.zone, epoch // 900)) % 86_400 // BLOCK_S


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """People present. `low`, `high`: 90 % interval; `raw`: in minus out since the reset. `mode`: `raw` (nothing learnt yet),
    `learnt`, `reflected` (the level has been below zero) or `unanchored` (the store is never known to be empty).
    `over_*`: probability of being at or over 90 % of a capacity, None without one."""

    estimate: float
    low: float
    high: float
    raw: int
    mode: str
    over_operational: float | None = None
    over_legal: float | None = None


class _DoorMinutes:
    """Counts of one door per minute since the reset, in the narrowest type that holds them."""

    __slots__ = ("people_in", "people_out")

    def __init__(self) -> None:
        self.people_in = array("B")
        self.people_out = array("B")

    def put(self, index: int, people_in: int, people_out: int) -> bool:
        """Set a minute; whether that changed anything."""
        if index >= len(self.people_in):
            if people_in == people_out == 0:
                return False
            missing = bytes((index + 1 - len(self.people_in)) * self.people_in.itemsize)
            self.people_in.frombytes(missing)
            self.people_out.frombytes(missing)
        if self.people_in[index] == people_in and self.people_out[index] == people_out:
            return False
        largest = max(people_in, people_out)
        if largest >= 1 << 8 * self.people_in.itemsize:
            code = "H" if largest < 1 << 16 else "I"
            self.people_in, self.people_out = array(code, self.people_in), array(code, self.people_out)
        self.people_in[index], self.people_out[index] = people_in, people_out
        return True


class _Fold:
    """Running sums over the minutes before `index`. `outs`: corrected outs per door, in the order of the doors."""

    __slots__ = ("crossings", "index", "level", "lowest", "outs", "raw")

    def __init__(self, index: int, raw: int, level: float, lowest: float, crossings: int, outs: list[float]) -> None:
        self.index, self.raw, self.level, self.lowest, self.crossings, self.outs = index, raw, level, lowest, crossings, outs

    def copy(self) -> "_Fold":
        return _Fold(self.index, self.raw, self.level, self.lowest, self.crossings, self.outs.copy())


class OccupancyState:
    """A store's day. `reset`: epoch seconds of its start; `factors`: learnt before it, frozen; `newest`: index of the newest
    minute with a count; `touched`: epoch of the earliest minute changed since `take_touched`."""

    __slots__ = ("_doors", "_order", "factors", "marks", "newest", "reset", "touched")

    def __init__(self, reset: int, factors: Factors) -> None:
        self.reset = reset
        self.factors = factors
        self.newest = -1
        self.touched: int | None = None
        self._doors: dict[Door, _DoorMinutes] = {}
        self._order: list[tuple[_DoorMinutes, DoorRates]] | None = None
        self.marks: list[_Fold] = []

    @property
    def doors(self) -> list[Door]:
        return sorted(self._doors)

    @property
    def newest_minute(self) -> int | None:
        """Epoch of the newest minute with a count."""
        return None if self.newest < 0 else self.reset + 60 * self.newest

    def to_bytes(self) -> bytes:
        """Msgpack with a schema number. Checkpoints are left out: they are made again when asked for."""
        doors: list[tuple[str, int, str, bytes, bytes]] = [
            (device, line, minutes.people_in.typecode, minutes.people_in.tobytes(), minutes.people_out.tobytes())
            for (device, line), minutes in sorted(self._doors.items())
        ]
        return _ENCODER.encode(_Stored(SCHEMA, self.reset, self.newest, self.touched, self.factors, doors))

    @classmethod
    def from_bytes(cls, data: bytes) -> "OccupancyState":
        """Raises OccupancyError when the bytes are not a state of this schema."""
        try:
            stored = _DECODER.decode(data)
            if stored.schema != SCHEMA:
                raise OccupancyError(f"occupancy state has schema {stored.schema}, this version reads {SCHEMA}")
            state = cls(stored.reset, stored.factors)
            for device, line, code, people_in, people_out in stored.doors:
                minutes = state._doors[device, line] = _DoorMinutes()
                if code not in _CODES or len(people_in) != len(people_out):
                    raise OccupancyError(f"counts of door {device}:{line} are damaged")
                minutes.people_in, minutes.people_out = array(code, people_in), array(code, people_out)
        except OccupancyError:
            raise
        except (msgspec.MsgspecError, ValueError) as error:
            raise OccupancyError(f"occupancy state is unreadable: {error}") from error
        state.newest, state.touched = stored.newest, stored.touched
        return state


class _Stored(msgspec.Struct, array_like=True):
    schema: int
    reset: int
    newest: int
    touched: int | None
    factors: Factors
    doors: list[tuple[str, int, str, bytes, bytes]]


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Stored)


def start(config: OccupancyConfig, reset: int, learnt: Factors) -> OccupancyState:
    """An empty day from a reset on. `learnt`: what `learn` returned for the day before, or `Factors()`."""
    del config  # the day type follows from the reset whenever it is needed
    return OccupancyState(reset, learnt)


def put(state: OccupancyState, minute: int, door: Door, people_in: int, people_out: int) -> bool:
    """Set a door's counts of a minute; idempotent, in any order. Whether the minute belongs to this day.

    A minute before the reset or more than 26 hours after it changes nothing and returns False (a repair's business).
    Raises OccupancyError for counts that are negative or over 2^32 - 1.
    """
    index = (minute - state.reset) // 60
    if not 0 <= index < MOST_MINUTES:
        return False
    if people_in < 0 or people_out < 0 or people_in >= 1 << 32 or people_out >= 1 << 32:
        raise OccupancyError(f"counts of door {door} at {minute} must be 0 to 2^32 - 1, not {people_in} in, {people_out} out")
    minutes = state._doors.get(door)
    if minutes is None:
        minutes = state._doors[door] = _DoorMinutes()
        state._order = None
        state.marks.clear()
    changed = minutes.put(index, people_in, people_out)
    if index > state.newest:
        state.newest = index
    elif not changed:
        return True
    epoch = state.reset + 60 * index
    if state.touched is None or epoch < state.touched:
        state.touched = epoch
    marks = state.marks
    while marks and marks[-1].index > index:
        marks.pop()
    return True


def counts_of(state: OccupancyState, minute: int, door: Door) -> tuple[int, int]:
    """People in and out of a door in a minute as put last; zeros where nothing was."""
    minutes = state._doors.get(door)
    index = (minute - state.reset) // 60
    if minutes is None or not 0 <= index < len(minutes.people_in):
        return 0, 0
    return minutes.people_in[index], minutes.people_out[index]


def take_touched(state: OccupancyState) -> int | None:
    """Epoch of the earliest minute changed since the last call, and forget it: from there `changed_since` has to be written."""
    touched, state.touched = state.touched, None
    return touched


def estimate(state: OccupancyState, config: OccupancyConfig, minute: int) -> Estimate:
    """People present at the end of a minute (before the reset: at the reset)."""
    index = (minute - state.reset) // 60
    fold = _fold_before(state, config, index).copy()
    if 0 <= index <= state.newest:
        _step(state, config, fold)
    return _estimate(state, config, fold)


def changed_since(state: OccupancyState, config: OccupancyConfig, minute: int) -> list[tuple[int, Estimate]]:
    """Estimates of every minute from `minute` to the newest one with a count: what a correction of `minute` rewrites."""
    first = max(0, (minute - state.reset) // 60)
    if first > state.newest:
        return []
    fold = _fold_before(state, config, first).copy()
    result = []
    for _ in range(first, state.newest + 1):
        epoch = state.reset + 60 * fold.index
        _step(state, config, fold)
        result.append((epoch, _estimate(state, config, fold)))
    return result


def learn(state: OccupancyState, config: OccupancyConfig, coverage: float | None = None) -> Factors:
    """What to start the next day with, from all that is known of this one. `coverage`: measured share, None when unknown.

    A day with too few crossings, poor coverage or an absurd imbalance leaves the factors as they were.
    """
    days = door_days(state, config)
    factors = state.factors
    if teaches(days, coverage):
        factors = learn_day(factors, days, config.day_type(state.reset))
    if not config.always_open:
        return msgspec.structs.replace(factors, level=0.0, level_variance=0.0)
    end = _fold_before(state, config, state.newest + 1)
    present = end.level - min(0.0, end.lowest)
    return msgspec.structs.replace(factors, level=present, level_variance=_variance(state, config, end))


def day_balance(state: OccupancyState) -> Balance:
    """Residual, imbalance and z of the day so far; meaningful once the store is empty."""
    doors = state._doors.values()
    return balance(sum(sum(d.people_in) for d in doors), sum(sum(d.people_out) for d in doors), state.factors.error_rate)


def after_close(state: OccupancyState) -> list[tuple[int, float]]:
    """The finished day corrected proportionally: (minute, people present at its end), zero at the end."""
    people_in, people_out = [0] * (state.newest + 1), [0] * (state.newest + 1)
    for minutes in state._doors.values():
        for index, (coming, going) in enumerate(zip(minutes.people_in, minutes.people_out, strict=True)):
            people_in[index] += coming
            people_out[index] += going
    return [(state.reset + 60 * i, present) for i, present in enumerate(_proportional(people_in, people_out))]


def door_days(state: OccupancyState, config: OccupancyConfig) -> dict[Door, DoorDay]:
    """Counts per door and block of the civil day."""
    blocks = [config.block(state.reset + 60 * index) for index in range(state.newest + 1)]
    days = {}
    for door, minutes in state._doors.items():
        day = days[door] = DoorDay([0] * BLOCKS, [0] * BLOCKS)
        for block, coming, going in zip(blocks, minutes.people_in, minutes.people_out, strict=False):
            day.people_in[block] += coming
            day.people_out[block] += going
    return days


def _doors(state: OccupancyState, config: OccupancyConfig) -> list[tuple[_DoorMinutes, DoorRates]]:
    if state._order is None:
        day_type = config.day_type(state.reset)
        state._order = [(state._doors[door], rates(state.factors, door, day_type)) for door in sorted(state._doors)]
    return state._order


def _fold_before(state: OccupancyState, config: OccupancyConfig, index: int) -> _Fold:
    """The sums over all minutes before `index` (not to be changed by the caller)."""
    index = min(index, state.newest + 1)
    marks = state.marks
    if not marks:
        level = state.factors.level
        marks.append(_Fold(0, 0, level, level, 0, [0.0] * len(_doors(state, config))))
    if index <= marks[-1].index:
        fold = marks[max(0, bisect_right(marks, index, key=_index) - 1)]
        return fold if index <= fold.index else _last(_walk(state, config, fold, index))
    marks.extend(_walk(state, config, marks[-1], index))
    newest = marks[-1].index
    state.marks = [mark for mark in marks if mark.index % _EVERY == 0 or mark.index > newest - _LAST]
    return state.marks[-1]


def _index(fold: _Fold) -> int:
    return fold.index


def _walk(state: OccupancyState, config: OccupancyConfig, fold: _Fold, index: int) -> Iterator[_Fold]:
    fold = fold.copy()
    keep = index - _LAST
    while fold.index < index:
        _step(state, config, fold)
        if fold.index == index or fold.index > keep or fold.index % _EVERY == 0:
            yield fold.copy()


def _last(folds: Iterator[_Fold]) -> _Fold:
    *_, last = folds
    return last


def _step(state: OccupancyState, config: OccupancyConfig, fold: _Fold) -> None:
    """Take in the minute `fold.index`."""
    index = fold.index
    block = config.block(state.reset + 60 * index)
    outs = fold.outs
    for number, (minutes, at) in enumerate(_doors(state, config)):
        if index < len(minutes.people_in):
            coming, going = minutes.people_in[index], minutes.people_out[index]
            if coming or going:
                out = going * at.factors[block]
                outs[number] += out
                fold.raw += coming - going
                fold.crossings += coming + going
                fold.level += coming - out
    if fold.level < fold.lowest:
        fold.lowest = fold.level
    fold.index = index + 1


def _variance(state: OccupancyState, config: OccupancyConfig, fold: _Fold) -> float:
    spread = float(fold.crossings)
    for out, (_, at) in zip(fold.outs, _doors(state, config), strict=True):
        spread += at.spread * out * out
    return state.factors.level_variance + state.factors.error_rate * spread


def _estimate(state: OccupancyState, config: OccupancyConfig, fold: _Fold) -> Estimate:
    present = fold.level - min(0.0, fold.lowest)
    unseen = state.factors.error_rate * present
    deviation = sqrt(_variance(state, config, fold) + unseen * unseen)
    return Estimate(
        present,
        max(0.0, present - _Z90 * deviation),
        present + _Z90 * deviation,
        fold.raw,
        _mode(state, config, fold),
        capacity.probability_at_or_over(config.capacity_operational, present, deviation),
        capacity.probability_at_or_over(config.capacity_legal, present, deviation),
    )


def variance_of(level: float, high: float, error_rate: float) -> float:
    """The variance behind an estimate and the upper end of its interval, without what no balance shows."""
    deviation, unseen = (high - level) / _Z90, error_rate * level
    return max(0.0, deviation * deviation - unseen * unseen)


def _mode(state: OccupancyState, config: OccupancyConfig, fold: _Fold) -> str:
    if config.always_open:
        return "unanchored"
    if fold.lowest < 0.0:
        return "reflected"
    return "learnt" if any(at.evidence for _, at in _doors(state, config)) else "raw"
