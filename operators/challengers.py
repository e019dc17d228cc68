"""Plain forecasters beside the champion: same hour of last week, river's means by hour of the week, river's Holt-Winters.

They tell their intervals by the tracked quantiles of their own past errors of z = sqrt(count + 3/8). River's Holt-Winters
begins its additive season as ratios and runs away on closed hours (seen in 0.26.1): it is taught z + 1, its answers are held
within three times the greatest z of late, and it begins anew when they are no numbers.
"""

import pickle
from array import array
from collections.abc import Sequence
from math import isfinite, sqrt
from typing import Any

import msgspec

from operators.forecasters import FARTHEST, LEVELS, Band, ForecasterSpec
from operators.models import UnreadableState, pack, unpack
from operators.special_days import Calendar
from operators.week_profile import WEEK_HOURS

LAST_WEEK, WEEK_LEVEL, HOLT_WINTERS = "last-week", "river-week-level", "river-holt-winters"
_NORMAL = (-1.96, -1.2816, -0.6745, 0.6745, 1.2816, 1.96)
_TRACK = 0.02
_MOST = 1e4
_CLOSED = 1.2
_PARAMS = {"version": 1.0}
NAN = float("nan")


class _Errors:
    """Quantiles of the errors of one step, in units of the usual error."""

    __slots__ = ("points", "usual")

    def __init__(self) -> None:
        self.points = array("d", (1.25 * q for q in _NORMAL))
        self.usual = 1.0

    def learn(self, z: float, said: float) -> None:
        """Closed hours, of less than a person, would only make the intervals look too wide."""
        error = z - said
        if max(z, said) < _CLOSED:
            return
        unit = error / self.usual
        moved = sorted(p + _TRACK * (level - (unit < p)) for p, level in zip(self.points, LEVELS, strict=True))
        self.points = array("d", moved)
        self.usual = max(0.05, self.usual + 0.02 * (min(abs(error), 4.0 * self.usual) - self.usual))


class LastWeek:
    """The same hour of last week; of the week before where that was not measured."""

    def __init__(self, calendar: Calendar) -> None:
        self._at = -1
        self._z = array("f", [NAN]) * WEEK_HOURS
        self._errors = _Errors()

    @property
    def at(self) -> int:
        return self._at

    def learn(self, hour: int, value: float | None) -> None:
        if hour <= self._at:
            return
        z, slot = _z(value), hour % WEEK_HOURS
        if z is not None:
            if self._z[slot] == self._z[slot]:
                self._errors.learn(z, self._z[slot])
            self._z[slot] = z
        self._at = hour

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        if self._at < 0:
            return []
        found = ((step, self._z[(self._at + step) % WEEK_HOURS]) for step in steps if 1 <= step <= FARTHEST)
        return [_band(step, z, self._errors, 1.0) for step, z in found if z == z]

    def to_bytes(self) -> bytes:
        e = self._errors
        return pack(LAST_WEEK, _PARAMS, msgspec.msgpack.encode((self._at, self._z.tobytes(), e.points.tobytes(), e.usual)))

    @classmethod
    def from_bytes(cls, data: bytes, calendar: Calendar) -> "LastWeek":
        """Raises UnreadableState."""
        model = cls(calendar)
        try:
            at, z, points, usual = msgspec.msgpack.decode(unpack(LAST_WEEK, _PARAMS, data))
            model._at, model._z = int(at), array("f", z)
            model._errors.points, model._errors.usual = array("d", points), float(usual)
            if len(model._z) != WEEK_HOURS or len(model._errors.points) != len(LEVELS):
                raise ValueError("another size")
        except (ValueError, TypeError) as error:
            raise UnreadableState(f"model {LAST_WEEK}: state is damaged ({error})") from error
        return model


class WeekLevel:
    """River's exponential mean of each hour of the week, times the level of the last hours: the best plain model of our
    comparison (streaming.md 6). r = (sum of 0.6^k y + 5) / (sum of 0.6^k mean + 5); the forecast is mean times r^(0.9^step)."""

    def __init__(self, calendar: Calendar) -> None:
        self._at, self._came, self._meant = -1, 0.0, 0.0
        self._means = array("d", [NAN]) * WEEK_HOURS
        """Not river's objects: 168 of them take 30 kB a series."""
        self._errors = _Errors()

    @property
    def at(self) -> int:
        return self._at

    def learn(self, hour: int, value: float | None) -> None:
        if hour <= self._at:
            return
        for band in self.forecast((hour - self._at,)) if self._at >= 0 and hour - self._at == 1 else ():
            if _z(value) is not None:
                self._errors.learn(_z(value) or 0.0, sqrt(band.mean + 0.375))
        self._at = hour
        if _z(value) is None or value is None:
            return
        slot, taught = hour % WEEK_HOURS, min(float(value), _MOST**2)
        before = self._means[slot]
        mean = _mean(before)
        if before == before:
            self._came, self._meant = 0.6 * self._came + taught, 0.6 * self._meant + before
        mean.update(taught)
        self._means[slot] = mean.get()

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        level = (self._came + 5.0) / (self._meant + 5.0)
        found = []
        for step in steps:
            mean = self._means[(self._at + step) % WEEK_HOURS]
            if 1 <= step <= FARTHEST and mean == mean:
                people = min(_MOST**2, mean * level ** (0.9**step))
                found.append(_band(step, sqrt(max(0.0, people) + 0.375), self._errors, sqrt(min(step, 2))))
        return found

    def to_bytes(self) -> bytes:
        e = self._errors
        state = (self._at, self._came, self._meant, self._means.tobytes(), e.points.tobytes(), e.usual)
        return pack(WEEK_LEVEL, _PARAMS, msgspec.msgpack.encode(state))

    @classmethod
    def from_bytes(cls, data: bytes, calendar: Calendar) -> "WeekLevel":
        """Raises UnreadableState."""
        model = cls(calendar)
        try:
            at, came, meant, means, points, usual = msgspec.msgpack.decode(unpack(WEEK_LEVEL, _PARAMS, data))
            model._at, model._came, model._meant = int(at), float(came), float(meant)
            model._means = array("d", means)
            model._errors.points, model._errors.usual = array("d", points), float(usual)
            if len(model._means) != WEEK_HOURS or len(model._errors.points) != len(LEVELS):
                raise ValueError("another size")
        except (ValueError, TypeError) as error:
            raise UnreadableState(f"model {WEEK_LEVEL}: state is damaged ({error})") from error
        return model


def _mean(value: float) -> Any:
    """River's mean that stands at a value; NaN: a fresh one."""
    from river import stats  # 0.6 s and 31 MiB; only lanes that forecast need it

    mean = stats.EWMean(0.15)
    if value == value:
        mean.update(value)
    return mean


class HoltWinters:
    """River's HoltWinters of a day of 24 hours, guarded."""

    def __init__(self, calendar: Calendar) -> None:
        self._at, self._taught, self._greatest = -1, 0, 1.0
        self._model = _holt_winters()
        self._errors = _Errors()

    @property
    def at(self) -> int:
        return self._at

    def learn(self, hour: int, value: float | None) -> None:
        if hour <= self._at:
            return
        for missed in range(max(self._at + 1, hour - 24) if self._at >= 0 else hour, hour):
            self._take(missed, None)
        self._take(hour, _z(value))

    def _take(self, hour: int, z: float | None) -> None:
        """River has no notion of a missing hour: it is taught what it would have said itself."""
        said = self._said(1)
        if z is not None:
            if said:
                self._errors.learn(z, said[-1])
            self._greatest = max(1.0, z, 0.999 * self._greatest)
        taught = z if z is not None else said[-1] if said else None
        self._at = hour
        if taught is not None:
            self._model.learn_one(taught + 1.0)
            self._taught += 1

    def _said(self, horizon: int) -> list[float]:
        if self._taught <= 24:
            return []
        most = 3.0 * self._greatest
        found = [float(x) - 1.0 for x in self._model.forecast(horizon)]
        if not all(isfinite(x) and abs(x) < 10.0 * most for x in found):
            self._model, self._taught = _holt_winters(), 0
            return []
        return [max(0.0, min(most, x)) for x in found]

    def forecast(self, steps: Sequence[int]) -> list[Band]:
        wanted = [step for step in steps if 1 <= step <= FARTHEST]
        said = self._said(max(wanted)) if wanted else []
        # Errors are known of the next hour; they grow with the root of the steps until a day ahead.
        return [_band(s, said[s - 1], self._errors, sqrt(min(s, 24))) for s in wanted] if said else []

    def to_bytes(self) -> bytes:
        e = self._errors
        state = (self._at, self._taught, self._greatest, pickle.dumps(self._model, 5), e.points.tobytes(), e.usual)
        return pack(HOLT_WINTERS, _PARAMS, msgspec.msgpack.encode(state))

    @classmethod
    def from_bytes(cls, data: bytes, calendar: Calendar) -> "HoltWinters":
        """Raises UnreadableState. Only our own stored states may come here: it unpickles."""
        model, blob = cls(calendar), unpack(HOLT_WINTERS, _PARAMS, data)
        try:
            model._at, model._taught, model._greatest, kept, points, usual = msgspec.msgpack.decode(blob)
            model._model = pickle.loads(kept)
            model._errors.points, model._errors.usual = array("d", points), float(usual)
        except Exception as error:  # a damaged pickle may raise anything
            raise UnreadableState(f"model {HOLT_WINTERS}: state is damaged ({type(error).__name__}: {error})") from error
        return model


def _holt_winters() -> Any:
    from river.time_series import HoltWinters as River  # 5 s and 90 MiB, which is why no lane has it among its challengers

    return River(alpha=0.2, beta=0.01, gamma=0.2, seasonality=24)


def _z(value: float | None) -> float | None:
    if value is None or not isfinite(value) or value < 0.0:
        return None
    return min(_MOST, sqrt(value + 0.375))


def _band(step: int, z: float, errors: _Errors, wider: float) -> Band:
    spread = errors.usual * wider
    return Band(step, _people(z), tuple(_people(z + spread * q) for q in errors.points))


def _people(z: float) -> float:
    return max(0.0, z * z - 0.375) if z > 0.0 else 0.0


FORECASTERS = (
    ForecasterSpec(LAST_WEEK, LastWeek, LastWeek.from_bytes, most_bytes=1024),
    ForecasterSpec(WEEK_LEVEL, WeekLevel, WeekLevel.from_bytes, most_bytes=2048),
    ForecasterSpec(HOLT_WINTERS, HoltWinters, HoltWinters.from_bytes, most_bytes=4096),
)
