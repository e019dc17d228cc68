"""Unusual traffic of a store: a Gaussian score of each quarter of an hour against the same quarter of its usual week.

Counts are made comparable by y = 2 sqrt(x + 3/8) (Anscombe 1948): a Poisson count then has a standard deviation of one,
whatever its mean. Per quarter of the week an exponential mean of y; over the residuals of all open quarters river's
exponential mean and variance; z = residual in standard deviations; score = |z| / (|z| + 3.5), which never saturates.
A square-root residual on a week profile beat every river detector in our comparison (streaming.md 6).
"""

import pickle
from array import array
from collections.abc import Sequence
from functools import lru_cache
from math import hypot, isfinite, sqrt
from types import ModuleType

from operators.models import WEEK, ModelSpec, Point, Score, UnreadableState, pack, unpack

Z_ONCE = 3.5
"""Standard deviations that are unusual at once (kpis.md 3.5); the score is 0.5 there."""
Z_OFTEN = 2.5
"""Standard deviations that are unusual when three of four quarters have them (kpis.md 3.5)."""
_NAME = "week-slot-gauss"
_RATE = 0.15
"""Weight of the newest week in a slot: a memory of about six weeks."""
_FADING = 0.005
"""Weight of the newest quarter in the residuals' mean and variance: a memory of some 200 open quarters."""
_CLIP = 3.0
"""Standard deviations at which a surprise stops to teach, unless the same slot surprised the same way the week before."""
_EARLY = 96
"""Learnt open quarters before the measured spread is trusted alone."""
_EARLY_SPREAD = 2.0
"""Least standard deviation until then; 1 is what a Poisson count has."""
_BORROWED = 0.5
"""Extra spread, as a share of the level, while a slot is judged by other days: the first Sunday may well be closed."""
_SCALE = 64
"""Steps per unit of y in the stored profile; 14 bits hold y < 256, 16,383 people in a quarter of an hour."""
_MOST = (1 << 14) - 1
_CLOSED_Y = 2.0 * sqrt(1.0 + 0.375)
"""y of one person: a slot that expects less than that is taken to be closed."""
_Z90 = 1.6448536269514722
_PARAMS = {"rate": _RATE, "fading": _FADING, "scale": float(_SCALE), "clip": _CLIP}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@lru_cache(maxsize=1)
def _stats() -> ModuleType:
    # On first use: importing it takes 0.6 s and 31 MiB, river.anomaly 5 s and 105 MiB; only lanes that run this flow need it.
    from river import stats

    return stats  # type: ignore[no-any-return]  # river has no types


def _stable(value: float) -> float:
    return 2.0 * sqrt(value + 0.375)


def _people(y: float) -> float:
    return max(0.0, y * y / 4.0 - 0.375) if y > 0.0 else 0.0


def _measured(value: float | None) -> bool:
    return value is not None and isfinite(value) and value >= 0.0


class WeekSlotGauss:
    """One store's usual week. State: 672 slots of two bytes (14 bits level, 2 bits which way the last value surprised; 0 is
    unseen), two river statistics and a counter; under 2 kB."""

    __slots__ = ("_learnt", "_mean", "_opened", "_slots", "_variance")

    def __init__(self) -> None:
        self._slots = array("H", bytes(2 * WEEK))
        self._learnt = 0
        self._opened = 0
        self._mean = _stats().EWMean(_FADING)
        self._variance = _stats().EWVar(_FADING)

    def score(self, x: Point) -> Score:
        """0 for what was not measured and while nothing is known of the slot."""
        slot = x.slot % WEEK
        level = self._level(slot)
        if level is None:
            return Score(0.0)
        shift, spread = self._residuals(level)
        if not self._slots[slot]:
            spread = hypot(spread, _BORROWED * level)
        centre = level + shift
        low, expected, high = (_people(centre + k * _Z90 * spread) for k in (-1, 0, 1))
        if x.value is None or not _measured(x.value):
            return Score(0.0, expected, low, high)
        z = abs(_stable(x.value) - centre) / spread
        return Score(z / (z + Z_ONCE), expected, low, high)

    def learn(self, x: Point) -> None:
        """Take a quarter in; one that was not measured teaches nothing."""
        if x.value is None or not _measured(x.value):
            return
        slot, y = x.slot % WEEK, _stable(x.value)
        stored = self._slots[slot] & _MOST
        if stored:
            self._learn_slot(slot, stored / _SCALE, y)
        else:
            self._store(slot, y, 0)
        self._learnt += 1

    def _learn_slot(self, slot: int, level: float, y: float) -> None:
        _, spread = self._residuals(level)
        residual = y - level
        clipped = max(-_CLIP * spread, min(_CLIP * spread, residual))
        if max(level, y) >= _CLOSED_Y:
            self._mean.update(clipped)
            self._variance.update(clipped)
            self._opened += 1
        way = 0 if clipped == residual else 1 if residual > 0.0 else 2
        if way and self._slots[slot] >> 14 == way:
            # The second week in a row: not an odd day but a new habit (other hours, a new entrance).
            self._store(slot, level + 0.5 * residual, way)
            return
        rate = max(_RATE, 1.0 / (self._learnt // WEEK + 1.0))
        self._store(slot, level + rate * clipped, way)

    def _store(self, slot: int, y: float, way: int) -> None:
        self._slots[slot] = way << 14 | max(1, min(_MOST, round(y * _SCALE)))

    def _level(self, slot: int) -> float | None:
        """Usual y of a slot; of the same time on the days that are known while the slot is not; None without any."""
        own = self._slots[slot] & _MOST
        if own:
            return own / _SCALE
        others = [level for level in (v & _MOST for v in self._slots[slot % 96 :: 96]) if level]
        return sum(others) / len(others) / _SCALE if others else None

    def _residuals(self, level: float) -> tuple[float, float]:
        """Mean and standard deviation to hold a residual against.

        A closed slot is not judged by the spread of the open ones: someone at three in the morning is unusual.
        """
        if level < _CLOSED_Y:
            return 0.0, 1.0
        least = 1.0 if self._opened >= _EARLY else _EARLY_SPREAD
        if not self._opened:
            return 0.0, least
        shift = max(-1.0, min(1.0, self._mean.get()))
        return shift, max(least, sqrt(max(0.0, self._variance.get())))

    def to_bytes(self) -> bytes:
        state = (self._slots.tobytes(), self._learnt, self._opened, self._mean, self._variance)
        return pack(_NAME, _PARAMS, pickle.dumps(state, protocol=5))

    @classmethod
    def from_bytes(cls, data: bytes) -> "WeekSlotGauss":
        """Raises UnreadableState. Only our own stored states may come here: it unpickles."""
        blob = unpack(_NAME, _PARAMS, data)
        model = cls()
        try:
            slots, model._learnt, model._opened, model._mean, model._variance = pickle.loads(blob)
            model._slots = array("H", slots)
            readable = len(model._slots) == WEEK and isfinite(model._mean.get() + model._variance.get() + model._learnt)
        except Exception as error:  # a damaged pickle may raise anything
            raise UnreadableState(f"model {_NAME}: state is damaged ({type(error).__name__}: {error})") from error
        if not readable:
            raise UnreadableState(f"model {_NAME}: state is damaged")
        return model

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return WeekSlotGauss.from_bytes, (self.to_bytes(),)


def score_of(z: float) -> float:
    """The score of a deviation in standard deviations."""
    return abs(z) / (abs(z) + Z_ONCE)


def unusual(scores: Sequence[float]) -> bool:
    """Whether the newest scores (oldest first) call for an alarm: the last one at 3.5 standard deviations, or three of the
    last four at 2.5 (kpis.md 3.5)."""
    if not scores:
        return False
    return scores[-1] >= score_of(Z_ONCE) or sum(s >= score_of(Z_OFTEN) for s in scores[-4:]) >= 3


def reason(score: Score, value: float | None, slot: int) -> str:
    """What happened, in plain words.

    >>> reason(Score(0.6, 57.0, 40.2, 75.3), 140, 4 * 96 + 60)
    '140 in the last quarter of an hour, usual 40 to 75 on a Friday'
    """
    if value is None or not _measured(value):
        return "no count in the last quarter of an hour"
    said = f"{value:.0f} in the last quarter of an hour"
    if score.low is None or score.high is None:
        return f"{said}, nothing to compare with yet"
    low, high = f"{score.low:.0f}", f"{score.high:.0f}"
    usual = low if low == high else f"{low} to {high}"
    return f"{said}, usual {usual} on a {_DAYS[slot % WEEK // 96]}"


MODELS = (ModelSpec(_NAME, WeekSlotGauss, WeekSlotGauss.from_bytes, most_bytes=2048),)
