"""One series as it is forecast: champion and challengers side by side, each held to what it said; the best of late speaks.

A model's error is the mean of |came - said| over about the last hundred hours in which anybody came or was expected; a
challenger speaks once its error is a tenth below the champion's over the same hours, as long as it stays below.
Steps up to `NEAR` follow the errors one hour ahead, farther ones those of a day ahead.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

import msgspec

from operators.challengers import LastWeek, WeekLevel
from operators.forecast import HourForecast
from operators.forecasters import Band, Forecaster
from operators.models import UnreadableState
from operators.special_days import Calendar

NAMES = ("hour-week-regression", "river-week-level", "last-week")
"""The champion and its challengers; `operators/challengers.py` says why river's Holt-Winters is not among them."""
AHEAD = (1, 24)
"""Hours ahead at which errors are kept."""
NEAR = 6
_RATE, _FAST = 0.01, 0.1
"""Weight of the newest hour in an error, and in the error of late."""
_LEAST_HOURS = 72
"""Hours that a challenger has to be judged by."""
_BETTER = 0.9
_INTERVALS = ((2, 3), (1, 4), (0, 5))
"""Points of `operators.forecasters.LEVELS` that bound 50, 80 and 95 %."""
NAN = float("nan")


class Rolling(msgspec.Struct, array_like=True):
    """Errors of one model, people. `late`: over about ten hours. `bias`: came minus said. `champion`: error of the champion
    over the hours of this model. `n`: hours."""

    n: int = 0
    error: float = 0.0
    late: float = 0.0
    bias: float = 0.0
    champion: float = 0.0

    def take(self, came: float, said: float, champion: float) -> None:
        """Judge one hour."""
        self.n += 1
        rate, size = max(_RATE, 1.0 / self.n), abs(came - said)
        self.error += rate * (size - self.error)
        self.bias += rate * (came - said - self.bias)
        self.champion += rate * (abs(came - champion) - self.champion)
        self.late += max(_FAST, 1.0 / self.n) * (size - self.late)


class Record(msgspec.Struct, array_like=True):
    """What the models said some hours ahead and how it went. `said`: hour -> what each model said (NaN: nothing), then the
    points of the one that spoke. `covered`: share of hours within 50, 80 and 95 %. `speaks`: index of the model."""

    rolling: list[Rolling]
    said: dict[int, list[float]] = {}
    covered: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
    n: int = 0
    speaks: int = 0

    def take(self, hour: int, came: float | None) -> None:
        """Judge what was said of an hour; what was said of earlier ones is forgotten."""
        said = self.said.get(hour)
        self.said = {h: s for h, s in self.said.items() if h > hour}
        if said is None or came is None or max(came, said[self.speaks]) < 1.0:
            return
        models, points = said[: len(NAMES)], said[len(NAMES) :]
        for rolling, people in zip(self.rolling, models, strict=True):
            if people == people:
                rolling.take(came, people, models[0])
        self.n += 1
        rate = max(_RATE, 1.0 / self.n)
        for i, (low, high) in enumerate(_INTERVALS):
            self.covered[i] += rate * ((points[low] <= came <= points[high]) - self.covered[i])
        self._choose()

    def _choose(self) -> None:
        shares = [r.error / r.champion if r.champion > 0.0 else 1.0 for r in self.rolling]
        able = [i for i, r in enumerate(self.rolling) if i and r.n >= _LEAST_HOURS]
        best = min(able, key=lambda i: shares[i], default=0)
        if best and shares[best] < _BETTER:
            self.speaks = best
        elif self.speaks and shares[self.speaks] >= 1.0:
            self.speaks = 0


class Told(NamedTuple):
    """A band, and the name of the model that speaks."""

    model: str
    band: Band


class _Saved(msgspec.Struct, array_like=True):
    models: tuple[bytes, bytes, bytes]
    records: list[Record]


class SeriesForecast:
    """Hours as in `operators.forecasters`. Raises UnreadableState where `state` cannot be read."""

    def __init__(self, calendar: Calendar, state: bytes | None = None) -> None:
        if state is None:
            self.champion = HourForecast(calendar)
            self.records = [Record([Rolling() for _ in NAMES]) for _ in AHEAD]
            challengers: list[Forecaster] = [WeekLevel(calendar), LastWeek(calendar)]
        else:
            try:
                saved = msgspec.msgpack.decode(state, type=_Saved)
            except msgspec.DecodeError as error:
                raise UnreadableState(f"forecasts of a series: {error}") from error
            first, second, third = saved.models
            self.champion, self.records = HourForecast.from_bytes(first, calendar), saved.records
            challengers = [WeekLevel.from_bytes(second, calendar), LastWeek.from_bytes(third, calendar)]
        self.models: list[Forecaster] = [self.champion, *challengers]

    def learn(self, hour: int, people: float | None) -> None:
        """Judge what was said of an hour, then take it in. None: not measured. An hour not after the last one is ignored."""
        if hour <= self.champion.at:
            return
        for record in self.records:
            record.take(hour, people if people is not None and isfinite(people) and people >= 0.0 else None)
        for model in self.models:
            model.learn(hour, people)

    def tell(self, steps: Iterable[int]) -> list[Told]:
        """Bands of the model that speaks, by steps in order; and note what all say, to be judged. Left out: hours of the day
        that were never measured."""
        at = self.champion.at
        wanted = [step for step in sorted({*steps, *AHEAD}) if self.champion.knows(at + step)]
        asked: Sequence[Sequence[int]] = [wanted if self._speaks(i) else AHEAD for i in range(len(NAMES))]
        bands = [{b.step: b for b in m.forecast(s)} for m, s in zip(self.models, asked, strict=True)]
        told = [Told(NAMES[i], bands[i][step]) for step in wanted if step in bands[i := self._record(step).speaks]]
        for record, ahead in zip(self.records, AHEAD, strict=True):
            spoken = bands[record.speaks].get(ahead)
            if spoken is not None:
                said = [b[ahead].mean if ahead in b else NAN for b in bands]
                record.said[self.champion.at + ahead] = [*said, *spoken.points]
        return told

    def _speaks(self, model: int) -> bool:
        return any(record.speaks == model for record in self.records)

    def _record(self, step: int) -> Record:
        return self.records[step > NEAR]

    def to_bytes(self) -> bytes:
        """The state; the calendar is no part of it."""
        first, second, third = (m.to_bytes() for m in self.models)
        return msgspec.msgpack.encode(_Saved((first, second, third), self.records))
