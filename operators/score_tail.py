"""One scale for all series: how rarely a series itself is as unusual as now.

Deviations of real series have heavier tails than any model says, and every series its own. So a deviation z is held against the
past deviations of the same series: the share of slots in which a stretch with z >= U begins, and how far such stretches go, by
the mean of log(z / U) of their peaks (Hill 1975). Stretches and not slots are counted ("runs" declustering of extreme value
theory: Coles 2001, 5.3.2), because an alarm that lasts for hours is one alarm. The surprise

    L(z) = -log(share) + log(z / U) / mean log excess        (below U: -log(share) z / U)

is minus the log of how many stretches a slot reach as far. Hence exp(-L) x slots a week = alarms a week at that level, which is
what a budget of false alarms asks for.
"""

from math import log

U = 2.5
"""Deviation from which the tail is measured, in standard deviations of the model."""
_SHARE, _SLOTS = 0.01, 200.0
"""Share of slots that begin a stretch before anything is known, and the slots which that counts for."""
_EXCESS, _PEAKS = 0.2, 50.0
"""Mean log excess before anything is known, and the peaks which that counts for. A Gaussian has about 0.15."""
_MOST_SLOTS = 10_000.0
_FORGET = 0.001
"""What a new peak takes from the weight of the old ones."""
_APART = 3
"""Usual slots that end a stretch."""


class ScoreTail:
    """The tail of one series. State: six numbers."""

    __slots__ = ("_excess", "_peak", "_peaks", "_quiet", "_slots", "_stretches")

    def __init__(self) -> None:
        self._stretches, self._slots = _SHARE * _SLOTS, _SLOTS
        self._excess, self._peaks = _EXCESS * _PEAKS, _PEAKS
        self._peak = self._quiet = 0.0

    def surprise(self, z: float) -> float:
        """L of a deviation, 0 or more."""
        begins = log(self._slots / self._stretches)
        return begins * z / U if z < U else begins + log(z / U) * self._peaks / self._excess

    def learn(self, z: float) -> None:
        """Take the deviation of one slot in."""
        begins = z >= U and not self._peak
        if self._slots < _MOST_SLOTS:
            self._slots += 1.0
            self._stretches += begins
        else:
            self._stretches += begins - self._stretches / self._slots
        if begins:
            self._excess += log(z / U) - _FORGET * self._excess
            self._peaks += 1.0 - _FORGET * self._peaks
        elif z > self._peak > 0.0:
            self._excess += log(z / self._peak)
        self._quiet = 0.0 if z >= U else self._quiet + 1.0
        self._peak = max(self._peak, z) if z >= U else 0.0 if self._quiet >= _APART else self._peak
        self._quiet = min(self._quiet, float(_APART))

    def state(self) -> list[float]:
        """What `load` takes."""
        return [self._stretches, self._slots, self._excess, self._peaks, self._peak, self._quiet]

    def load(self, state: list[float]) -> None:
        """Raises ValueError when it is no such state."""
        if len(state) != 6 or min(state[:4]) <= 0.0:
            raise ValueError("a tail of another form")
        self._stretches, self._slots, self._excess, self._peaks, self._peak, self._quiet = state
