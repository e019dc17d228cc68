"""Which share of an hour's people comes in each of its quarters, by hour of the day; and the band of an hour as that of a part.

A share is the mean of the last weeks, weighted by people. On the scale of square roots a count scatters by 1/2 by itself
(Anscombe 1948), in the hour as in a quarter; what an hour's forecast scatters beyond that shrinks with the root of the share.
"""

from array import array
from collections.abc import Sequence
from math import sqrt

from operators.forecasters import Band

QUARTERS = 4
_FADE = 0.95
"""Weight of the past per day."""
_FIRST = 5.0
"""People in each quarter, as if seen, before any were."""
_OWN = 0.25
"""Variance of the root of a count that is all chance."""
_SIGMAS = 2.563
"""Standard deviations between the 10 and the 90 % point."""


class QuarterShares:
    """People by hour of the day and quarter, fading. `data`: what `to_bytes` gave."""

    def __init__(self, data: bytes = b"") -> None:
        self._people = array("f", data) if data else array("f", [_FIRST]) * (24 * QUARTERS)

    def learn(self, hour: int, people: Sequence[float | None]) -> None:
        """Take in the quarters of an hour of the day (0 to 23); nothing is learnt from one that was not measured as a whole."""
        known = [p for p in people if p is not None]
        if len(known) != QUARTERS or sum(known) <= 0.0:
            return
        at = hour % 24 * QUARTERS
        for i, p in enumerate(known):
            self._people[at + i] = _FADE * self._people[at + i] + p

    def shares(self, hour: int) -> list[float]:
        """Shares of the quarters of an hour of the day."""
        at = hour % 24 * QUARTERS
        found = self._people[at : at + QUARTERS].tolist()
        return [p / sum(found) for p in found]

    def to_bytes(self) -> bytes:
        return self._people.tobytes()


def part_of(band: Band, share: float) -> Band:
    """The band of a part of an hour in which that share of its people comes."""
    middle, *points = (sqrt(p + 0.375) for p in (band.mean, *band.points))
    variance = ((points[4] - points[1]) / _SIGMAS) ** 2
    if variance <= 0.0:
        return Band(band.step, band.mean * share, tuple(p * share for p in band.points))
    narrower = sqrt((_OWN + share * max(0.0, variance - _OWN)) / variance)
    part = sqrt(band.mean * share + 0.375)
    ends = (max(0.0, part + narrower * (p - middle)) for p in points)
    return Band(band.step, band.mean * share, tuple(max(0.0, z * z - 0.375) for z in ends))
