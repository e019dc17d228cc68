"""Forecast of a series of hourly counts, hour by hour: median and intervals for the next hours, learnt strictly in order.

All arithmetic is on z = sqrt(count + 3/8). What is kept of a series:

- A *profile* of the civil week, twice: 168 means with weight 0.15 and 0.35. A surprise counts as twice the usual one
  of its hour at most, so that a holiday does not spoil the week after; the same surprise twice running is a new habit.
- *Levels*: how far the last hours were from the profile, five exponential means with memories of one hour to three days.
- *Regressions* (operators/recursive.py) from levels, the same hour one, two and seven days ago, and the faster profile, to what
  came: one for each of six steps (between them coefficients are interpolated), and for the next hour one more for each hour of
  the day, which also looks at whether today runs like a Sunday. The next hour's forecast is the mean of its two.
- *Intervals*: quantiles of past errors, in units of the usual error at that step and hour of the day, tracked online so that
  each covers its share in the long run whatever the series does.
"""

from collections.abc import Sequence
from math import exp, isfinite, sqrt

import msgspec
import numpy as np

from operators.models import UnreadableState, pack, unpack
from operators.recursive import Floats, Regressions

WEEK_HOURS = 168
STEPS = (1, 2, 3, 6, 12, 24)
"""Steps ahead, in hours, that have a regression of their own; farther ones use that of 24."""
FARTHEST = 48
"""Hours ahead that may be asked for."""
NAME = "hour-week-regression"
LEVELS = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)
"""Points of the three central intervals, 95, 80 and 50 %."""
_NORMAL = (-1.96, -1.2816, -0.6745, 0.6745, 1.2816, 1.96)
_RATES = np.array((0.15, 0.35), np.float32)
_FADES = np.array((0.0, 0.4, 0.75, 0.93, 0.985), np.float32)
"""Weight of an hour's past in each level."""
_LAGS = np.array((24, 48, 168))
_KEPT = 192
"""Residuals kept: a week and a day."""
_CLIP = 2.0
_TRACK = 0.02
"""Step of the tracked quantiles, in usual errors."""
_MOST = 3e4
"""Greatest z that is taken in: counts up to 9e8."""
_SUNDAY = 6 * 24
_CLOSED = sqrt(1.375)
"""z of one person: an hour below that is taken to be closed, and would only make the intervals look too wide."""
_PARAMS = {"version": 1.0}
_WIDE, _NARROW = len(_FADES) + len(_LAGS) + 1, 6


class Band(msgspec.Struct, frozen=True, gc=False):
    """People in one hour: median, and the points of `LEVELS`. `step`: hours ahead."""

    step: int
    mean: float
    points: tuple[float, ...]


class HourForecast:
    """One series. Hours are whole hours of the civil clock since 1970-01-01 00:00, without zone."""

    def __init__(self) -> None:
        self._at = -1
        self._seen = 0
        self._profile = np.full((2, WEEK_HOURS), np.nan, np.float32)
        self._usual = np.zeros(WEEK_HOURS, np.float16)
        self._times = np.zeros(WEEK_HOURS, np.uint8)
        self._way = np.zeros(WEEK_HOURS, np.int8)
        self._residual = np.zeros(_KEPT, np.float16)
        self._sums = np.zeros((2, len(_FADES)), np.float32)
        self._levels = np.zeros((STEPS[-1], len(_FADES)), np.float16)
        self._alike = np.zeros(5, np.float32)  # errors as usual and as a Sunday, their scale, the Sunday level's two sums
        self._alike[2] = 1.0
        self._narrow_x = np.zeros(_NARROW, np.float32)
        first = np.zeros((len(STEPS), _WIDE), np.float32)
        first[:, 2] = 0.9 ** np.array(STEPS)
        self._wide = Regressions(first, 0.999, 10.0, 0.01)
        start = np.zeros((24, _NARROW), np.float32)
        start[:, 1], start[:, 5] = 0.9, 0.7
        self._narrow = Regressions(start, 0.99, 3.0, 0.05)
        self._told = np.full((len(STEPS), STEPS[-1]), np.nan, np.float16)
        self._error = np.ones((len(STEPS), 24), np.float32)
        self._points = np.tile(np.array(_NORMAL, np.float32) * np.float32(1.25), (len(STEPS), 1))

    @property
    def at(self) -> int:
        """The last hour taken in; -1 before any."""
        return self._at

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
        slot = (hour + 72) % WEEK_HOURS
        base = float(self._profile[0, slot])
        if z is not None and base == base:
            self._teach(hour, slot, base, z)
        self._residual[hour % _KEPT] = z - base if z is not None and base == base else 0.0
        self._follow(hour, slot, base, z)
        if z is not None:
            self._learn_profile(slot, z)
        self._at = hour
        self._levels[hour % STEPS[-1]] = self._sums[0] / (self._sums[1] + np.float32(2.0))
        self._foretell(hour)

    def _teach(self, hour: int, slot: int, base: float, z: float) -> None:
        """Regressions and intervals learn from the forecasts that were made for this hour."""
        if self._seen > WEEK_HOURS:
            self._wide.learn(slice(0, len(STEPS)), self._features(hour, base, np.array(STEPS)), z - base)
            self._narrow.learn(hour % 24, self._narrow_x[None, :], z - base)
        made = self._told[np.arange(len(STEPS)), (hour - np.array(STEPS)) % STEPS[-1]]
        known = np.isfinite(made)
        if max(base, z) < _CLOSED or not known.any():
            return
        usual = self._error[:, hour % 24]
        error = np.where(known, z - made, np.float32(0.0))
        unit = error / usual
        below = unit[:, None] < self._points
        moved = np.float32(_TRACK) * (np.array(LEVELS, np.float32) - below)
        self._points += np.where(known[:, None], moved, np.float32(0.0))
        self._points[:] = np.sort(self._points, axis=1)
        size = np.minimum(np.abs(error), 4 * usual)
        usual += np.where(known, np.float32(0.04) * (size - usual), np.float32(0.0))
        np.maximum(usual, np.float32(0.05), out=usual)

    def _features(self, target: int, base: float, steps: np.ndarray) -> Floats:
        """What was known `steps` hours before `target`, a row for each."""
        x = np.empty((len(steps), _WIDE), np.float32)
        n = len(_FADES)
        x[:, :n] = self._levels[(target - np.minimum(steps, STEPS[-1])) % STEPS[-1]] * np.float32(base)
        x[:, n : n + 3] = np.where(steps[:, None] <= _LAGS, self._residual[(target - _LAGS) % _KEPT], np.float32(0.0))
        x[:, -1] = self._profile[1, (target + 72) % WEEK_HOURS] - base
        return x

    def _follow(self, hour: int, slot: int, base: float, z: float | None) -> None:
        """Levels of the last hours, and whether today runs like a Sunday."""
        if hour % 24 == 3:
            self._alike[:3] *= np.float32(0.3)
        if z is None or base != base:
            self._sums *= _FADES
            return
        sunday = self._sunday(slot, base)
        own = base * (1.0 + float(self._sums[0, 1] / (self._sums[1, 1] + 2.0)))
        other = sunday * (1.0 + float(self._alike[3] / (self._alike[4] + 2.0)))
        a = self._alike
        a[0] = 0.85 * a[0] + abs(z - own)
        a[1] = 0.85 * a[1] + abs(z - other)
        a[2] = 0.85 * a[2] + 0.3 + 0.05 * base
        a[3] = 0.4 * a[3] + sunday * (z - sunday)
        a[4] = 0.4 * a[4] + sunday * sunday
        self._sums *= _FADES
        self._sums[0] += np.float32(base * (z - base))
        self._sums[1] += np.float32(base * base)

    def _sunday(self, slot: int, base: float) -> float:
        """Profile of the same hour on a Sunday; for a Sunday, on a Saturday."""
        day = _SUNDAY if slot < _SUNDAY else _SUNDAY - 24
        found = float(self._profile[0, day + slot % 24])
        return found if found == found else base

    def _learn_profile(self, slot: int, z: float) -> None:
        self._seen += 1
        times = int(self._times[slot])
        self._times[slot] = min(times + 1, 255)
        if not times:
            self._profile[:, slot] = z
            return
        error = z - float(self._profile[0, slot])
        usual = float(self._usual[slot])
        taught = error
        if usual > 0.0:
            most = _CLIP * usual
            out = abs(error) > most
            way = (1 if error > 0.0 else -1) if out else 0
            taught = 0.7 * error if out and self._way[slot] == way else max(-most, min(most, error))
            self._way[slot] = way
        size = abs(error) + 1e-3
        self._usual[slot] = max(0.05, usual + 0.1 * (min(size, 4.0 * usual) - usual) if usual > 0.0 else size)
        rates = np.maximum(_RATES, np.float32(1.0 / (times + 1)))
        # The second profile is taught the same clipped surprise, seen from where it stands itself.
        self._profile[:, slot] += rates * (self._profile[0, slot] + np.float32(taught) - self._profile[:, slot])

    def _foretell(self, hour: int) -> None:
        """Keep what is said for the steps that have a regression; intervals and the next hour's regression learn from it."""
        target = hour + 1
        base = float(self._profile[0, (target + 72) % WEEK_HOURS])
        if base == base:
            level = self._levels[hour % STEPS[-1]] * np.float32(base)
            self._narrow_x[:4] = level[:4]
            self._narrow_x[4] = self._profile[1, (target + 72) % WEEK_HOURS] - base
            self._narrow_x[5] = self._like_sunday(target, base)
        for k, step in enumerate(STEPS):
            self._told[k, hour % STEPS[-1]] = self._z(step)

    def _like_sunday(self, target: int, base: float) -> float:
        a = self._alike
        odds = max(-30.0, min(30.0, 4.0 * (float((a[0] - a[1]) / a[2]) - 0.15)))
        own = base * (1.0 + float(self._sums[0, 1] / (self._sums[1, 1] + 2.0)))
        sunday = self._sunday((target + 72) % WEEK_HOURS, base) * (1.0 + float(a[3] / (a[4] + 2.0)))
        return (sunday - own) / (1.0 + exp(-odds))

    def _z(self, step: int) -> float:
        """Median of z, `step` hours after the last; NaN before anything is known."""
        target = self._at + step
        base = self._base(target)
        if base != base or self._seen <= WEEK_HOURS:
            return base
        x = self._features(target, base, np.array((step,)))[0]
        if x[-1] != x[-1]:
            return base
        found = float(x @ self._coefficients(step))
        if step == 1:
            found = 0.5 * (found + float(self._narrow_x @ self._narrow.theta[target % 24]))
        return max(0.0, base + max(-base, min(2.0 * base + 5.0, found)))

    def _base(self, target: int) -> float:
        """Profile of an hour; of the same hour on the days that are known while it is not."""
        base = float(self._profile[0, (target + 72) % WEEK_HOURS])
        if base != base:
            others = self._profile[0, target % 24 :: 24]
            known = others[np.isfinite(others)]
            base = float(known.mean()) if len(known) else float("nan")
        return base

    def _coefficients(self, step: int) -> Floats:
        theta = self._wide.theta
        k = int(np.searchsorted(STEPS, step))
        if k == len(STEPS) or STEPS[k] == step:
            found: Floats = theta[min(k, len(STEPS) - 1)]
            return found
        share = np.float32((step - STEPS[k - 1]) / (STEPS[k] - STEPS[k - 1]))
        between: Floats = theta[k - 1] * (1 - share) + theta[k] * share
        return between

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        """Bands for hours after the last one taken in, 1 to FARTHEST. Changes nothing. Empty before any count."""
        if self._at < 0 or not self._seen:
            return []
        return [self._band(step) for step in steps if 1 <= step <= FARTHEST]

    def _band(self, step: int) -> Band:
        z = self._z(step)
        z = 0.0 if z != z else z
        k = next((k for k, upper in enumerate(STEPS) if step <= upper), len(STEPS) - 1)
        spread = float(self._error[k, (self._at + step) % 24])
        points = tuple(_people(z + spread * float(q)) for q in self._points[k])
        return Band(step, _people(z), points)

    def to_bytes(self) -> bytes:
        """The state with its version (operators/models.py)."""
        plain = [getattr(self, name).tobytes() for name in _ARRAYS]
        return pack(
            NAME, _PARAMS, msgspec.msgpack.encode((self._at, self._seen, plain, self._wide.state(), self._narrow.state()))
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "HourForecast":
        """Raises UnreadableState."""
        model = cls()
        try:
            at, seen, plain, wide, narrow = msgspec.msgpack.decode(unpack(NAME, _PARAMS, data))
            for name, part in zip(_ARRAYS, plain, strict=True):
                kept = getattr(model, name)
                kept[...] = np.frombuffer(part, kept.dtype).reshape(kept.shape)
            model._wide.load(wide)
            model._narrow.load(narrow)
            model._at, model._seen = int(at), int(seen)
        except (ValueError, TypeError) as error:
            raise UnreadableState(f"model {NAME}: state is damaged ({error})") from error
        return model


_ARRAYS = (
    "_profile",
    "_usual",
    "_times",
    "_way",
    "_residual",
    "_sums",
    "_levels",
    "_alike",
    "_narrow_x",
    "_told",
    "_error",
    "_points",
)


def _people(z: float) -> float:
    return max(0.0, z * z - 0.375) if z > 0.0 else 0.0
