"""What is usual at each line of a store: people of the whole store by hour of the week, and the share of each line in them.

A share says more than a count of its own: it does not move with weather, season or a sale, so that one line can be held
against the others. Counts are people per quarter of an hour and direction (0 in, 1 out); hours are those of the store's clock.
"""

import msgspec

Line = tuple[str, int]
"""Device and number of the line."""

WEEK_HOURS, DAY_HOURS = 168, 24
_RATE = 0.15
"""Weight of the newest quarter in an hour of the week once it is known: about six weeks are remembered."""
_FADING = 0.99
"""Weight of the past per quarter in the shares of an hour of the day: about four weeks."""
_PRIOR = 200.0
"""People for whom the share of the whole day counts in the share of an hour."""
_LEAST_SEEN = 20.0
"""People whom a line must have counted in a direction before anything is expected of it."""
_CLIP = (0.65, 1.5)
"""An odd day teaches the usual one no more than this factor."""
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
    """One store. `week`: people of all its lines per quarter by direction and hour of the week (2 x 168); `times`: how often
    an hour was learnt."""

    week: list[float] = msgspec.field(default_factory=lambda: [0.0] * (2 * WEEK_HOURS))
    times: list[int] = msgspec.field(default_factory=lambda: [0] * (2 * WEEK_HOURS))
    lines: dict[str, dict[int, Shares]] = {}

    def total(self, way: int, slot: int) -> tuple[float, float] | None:
        """People of the store in a quarter of that hour of the week, and the squared relative error of that; None before the
        hour was seen on any day of the week."""
        at = way * WEEK_HOURS + slot
        times = self.times[at]
        if times:
            return self.week[at], 0.005 + 0.06 / times
        same = range(way * WEEK_HOURS + slot % DAY_HOURS, (way + 1) * WEEK_HOURS, DAY_HOURS)
        known = [self.week[s] for s in same if self.times[s]]
        return (sum(known) / len(known), 0.12) if known else None

    def expected(self, line: Line, way: int, slot: int) -> float | None:
        """People of a line in a quarter of that hour of the week; None while that is not known."""
        shares, total = self.lines.get(line[0], {}).get(line[1]), self.total(way, slot)
        share = shares.share(way, slot % DAY_HOURS) if shares is not None else None
        return total[0] * share if total is not None and share is not None else None

    def learn(self, slot: int, counts: dict[Line, tuple[int, int]], sound: set[Line]) -> None:
        """Take in one quarter. `counts`: (in, out) of the lines that were measured; `sound`: those to learn from. Of the others
        what was usual is taken, so that a broken sensor does not make the store's day smaller."""
        for device, number in counts:
            lines = self.lines.setdefault(device, {})
            if number not in lines:
                lines[number] = Shares()
                self.times = [0] * len(self.times)  # totals with a line more are other totals
        every = [(d, n) for d, lines in self.lines.items() for n in lines]
        for way in (0, 1):
            whole = 0.0
            for line in every:
                usual = None if line in sound else self.expected(line, way, slot)
                whole += counts.get(line, (0, 0))[way] if usual is None else usual
            for line in sound:
                self.lines[line[0]][line[1]].learn(way, slot % DAY_HOURS, counts[line][way], whole)
            self._learn_total(way * WEEK_HOURS + slot, whole)

    def _learn_total(self, at: int, whole: float) -> None:
        times, was = self.times[at], self.week[at]
        if times >= 4:  # an hour's first four quarters are taken as they are
            low, high = _CLIP[0] * was - 1.0, _CLIP[1] * was + 1.0
            whole = max(low, min(high, whole))
        self.week[at] = was + max(_RATE / 4, 1.0 / (times + 1)) * (whole - was)
        self.times[at] = min(times + 1, 1000)

    def forget(self, line: Line) -> None:
        """A line that has changed for good is learnt anew."""
        if line[1] in self.lines.get(line[0], {}):
            self.lines[line[0]][line[1]] = Shares()
