"""How unlikely the last counts are, alone and in runs, against what was expected of them.

Each slot expects base x level: the usual count of that quarter of the week, and how busy the last hours were. For the last one,
two and four slots together the signed root of the deviance of a negative binomial likelihood,

    z = +-sqrt(2 (y log(y / m) - (y + k) log((y + k) / (m + k)))),        k = 1000,

is close to a standard normal deviate at any mean, also far out (McCullagh and Nelder 1989, 2.4 and table 9.1), with half a
person of continuity correction. Shops are busier or quieter than a Poisson count would be by a factor of their own, so z is
divided by sqrt(phi), learnt per length of run (quasi-likelihood). A variance that grows with the mean and not with its square
was better on every series we have: the crowd at noon is more regular than k alone would say.

The level is taken as it was before a run begins, else a surge would soon expect itself.

A number that stays the same is a sign of its own: the chance that two draws agree is about 1 / sqrt(1 + 4 pi variance).
"""

from collections.abc import Sequence
from math import log, pi, sqrt

import msgspec

RUNS = (1, 2, 4)
"""Slots that are looked at together."""
LONGEST = RUNS[-1]
LEAST = 0.2
"""No slot expects fewer people than that, so that one person at night is odd but no alarm."""
_SIZE = 1000.0
_FADE = 0.6
"""Weight of a slot's past in the level."""
_STILL = 0.7
"""How much of the level's log is left for the next slot."""
_POWERS = tuple(_STILL ** (n + 1) for n in range(LONGEST))
_ADD, _LEVEL = 5.0, 4.0
"""People that are added on both sides of the level's ratio, and its most."""
_SPREAD_RATE = 0.004
_CLIP = 9.0
"""A z^2 beyond that does not teach phi more."""
Z90 = 1.6448536269514722


class Slot(msgspec.Struct, frozen=True, gc=False):
    """A slot that was counted: start, people, usual people, level before it."""

    start: float
    people: float
    base: float
    level: float


class Run(msgspec.Struct, frozen=True, gc=False):
    """The newest RUNS[which] slots together: z, people, expected people, phi."""

    which: int
    z: float
    people: float
    expected: float
    phi: float


def deviance_z(y: float, m: float) -> float:
    """Signed root deviance of y people where m > 0 are expected."""
    if m - 0.5 <= y <= m + 0.5:
        return 0.0
    near = y - 0.5 if y > m else y + 0.5
    deviance = near * log(near / m) - (near + _SIZE) * log((near + _SIZE) / (m + _SIZE))
    size = sqrt(2.0 * deviance) if deviance > 0.0 else 0.0
    return size if y > m else -size


def usual_range(expected: float, phi: float) -> tuple[float, float]:
    """The 90 % range of a count, by its square root (variance a quarter of phi)."""
    half = Z90 * sqrt(phi * (1.0 + expected / _SIZE)) / 2.0
    low, high = sqrt(expected) - half, sqrt(expected) + half
    return (low * low if low > 0.0 else 0.0), high * high


class CountRuns:
    """Level and spread of one series, and its last slots. `last`: those slots, oldest first."""

    __slots__ = ("_come", "_same", "_usual", "last", "phi")

    def __init__(self) -> None:
        self.phi = [1.0] * len(RUNS)
        self.last: list[Slot] = []
        self._come = self._usual = self._same = 0.0

    def level(self) -> float:
        """How busy the last slots were, in usual ones."""
        level = (self._come + _ADD) / (self._usual + _ADD)
        return level if 1.0 / _LEVEL <= level <= _LEVEL else _LEVEL if level > 1.0 else 1.0 / _LEVEL

    def expected(self, base: float) -> float:
        """People in the next slot."""
        return max(base, LEAST) * float(self.level() ** _STILL)

    def runs(self, start: float, count: float, base: float, step: float, sure: float) -> list[Run]:
        """The runs that end with a slot; shorter ones only, where the slots before it are not known. `step`: seconds between
        slots. `sure`: 1 when the base is known exactly, less when it is an estimate."""
        slots = [*self.last, Slot(start, count, base if base > LEAST else LEAST, self.level())]
        found, known = [], len(slots)
        for which, n in enumerate(RUNS):
            if n > known or start - slots[-n].start != (n - 1) * step:
                break
            # As it was before the run, the level fades with each slot.
            level, people, expected = slots[-n].level, 0.0, 0.0
            for i in range(n):
                slot = slots[i - n]
                people += slot.people
                expected += slot.base * level ** _POWERS[i]
            phi = self.phi[which]
            found.append(Run(which, deviance_z(people, expected) * sure / sqrt(phi), people, expected, phi))
        return found

    def same(self, count: float, base: float) -> float:
        """z of seeing the number of the last slot again and again; zeros say nothing, they are judged as counts."""
        if not self.last or count != self.last[-1].people or count <= 0.0:
            return 0.0
        surprise = self._same + self._again(base)
        return sqrt(2.0 * surprise) if surprise > 0.5 else 0.0

    def _again(self, base: float) -> float:
        expected = self.expected(base)
        return 0.5 * log(1.0 + 4.0 * pi * self.phi[0] * expected * (1.0 + expected / _SIZE))

    def spread(self, base: float) -> float:
        """Standard deviation of a slot's count."""
        usual = max(base, LEAST)
        return sqrt(self.phi[0] * usual * (1.0 + usual / _SIZE))

    def learn(self, start: float, count: float, base: float, runs: Sequence[Run], own: bool) -> None:
        """Take a slot in. `runs`: what `runs` said of it. `own`: whether its base is that of its own slot of the week."""
        usual = max(base, LEAST)
        repeated = bool(self.last) and count == self.last[-1].people and count > 0.0
        self._same = self._same + self._again(base) if repeated else 0.0
        self.last = [*self.last, Slot(start, count, usual, self.level())][1 - LONGEST :]
        if own:
            for run in runs:
                rate = _SPREAD_RATE * min(1.0, run.expected)
                self.phi[run.which] = max(1.0, run.phi * (1.0 + rate * (min(run.z * run.z, _CLIP) - 1.0)))
        self._come = _FADE * self._come + min(max(count, 0.2 * usual), 3.0 * usual + 10.0)
        self._usual = _FADE * self._usual + usual

    def copy(self) -> "CountRuns":
        """One that may go on alone."""
        other = CountRuns()
        other.load(self.state())
        return other

    def state(self) -> list[float]:
        """What `load` takes."""
        slots = [n for slot in self.last for n in (slot.start, slot.people, slot.base, slot.level)]
        return [*self.phi, self._come, self._usual, self._same, *slots]

    def load(self, state: list[float]) -> None:
        """Raises ValueError when it is no such state."""
        slots = state[len(RUNS) + 3 :]
        if len(slots) % 4 or len(slots) > 4 * (LONGEST - 1) or len(state) < len(RUNS) + 3 or min(state[: len(RUNS)]) < 1.0:
            raise ValueError("counts of another form")
        self.phi = state[: len(RUNS)]
        self._come, self._usual, self._same = state[len(RUNS) : len(RUNS) + 3]
        self.last = [Slot(*slots[i : i + 4]) for i in range(0, len(slots), 4)]
