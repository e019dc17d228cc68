"""How far a value is from those before it, and from the usual one of its time: for series that are no counts of people.

Two running means and standard deviations, of the value and of its difference to the usual week; the deviation is the larger z.
Both learn everything they see, outliers too: a series with bursts then expects bursts. After a detection the same stretch is
news no more, so a deviation that does not exceed the fading memory of the last ones counts for less.
"""

from math import exp, sqrt

_FADING = 0.0005
"""Weight of a new value once 2,000 are known: a memory of 20 days of quarters."""
_FIRST = 20
"""Values before anything is said."""
_NEVER = 50.0
"""z of a change in a series that never changed."""
_FORGETS = exp(-1.0 / 150.0)
_OLD_NEWS = 0.3


class _Running:
    """Mean and variance; growing memory at first, then fading."""

    __slots__ = ("mean", "n", "variance")

    def __init__(self) -> None:
        self.n = self.mean = self.variance = 0.0

    def z(self, value: float) -> float:
        if self.n < _FIRST:
            return 0.0
        if self.variance <= 0.0:
            return 0.0 if value == self.mean else _NEVER
        return abs(value - self.mean) / sqrt(self.variance)

    def learn(self, value: float) -> None:
        self.n = min(self.n + 1.0, 1.0 / _FADING)
        rate = 1.0 / self.n
        off = value - self.mean
        self.mean += rate * off
        self.variance += rate * ((1.0 - rate) * off * off - self.variance)


class ValueSpread:
    """One series. State: seven numbers."""

    __slots__ = ("_news", "_off", "_values")

    def __init__(self) -> None:
        self._values, self._off = _Running(), _Running()
        self._news = 0.0

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return self._values.mean

    def z(self, value: float, usual: float | None) -> float:
        """The larger deviation, 0 or more. `usual`: of this slot of the week; None while that is unknown."""
        z = self._values.z(value)
        return z if usual is None else max(z, self._off.z(value - usual))

    def range(self, usual: float | None, half: float) -> tuple[float, float, float]:
        """Low, expected, high: `half` standard deviations around the usual value, or around the mean."""
        of = self._values if usual is None or self._off.n < _FIRST else self._off
        centre = of.mean + (usual or 0.0 if of is self._off else 0.0)
        spread = half * sqrt(of.variance)
        return centre - spread, centre, centre + spread

    def news(self, surprise: float) -> float:
        """The surprise, less when it was as great not long ago."""
        return surprise if surprise > self._news else _OLD_NEWS * surprise

    def see(self, surprise: float) -> None:
        """Take in how surprising a value was."""
        self._news = max(_FORGETS * self._news, surprise)

    def learn(self, value: float, usual: float | None) -> None:
        """Take a value in."""
        self._values.learn(value)
        if usual is not None:
            self._off.learn(value - usual)

    def state(self) -> list[float]:
        """What `load` takes."""
        return [self._news, *(getattr(of, name) for of in (self._values, self._off) for name in ("n", "mean", "variance"))]

    def load(self, state: list[float]) -> None:
        """Raises ValueError when it is no such state."""
        if len(state) != 7:
            raise ValueError("a spread of another form")
        self._news = state[0]
        self._values.n, self._values.mean, self._values.variance = state[1:4]
        self._off.n, self._off.mean, self._off.variance = state[4:]
