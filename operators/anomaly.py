"""Unusual values of a series, learnt strictly in order, on one scale for all series.

Two models know the same usual week (operators/slot_profile.py):

- *Counts* (operators/count_runs.py): people in a rhythm. Likelihood of the last one, two and four slots together, and of a
  number that stays the same.
- *Values* (operators/value_spread.py): anything else. Distance from the values before, and from the usual one of its time.

The data choose. A series whose values are all whole and not negative is taken for counts while it is young, if it has quiet
hours; after two weeks, if its usual week explains it: mean error at most 0.65 of that of the mean alone (pedestrian and door
counts 0.3 to 0.6, everything else 0.7 and more). What a deviation means, the series' own past says (operators/score_tail.py).
"""

from array import array
from collections.abc import Sequence
from math import exp, isfinite, log, sqrt

from operators.count_runs import RUNS, Z90, CountRuns, Run, usual_range
from operators.models import WEEK, Evidence, ModelSpec, Point, Score, UnreadableState, pack, unpack
from operators.score_tail import ScoreTail
from operators.slot_profile import SlotProfile
from operators.value_spread import ValueSpread

SURPRISE = 7.0
"""Surprise (operators/score_tail.py) with score 0.5: one stretch in 1,100 slots reaches as far."""
_WORTH_WORDS = 0.2
"""Score from which evidence is given."""
_NAME = "count-likelihood"
_PARAMS = {"version": 1.0}
_RATE = 0.2
"""Weight of the newest week in a slot."""
_CLIP = 4.0
"""Standard deviations at which a surprise stops to teach, unless the same slot surprised the same way the week before."""
_NEW_HABIT = 0.5
_YOUNG = 14 * 86_400
"""Seconds until the usual week is judged."""
_RHYTHM = 0.65
_NEAR = 0.9
"""From there on it is learnt as counts, too."""
_QUIET, _QUIET_SHARE = 0.1, 0.05
"""Quiet: at most a tenth of the mean; a young series of counts is so in at least one slot of twenty."""
_FORGETS = 0.003
_SURE = 6.0
"""Weeks after which a slot's mean gets no better."""
_MOST = 1e9
_FIELDS = ("_learnt", "_begin", "_newest", "_step", "_counts", "_quiet", "_compared", "_week_error", "_mean_error")
_TAIL = 6


class Anomaly:
    """One series. State: 672 slots of two bytes, some forty numbers; under 2 kB."""

    def __init__(self) -> None:
        self._learnt = self._begin = self._newest = self._step = self._quiet = 0.0
        self._counts = 1.0
        self._compared = self._week_error = self._mean_error = 0.0
        self._said: tuple[tuple[float, ...], list[Run], float] = ((), [], 0.0)
        self._profile, self._runs, self._values = SlotProfile(), CountRuns(), ValueSpread()
        self._count_tail, self._value_tail = ScoreTail(), ScoreTail()

    # -- answers -----------------------------------------------------------------------------------------------------------

    def score(self, x: Point, before: Sequence[Point] = ()) -> Score:
        """0 for what was not measured and while nothing is known."""
        slot, value = x.slot % WEEK, _measured(x.value)
        usual = self._profile.usual(slot)
        if self.by_counts():
            return Score(0.0) if usual is None else self._count_score(x, slot, value, usual, before)
        return self._value_score(slot, value)

    def by_counts(self) -> bool:
        """Whether the series is judged as counts of people, as far as is known."""
        if not self._counts:
            return False
        if self._young():
            return self._quiet >= _QUIET_SHARE * self._learnt
        return self._week_error < _RHYTHM * self._mean_error

    def _young(self) -> bool:
        return self._newest - self._begin < _YOUNG

    def _count_score(self, x: Point, slot: int, value: float | None, usual: float, before: Sequence[Point]) -> Score:
        runs = self._caught_up(before) if before else None
        sure = self._sure(slot)
        expected = (runs or self._runs).expected(usual)
        low, high = usual_range(expected, self._runs.phi[0] / (sure * sure))
        if value is None or value < 0.0:
            return Score(0.0, expected, low, high)
        if runs:
            found, same = runs.runs(x.start, value, usual, self._step, sure), runs.same(value, usual)
        else:
            found, same = self._judged(x.start, slot, value, usual)
        most = max(found, key=_size)
        surprise = self._count_tail.surprise(max(same, abs(most.z)))
        score = surprise / (surprise + SURPRISE)
        if score < _WORTH_WORDS:
            return Score(score, expected, low, high)
        if same > abs(most.z):
            return Score(score, expected, low, high, Evidence("stuck", 1, value, low, high))
        kind = "surge" if most.z > 0.0 else "drop" if most.people else "dead"
        usual_sum = usual_range(most.expected, most.phi / (sure * sure))
        return Score(score, expected, low, high, Evidence(kind, RUNS[most.which], most.people, *usual_sum))

    def _judged(self, start: int, slot: int, value: float, usual: float) -> tuple[list[Run], float]:
        """Runs and sameness of the slot after the last one; kept, since what is scored is learnt next as a rule."""
        key = (start, value, self._learnt, self._step)
        if self._said[0] != key:
            found = self._runs.runs(start, value, usual, self._step, self._sure(slot))
            self._said = key, found, self._runs.same(value, usual)
        return self._said[1], self._said[2]

    def _caught_up(self, before: Sequence[Point]) -> CountRuns:
        runs = self._runs.copy()
        for x in before:
            value, usual = _measured(x.value), self._profile.usual(x.slot % WEEK)
            if value is not None and value >= 0.0 and usual is not None:
                runs.learn(x.start, value, usual, (), False)
        return runs

    def _value_score(self, slot: int, value: float | None) -> Score:
        usual = self._profile.usual(slot) if self._profile.own(slot) else None
        band = self._values.range(usual, Z90) if self._learnt else (None, None, None)
        low, expected, high = band
        if value is None or low is None or high is None or expected is None:
            return Score(0.0, expected, low, high)
        surprise = self._values.news(self._value_tail.surprise(self._values.z(value, usual)))
        evidence = Evidence("surge" if value > expected else "drop", 1, value, low, high)
        return Score(surprise / (surprise + SURPRISE), expected, low, high, evidence)

    def _sure(self, slot: int) -> float:
        """An expected count is an estimate itself: after n weeks its variance is that of a count / n."""
        if not self._profile.own(slot):
            return 1.0 / sqrt(3.0)
        return 1.0 / sqrt(1.0 + 1.0 / min(_SURE, max(1.0, self._learnt / self._profile.used)))

    # -- learning ----------------------------------------------------------------------------------------------------------

    def learn(self, x: Point) -> None:
        """Take a value in; one that was not measured teaches nothing."""
        value, slot = _measured(x.value), x.slot % WEEK
        if value is None:
            return
        self._see_time(x.start)
        if value < 0.0 or value != int(value):
            self._counts = 0.0
        self._quiet += value <= _QUIET * self._values.mean
        by_counts, usual, own = self.by_counts(), self._profile.usual(slot), self._profile.own(slot)
        off = abs(value - self._values.mean)
        self._learn_value(value, usual if own else None, not by_counts or self._young())
        if usual is None:
            self._learnt += 1.0
            self._profile.store(slot, value)
            return
        self._compared = min(self._compared + own, 1.0 / _FORGETS)
        rate = 1.0 / max(1.0, self._compared)
        self._week_error += rate * (abs(value - usual) - self._week_error)
        self._mean_error += rate * (off - self._mean_error)
        if self._counts and (self._young() or self._week_error < _NEAR * self._mean_error):
            self._learn_count(x, value, slot, usual, own)
        self._learnt += 1.0
        self._learn_slot(slot, value, usual, own, self._runs.spread(usual) if by_counts else None)

    def _see_time(self, start: int) -> None:
        if not self._learnt:
            self._begin = self._newest = float(start)
            return
        step = start - self._newest
        if step > 0.0:
            self._step = min(step, self._step) if self._step else step
        self._newest = float(start)

    def _learn_value(self, value: float, usual: float | None, judged: bool) -> None:
        """`judged`: the series is no settled series of counts, so its deviations as a value matter."""
        if judged:
            z = self._values.z(value, usual)
            self._values.see(self._value_tail.surprise(z))
            self._value_tail.learn(z)
        self._values.learn(value, usual)

    def _learn_count(self, x: Point, value: float, slot: int, usual: float, own: bool) -> None:
        found, same = self._judged(x.start, slot, value, usual)
        self._count_tail.learn(max(same, *(abs(run.z) for run in found)))
        self._runs.learn(x.start, value, usual, found, own)

    def _learn_slot(self, slot: int, value: float, usual: float, own: bool, spread: float | None) -> None:
        """`spread`: of a count; None lets every value teach as it is."""
        if not own:
            self._profile.store(slot, value)
            return
        off, way = value - usual, 0
        rate = max(_RATE, 1.0 / (self._learnt / self._profile.used + 1.0))
        if spread is not None and abs(off) > _CLIP * spread:
            way = 1 if off > 0.0 else 2
            if self._profile.surprised(slot) == way:
                # The second week in a row: not an odd day but a new habit (other hours, a new entrance).
                rate = _NEW_HABIT
            else:
                off = _CLIP * spread if off > 0.0 else -_CLIP * spread
        self._profile.store(slot, usual + rate * off, way)

    # -- state -------------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The state with its version (operators/models.py)."""
        codes, unit = self._profile.state()
        numbers = [getattr(self, name) for name in _FIELDS]
        parts = (self._count_tail.state(), self._value_tail.state(), self._values.state(), self._runs.state())
        return pack(_NAME, _PARAMS, codes + array("d", [unit, *numbers, *(n for part in parts for n in part)]).tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Anomaly":
        """Raises UnreadableState."""
        blob, model = unpack(_NAME, _PARAMS, data), cls()
        try:
            numbers = array("d", blob[2 * WEEK :]).tolist()
            if not all(map(isfinite, numbers)):
                raise ValueError("numbers that are none")
            model._profile.load(blob[: 2 * WEEK], numbers[0])
            for name, number in zip(_FIELDS, numbers[1:], strict=False):
                setattr(model, name, number)
            rest = numbers[1 + len(_FIELDS) :]
            model._count_tail.load(rest[:_TAIL])
            model._value_tail.load(rest[_TAIL : 2 * _TAIL])
            model._values.load(rest[2 * _TAIL : 2 * _TAIL + 7])
            model._runs.load(rest[2 * _TAIL + 7 :])
        except (ValueError, TypeError) as error:
            raise UnreadableState(f"model {_NAME}: state is damaged ({error})") from error
        return model

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Anomaly.from_bytes, (self.to_bytes(),)


def _size(run: Run) -> float:
    return abs(run.z)


def _measured(value: float | None) -> float | None:
    return max(-_MOST, min(_MOST, value)) if value is not None and isfinite(value) else None


def alarm_score(budget: float, slots_per_week: float) -> float:
    """The score from which a series gives `budget` false alarms a week in the long run.

    >>> round(alarm_score(1.0, 672), 3)
    0.482
    """
    surprise = max(0.0, log(slots_per_week / budget))
    return surprise / (surprise + SURPRISE)


def alarms_a_week(score: float, slots_per_week: float) -> float:
    """How often a series reaches a score by itself: the inverse of `alarm_score`."""
    return slots_per_week * exp(-SURPRISE * score / (1.0 - score)) if score < 1.0 else 0.0


MODELS = (ModelSpec(_NAME, Anomaly, Anomaly.from_bytes, most_bytes=2048),)
"""What this module offers (operators/models.py)."""
