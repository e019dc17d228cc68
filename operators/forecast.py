"""Forecast of a series of hourly counts, hour by hour: median and intervals for the next hours, learnt strictly in order.

All arithmetic is on z = sqrt(count + 3/8). What is kept of a series:

- The usual week (operators/week_profile.py), and what holidays make of it (operators/special_days.py).
- *Levels*: how far the last hours were from the usual week, five exponential means with memories of one hour to three days.
- *Regressions* (operators/normal_equations.py) from levels, the same hour one, two and seven days ago, and the faster profile,
  to what came: one for each of six steps (between them coefficients are interpolated), and for the next hour one more for each
  hour of the day, which also looks at whether today runs like a Sunday and has four fifths of the word.
- *Intervals*: quantiles of past errors, in units of the usual error at that step and hour of the day, tracked online so that
  each covers its share in the long run whatever the series does.

The week and the levels follow every hour; regressions and intervals are taught a day at a time, which makes it fast.
"""

from array import array
from collections.abc import Sequence
from math import exp, isfinite, sqrt

import msgspec
import numpy as np

from operators.forecasters import FARTHEST, LEVELS, Band, ForecasterSpec
from operators.models import UnreadableState, pack, unpack
from operators.normal_equations import Many, NormalEquations
from operators.special_days import CLOSED, ORDINARY, Calendar, Holidays, plain_days
from operators.week_profile import WEEK_HOURS, WeekProfile

STEPS = (1, 2, 3, 6, 12, 24)
"""Steps ahead, in hours, that have a regression of their own; farther ones use that of 24."""
NAME = "hour-week-regression"
_NORMAL = (-1.96, -1.2816, -0.6745, 0.6745, 1.2816, 1.96)
_FADES = (0.0, 0.4, 0.75, 0.93, 0.985)
"""Weight of an hour's past in each level."""
_LAGGED = (24, 48, 168)
_LAGS = np.array(_LAGGED)
_KEPT = 192
"""Residuals kept: a week and a day."""
_BLOCK = 24
"""Hours that are learnt together: a day of the civil clock."""
_RING = 48
"""Hours of levels kept: a block and the longest step."""
_TRACK = 0.02
"""Step of the tracked quantiles, in usual errors."""
_MOST = 1e4
"""Greatest z that is taken in: counts up to 1e8."""
_SUNDAY = 6 * 24
_CLOSED = sqrt(1.375)
"""z of one person: an hour below that is taken to be closed, and would only make the intervals look too wide."""
_PARAMS = {"version": 2.0}
_WIDE, _NARROW = len(_FADES) + len(_LAGS) + 1, 6
_STEPS = np.array(STEPS)
_FIRST_WIDE, _FIRST_NARROW = np.zeros((len(STEPS), _WIDE), np.float32), np.zeros((24, _NARROW), np.float32)
_FIRST_WIDE[:, 2] = 0.9**_STEPS
_FIRST_NARROW[:, 1], _FIRST_NARROW[:, 5] = 0.9, 0.7
"""Coefficients to begin with: tomorrow goes on as the last hours went, fading, and a day like a Sunday as one."""
_FIRST_POINTS = np.tile(np.array(_NORMAL, np.float32) * np.float32(1.25), (len(STEPS), 1))
_NARROW_SHARE = 0.8
"""Weight of the regression of the hour of the day in the next hour's forecast."""
_POINTS = np.array(LEVELS)
_NOBODY = sqrt(0.375)
_LAG_KNOWN = _STEPS[:, None] <= _LAGS


class HourForecast:
    """One series. Hours are whole hours of the civil clock since 1970-01-01 00:00, without zone. `calendar`: which hours are
    special; it is no part of the state."""

    def __init__(self, calendar: Calendar = plain_days) -> None:
        self.calendar = calendar
        self._at = -1
        self._seen = 0
        self._week = WeekProfile()
        self._holidays = Holidays()
        self._residual = np.zeros(_KEPT, np.float16)
        self._sums = array("d", bytes(8 * 2 * len(_FADES)))
        self._level = [0.0] * len(_FADES)
        self._ring = np.zeros((_RING, len(_FADES)), np.float16)
        self._alike = array("d", (0.0, 0.0, 1.0, 0.0, 0.0))
        """Errors as usual and as a Sunday, their scale, the Sunday level's two sums."""
        self._wide = NormalEquations(_FIRST_WIDE, 0.999, 10.0, 0.01)
        self._narrow = NormalEquations(_FIRST_NARROW, 0.99, 3.0, 0.05)
        self._error = np.ones((24, len(STEPS)), np.float16)
        self._points = _FIRST_POINTS.copy()
        self._block = np.full((_BLOCK, 3 + _NARROW), np.nan, np.float16)
        """For each hour of the open block: z, base and faster mean as they were, and features of the narrow regression."""
        self._next = [0.0] * _NARROW

    @property
    def at(self) -> int:
        """The last hour taken in; -1 before any."""
        return self._at

    # -- learning ----------------------------------------------------------------------------------------------------------

    def learn(self, hour: int, value: float | None) -> None:
        """Take the count of an hour in; None, NaN and negative: not measured. Hours that were passed over count as not
        measured, an hour that is not after the last one is ignored."""
        if hour <= self._at:
            return
        if self._at >= 0:
            for missed in range(max(self._at + 1, hour - 2 * WEEK_HOURS), hour):
                self._take(missed, None)
        known = value is not None and isfinite(value) and value >= 0.0
        self._take(hour, min(_MOST, sqrt(value + 0.375)) if known and value is not None else None)

    def _take(self, hour: int, z: float | None) -> None:
        slot, kind = (hour + 72) % WEEK_HOURS, self.calendar(hour)
        base = self._base(hour)
        known = z is not None and base == base
        self._residual[hour % _KEPT] = z - base if z is not None and known else 0.0
        here = hour % _BLOCK
        fast = self._fast(slot, base, kind)
        taught = known and self._seen > WEEK_HOURS and fast == fast
        self._block[here] = (z if known else np.nan, base, fast if taught else np.nan, *self._next)
        self._follow(hour, slot, base, z)
        if z is not None:
            self._learn_week(slot, kind, z)
        self._at = hour
        self._ring[hour % _RING] = self._level
        if here == _BLOCK - 1:
            self._teach(hour)
            self._block[:] = np.nan
        self._next = self._narrow_features(hour + 1)

    def _learn_week(self, slot: int, kind: str, z: float) -> None:
        self._seen += 1
        if kind == ORDINARY:
            self._week.learn(slot, z)
        else:
            self._holidays.learn(kind, self._week.base(slot), self._sunday(slot, self._week.base(slot)), z)

    def _follow(self, hour: int, slot: int, base: float, z: float | None) -> None:
        """Levels of the last hours, and whether today runs like a Sunday."""
        a, sums = self._alike, self._sums
        if hour % 24 == 3:
            for i in range(3):
                a[i] *= 0.3
            a[2] = max(a[2], 1e-6)
        known = z is not None and base == base
        square = base * base if known else 0.0
        # A surprise counts as far as a forecast may follow it.
        product = base * max(-base, min(2.0 * base + 5.0, z - base)) if z is not None and known else 0.0
        for i, fade in enumerate(_FADES):
            sums[i] = fade * sums[i] + product
            sums[i + 5] = fade * sums[i + 5] + square
        own = base * (1.0 + self._level[1])
        self._level = [p / (q + 2.0) for p, q in zip(sums[:5], sums[5:], strict=True)]
        if z is None or not known:
            return
        sunday = self._sunday(slot, base)
        other = sunday * (1.0 + a[3] / (a[4] + 2.0))
        a[0] = 0.85 * a[0] + abs(z - own)
        a[1] = 0.85 * a[1] + abs(z - other)
        a[2] = 0.85 * a[2] + 0.3 + 0.05 * base
        a[3] = 0.4 * a[3] + sunday * (z - sunday)
        a[4] = 0.4 * a[4] + sunday * sunday

    def _teach(self, hour: int) -> None:
        """Regressions and intervals learn from the block that ends with `hour`, each by what would have been said."""
        z, base, fast = (self._block[:, i].astype(np.float64) for i in range(3))
        known = np.isfinite(z)
        taught = np.isfinite(fast)
        if not known.any():
            return
        z, base = np.where(known, z, 0.0), np.where(known, base, 0.0)
        hours = np.arange(hour - _BLOCK + 1, hour + 1)
        wide = self._wide_features(hours, base, np.where(taught, fast, base))
        narrow = np.where(taught[:, None], self._block[:, 3:], 0.0).astype(np.float64)
        wanted = np.where(taught, z - base, 0.0)
        first = int(hours[0]) % 24
        rows = slice(first, first + _BLOCK)
        said = (wide @ self._wide.theta[:, :, None])[:, :, 0]
        said[0] += _NARROW_SHARE * ((narrow * self._narrow.theta[rows]).sum(1) - said[0])
        said = np.where(taught, _held(said, base), 0.0)
        self._measure(rows, (z - base - said).T, known & (np.maximum(base, z) >= _CLOSED))
        if taught.any():
            self._wide.learn(
                slice(0, len(STEPS)), wide, np.broadcast_to(wanted, said.shape), np.broadcast_to(taught, said.shape)
            )
            self._narrow.learn(rows, narrow[:, None, :], wanted[:, None], taught[:, None])

    def _wide_features(self, hours: np.ndarray, base: Many, fast: Many) -> Many:
        """What was known before each of `hours`, by steps: (steps, hours, features)."""
        n, x = len(_FADES), np.empty((len(STEPS), len(hours), _WIDE))
        x[:, :, :n] = self._ring[(hours - _STEPS[:, None]) % _RING] * base[:, None]
        x[:, :, n : n + 3] = self._residual[(hours[:, None] - _LAGS) % _KEPT] * _LAG_KNOWN[:, None, :]
        x[:, :, -1] = fast - base
        return x

    def _measure(self, rows: slice, error: Many, counts: np.ndarray) -> None:
        """Errors (hours, steps) move the quantiles and the usual errors of their hours of the day."""
        usual = self._error[rows]
        below = (error / usual)[:, :, None] < self._points
        self._points += _TRACK * ((_POINTS - below) * counts[:, None, None]).sum(0)
        self._points.sort(axis=1)
        rate = max(0.04, 1.0 / (2.0 + max(0.0, self._seen - WEEK_HOURS) / 24.0))
        usual += (rate * counts)[:, None] * (np.minimum(np.abs(error), 4.0 * usual) - usual)
        np.maximum(usual, np.float32(0.05), out=usual)

    # -- what is known of an hour ------------------------------------------------------------------------------------------

    def _base(self, hour: int) -> float:
        """z of an hour as usual, with what is special about it; NaN before that hour of the week was seen."""
        slot, kind = (hour + 72) % WEEK_HOURS, self.calendar(hour)
        own = self._week.slow[slot]
        return own if kind == ORDINARY or own != own else self._holidays.base(kind, own, self._sunday(slot, own))

    def _fast(self, slot: int, base: float, kind: str) -> float:
        return self._week.fast[slot] if kind == ORDINARY else base

    def _sunday(self, slot: int, base: float) -> float:
        """Profile of the same hour on a Sunday; for a Sunday, on a Saturday."""
        found = self._week.slow[(_SUNDAY if slot < _SUNDAY else _SUNDAY - 24) + slot % 24]
        return found if found == found else base

    def _narrow_features(self, target: int) -> list[float]:
        base = self._base(target)
        if base != base:
            return [0.0] * _NARROW
        slot, kind = (target + 72) % WEEK_HOURS, self.calendar(target)
        fast = self._fast(slot, base, kind)
        like = 0.0
        if kind == ORDINARY:
            a = self._alike
            odds = max(-30.0, min(30.0, 4.0 * ((a[0] - a[1]) / a[2] - 0.15)))
            sunday = self._sunday(slot, base) * (1.0 + a[3] / (a[4] + 2.0))
            like = (sunday - base * (1.0 + self._level[1])) / (1.0 + exp(-odds))
        return [*(level * base for level in self._level[:4]), fast - base, like]

    # -- answers -----------------------------------------------------------------------------------------------------------

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        """Bands for hours after the last one taken in, 1 to FARTHEST. Changes nothing. Empty before any count."""
        if self._at < 0 or not self._seen:
            return []
        wanted = [step for step in steps if 1 <= step <= FARTHEST]
        theta = (_BETWEEN[wanted] @ self._wide.theta).tolist()
        points, found = self._points.tolist(), []
        for step, of in zip(wanted, theta, strict=True):
            k = _REGRESSION[step]
            found.append(_band(step, self._z(step, of), float(self._error[(self._at + step) % 24, k]), points[k]))
        return found

    def knows(self, hour: int) -> bool:
        """Whether that hour of the day was ever measured; nobody is expected in one that was not."""
        base = self._week.base((hour + 72) % WEEK_HOURS)
        return base == base

    def usual(self, hour: int) -> float | None:
        """People in that hour of an ordinary week, whatever the day is; None before any were counted there."""
        z = self._week.slow[(hour + 72) % WEEK_HOURS]
        return _people(z) if z == z else None

    def _z(self, step: int, theta: list[float]) -> float:
        """Median of z, `step` hours after the last, with the coefficients of that step; 0 before anything is known."""
        target = self._at + step
        slot, kind = (target + 72) % WEEK_HOURS, self.calendar(target)
        base = self._base(target)
        if base != base:
            base = self._week.base(slot)
            return base if base == base else 0.0
        fast = self._fast(slot, base, kind)
        if self._seen <= WEEK_HOURS or fast != fast or kind == CLOSED:
            return base
        found = theta[-1] * (fast - base)
        for t, level in zip(theta, self._level, strict=False):
            found += t * level * base
        for t, lag in zip(theta[len(_FADES) :], _LAGGED, strict=False):
            if step <= lag:
                found += t * float(self._residual[(target - lag) % _KEPT])
        if step == 1:
            narrow = sum(t * x for t, x in zip(self._narrow.row(target % 24), self._next, strict=True))
            found += _NARROW_SHARE * (narrow - found)
        return max(0.0, base + max(-base, min(2.0 * base + 5.0, found)))

    # -- state -------------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The state with its version (operators/models.py)."""
        plain = [getattr(self, name).tobytes() for name in _ARRAYS]
        parts = (self._week.state(), self._holidays.state(), self._wide.state(), self._narrow.state())
        return pack(NAME, _PARAMS, msgspec.msgpack.encode((self._at, self._seen, self._level, self._next, plain, *parts)))

    @classmethod
    def from_bytes(cls, data: bytes, calendar: Calendar = plain_days) -> "HourForecast":
        """Raises UnreadableState."""
        model = cls(calendar)
        try:
            at, seen, level, following, plain, week, holidays, wide, narrow = msgspec.msgpack.decode(
                unpack(NAME, _PARAMS, data)
            )
            for name, part in zip(_ARRAYS, plain, strict=True):
                kept = getattr(model, name)
                if isinstance(kept, array):
                    kept[:] = array("d", part)
                else:
                    kept[...] = np.frombuffer(part, kept.dtype).reshape(kept.shape)
            model._week.load(week)
            model._holidays.load(holidays)
            model._wide.load(wide)
            model._narrow.load(narrow)
            model._at, model._seen = int(at), int(seen)
            model._level, model._next = [float(x) for x in level], [float(x) for x in following]
        except (ValueError, TypeError) as error:
            raise UnreadableState(f"model {NAME}: state is damaged ({error})") from error
        return model


_ARRAYS = ("_residual", "_sums", "_ring", "_alike", "_error", "_points", "_block")


def _held(found: Many, base: Many) -> Many:
    """Changes of z within what may be said: never below nobody, never absurd."""
    return np.maximum(-base, np.minimum(2.0 * base + 5.0, found))


def _band(step: int, z: float, spread: float, points: list[float]) -> Band:
    ends = [z + spread * q for q in points]
    return Band(step, _people(z), tuple([e * e - 0.375 if e > _NOBODY else 0.0 for e in ends]))


def _between() -> Many:
    """Shares of the six regressions in the coefficients of each step, by step from 0."""
    steps = np.arange(FARTHEST + 1)
    return np.stack([np.interp(steps, STEPS, row) for row in np.eye(len(STEPS))], axis=1)


def _people(z: float) -> float:
    return max(0.0, z * z - 0.375) if z > 0.0 else 0.0


_BETWEEN = _between()
_REGRESSION = [next((k for k, upper in enumerate(STEPS) if step <= upper), len(STEPS) - 1) for step in range(FARTHEST + 1)]
"""Of each step: the regression whose intervals it has."""

FORECASTERS = (ForecasterSpec(NAME, HourForecast, HourForecast.from_bytes, most_bytes=8192),)
