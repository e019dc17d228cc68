"""What is usual at each line of a store: people of the whole store by hour of the week, and the share of each line in them.

A share says more than a count of its own: it does not move with weather, season or a sale, so that one line can be held
against the others. Counts are people per quarter of an hour and direction (0 in, 1 out); hours are those of the store's clock.
"""

from math import log
from statistics import median

import msgspec

Line = tuple[str, int]
"""Device and number of the line."""

WEEK_HOURS, DAY_HOURS = 168, 24
WEEKS = 4
"""So many weeks are held: the median of them is what is usual, so that an odd day counts for nothing."""
_WEEK_DOUBT = (0.25, 0.1, 0.02, 0.015)
"""Squared relative error of what one, two, three and four weeks say: any of the first two may have been odd."""
_STEPS = 16.0
"""Steps per person in the stored averages; two bytes hold 4,095 people in a quarter of an hour."""
_FADING = 0.99
"""Weight of the past per quarter in the shares of an hour of the day: about four weeks."""
_PRIOR = 200.0
"""People for whom the share of the whole day counts in the share of an hour."""
_LEAST_SEEN = 20.0
"""People whom a line must have counted in a direction before anything is expected of it."""
_SHARE_DOUBT = 0.06
"""Relative error of a well-known share: doors are not used alike every day."""


class Shares(msgspec.Struct, array_like=True):
    """One line. `seen`: its people by direction and hour of the day (2 x 24), faded; `of`: those of the store meanwhile."""

    seen: list[float] = msgspec.field(default_factory=lambda: [0.0] * (2 * DAY_HOURS))
    of: list[float] = msgspec.field(default_factory=lambda: [0.0] * (2 * DAY_HOURS))

    def share(self, way: int, hour: int) -> float | None:
        """Share of the store's people; None while too little is known."""
        mine = slice(way * DAY_HOURS, (way + 1) * DAY_HOURS)
        seen, of = sum(self.seen[mine]), sum(self.of[mine])
        if seen < _LEAST_SEEN:
            return None
        at = way * DAY_HOURS + hour
        return (self.seen[at] + _PRIOR * seen / of) / (self.of[at] + _PRIOR)

    def doubt(self, way: int, party: float) -> float:
        """Squared relative error of a share; `party`: variance of a count over its mean."""
        return _SHARE_DOUBT**2 + party / (1.0 + sum(self.seen[way * DAY_HOURS : (way + 1) * DAY_HOURS]))

    def learn(self, way: int, hour: int, people: float, of: float) -> None:
        at = way * DAY_HOURS + hour
        self.seen[at] = _FADING * self.seen[at] + people
        self.of[at] = _FADING * self.of[at] + of


class Usual(msgspec.Struct, array_like=True):
    """One store. `weeks`: people of all its lines in an average quarter, by direction, hour of the week and week, as two bytes
    each (0: unknown); `hour`: the one that is being learnt: its hour of the week (-1: none), quarters, people in and out;
    `odd`: hours that were odd the last time. One odd day is not learnt, the second one running is a habit."""

    weeks: bytearray = msgspec.field(default_factory=lambda: bytearray(2 * 2 * WEEK_HOURS * WEEKS))
    hour: tuple[int, int, float, float] = (-1, 0, 0.0, 0.0)
    odd: bytearray = msgspec.field(default_factory=lambda: bytearray(WEEK_HOURS))
    lines: dict[str, dict[int, Shares]] = {}

    def total(self, way: int, slot: int) -> tuple[float, float] | None:
        """People of the store in a quarter of that hour of the week, and the squared relative error of that; None before the
        hour was seen on any day of the week."""
        own = self._held(way, slot)
        if own:
            apart = log((max(own) + 1.0) / (min(own) + 1.0)) / 4.0
            return median(own), _WEEK_DOUBT[min(len(own), WEEKS) - 1] + apart * apart
        known = [median(held) for s in range(slot % DAY_HOURS, WEEK_HOURS, DAY_HOURS) if (held := self._held(way, s))]
        return (median(known), 0.3) if known else None

    def _held(self, way: int, slot: int) -> list[float]:
        at = 2 * WEEKS * (way * WEEK_HOURS + slot)
        found = [int.from_bytes(self.weeks[i : i + 2]) for i in range(at, at + 2 * WEEKS, 2)]
        return [(n - 1) / _STEPS for n in found if n]

    def expected(self, line: Line, way: int, slot: int) -> float | None:
        """People of a line in a quarter of that hour of the week; None while that is not known."""
        shares, total = self.lines.get(line[0], {}).get(line[1]), self.total(way, slot)
        share = shares.share(way, slot % DAY_HOURS) if shares is not None else None
        return total[0] * share if total is not None and share is not None else None

    def learn(self, slot: int, counts: dict[Line, tuple[int, int]], sound: set[Line], odd: bool = False) -> None:
        """Take in one quarter. `counts`: (in, out) of the lines that were measured; `sound`: those to learn from. Of the others
        what was usual is taken, so that a broken sensor does not make the store's day smaller. `odd`: the store's level was."""
        for device, number in counts:
            lines = self.lines.setdefault(device, {})
            if number not in lines:
                lines[number] = Shares()
                self.weeks = bytearray(len(self.weeks))  # totals with a line more are other totals
        sums = [0.0, 0.0]
        every = [(d, n) for d, lines in self.lines.items() for n in lines]
        for way in (0, 1):
            whole = 0.0
            for line in every:
                usual = None if line in sound else self.expected(line, way, slot)
                whole += counts.get(line, (0, 0))[way] if usual is None else usual
            for line in sound:
                self.lines[line[0]][line[1]].learn(way, slot % DAY_HOURS, counts[line][way], whole)
            sums[way] = whole
        if slot != self.hour[0]:
            self._keep(*self.hour)
            self.odd[slot] = 1 if self.odd[slot] == 2 else 0
            self.hour = (slot, 0, 0.0, 0.0)
        once = odd and not self.odd[slot]
        self.odd[slot] = 2 if once else self.odd[slot]
        if once or self.odd[slot] == 2:
            return
        _, quarters, into, out = self.hour
        self.hour = (slot, quarters + 1, into + sums[0], out + sums[1])

    def _keep(self, slot: int, quarters: int, *people: float) -> None:
        """An hour is over: the oldest of its weeks makes room."""
        for way, number in enumerate(people) if quarters else ():
            at = 2 * WEEKS * (way * WEEK_HOURS + slot)
            held = self.weeks[at + 2 : at + 2 * WEEKS] + min(65_535, round(number / quarters * _STEPS) + 1).to_bytes(2)
            self.weeks[at : at + 2 * WEEKS] = held

    def forget(self, line: Line) -> None:
        """A line that has changed for good is learnt anew."""
        if line[1] in self.lines.get(line[0], {}):
            self.lines[line[0]][line[1]] = Shares()
