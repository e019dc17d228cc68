"""Signs that one sensor gives by itself, without a look at the others: it repeats itself, hangs askew, restarts, tells a wrong
time, leaves reports out.

How surprising a repetition is: a count of v people has, whatever its mean, at most the probability 1 / sqrt(2 pi v) of coming
again (a Poisson count is likeliest at its own mean). The logarithms of these add up while it goes on. Times: epoch seconds.
"""

from math import log, pi
from typing import NamedTuple
from zlib import crc32

import msgspec

from operators.calendar import local_start

FALSE = 9.2
"""A healthy sensor repeats itself so that it is called stuck on one day in e^9.2 = 10,000 at most."""
LEAST_SAME = 3
QUARTERS = 672
TILT_DEG = 3.0
"""A sensor on a wall does not turn by itself; what it tells of its angle changes by less than a degree."""
_STEADY_DEG = 1.5
TILT_TIMES = 2
ADOPT_S = 7 * 86_400
"""Somebody who turned a sensor on purpose has done it for good: after a week its new angle is the usual one."""
MOST_REBOOTS = 3
CLOCK_AHEAD_S, CLOCK_BEHIND_S = -60, 300
MOST_MISSED = 0.3


class Sign(NamedTuple):
    """Something that a sensor shows. `line` 0: all of it. `began`: epoch s. `words` go on after its name."""

    kind: str
    line: int
    began: int
    words: str
    value: float | None = None
    usual: float | None = None


class Days(msgspec.Struct, array_like=True):
    """Quarters of a week of one line, each as a number of 16 bits of its counts; how surprisingly they equal those of a day
    (index 0) and of a week (index 1) before, and since when."""

    told: bytearray = msgspec.field(default_factory=lambda: bytearray(2 * QUARTERS))
    surprise: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0])
    began: list[int] = msgspec.field(default_factory=lambda: [0, 0])

    def take(self, zone: str, start: int, people_in: int, people_out: int) -> None:
        slot = local_start(zone, start) // 900 % QUARTERS
        mark = crc32(f"{people_in} {people_out}".encode()) % 65_535 + 1
        for i, back in enumerate((96, QUARTERS)):
            at = 2 * ((slot - back) % QUARTERS)
            if int.from_bytes(self.told[at : at + 2]) != mark:
                self.surprise[i] = 0.0
                continue
            self.began[i] = self.began[i] if self.surprise[i] else start
            self.surprise[i] += surprise((people_in, people_out))
        self.told[2 * slot : 2 * slot + 2] = mark.to_bytes(2)

    def missed(self, zone: str, start: int) -> None:
        """Nothing was told of a quarter."""
        slot = local_start(zone, start) // 900 % QUARTERS
        self.told[2 * slot : 2 * slot + 2] = bytes(2)
        self.surprise = [0.0, 0.0]


class Told(msgspec.Struct, array_like=True):
    """What is remembered of one sensor: its newest report (counts by line, in and out), its end, since when and how
    surprisingly the same comes again; its usual angles and since when it has had others; what its last hours showed."""

    counts: tuple[int, ...] = ()
    end: int = 0
    same: int = 0
    since: int = 0
    surprise: float = 0.0
    angles: tuple[float, float] | None = None
    askew: tuple[float, float] | None = None
    askew_times: int = 0
    askew_since: int = 0
    clock: str = ""
    clock_since: int = 0
    hourly: list[tuple[str, int, str, float]] = []
    days: dict[int, Days] = {}

    def report(self, start: int, end: int, counts: tuple[int, ...]) -> None:
        """A report over [start, end) that is new and not older than the newest."""
        if counts != self.counts or start < self.end:
            self.counts, self.same, self.since, self.surprise = counts, 1, start, 0.0
        elif any(counts):
            self.same += 1
            self.surprise += surprise(counts)
        self.end = end

    def tilted(self, at: int, pitch: float, roll: float) -> None:
        """It told its angles."""
        if self.angles is None:
            self.angles = pitch, roll
        off = max(abs(pitch - self.angles[0]), abs(roll - self.angles[1]))
        if off > TILT_DEG or (self.askew_times and off > _STEADY_DEG):
            self.askew_since = at if not self.askew_times else self.askew_since
            self.askew, self.askew_times = (pitch, roll), min(1000, self.askew_times + 1)
            if at - self.askew_since > ADOPT_S:
                self.angles, self.askew_times = (pitch, roll), 0
            return
        self.askew_times = 0
        p, r = self.angles
        self.angles = p + 0.02 * (pitch - p), r + 0.02 * (roll - r)

    def signs(self, interval_s: int) -> list[Sign]:
        """What it shows now."""
        found = [Sign(kind, 0, began, words, value) for kind, began, words, value in self.hourly]
        if self.same > LEAST_SAME and self.surprise >= FALSE + log(86_400 / max(1, interval_s)):
            words = f"has told the same counts ({told(self.counts)}) in {self.same} reports one after another"
            found.append(Sign("stuck", 0, self.since, words, float(self.same)))
        for line, days in sorted(self.days.items()):
            for i, day in enumerate(("the day", "the same day of the week")):
                if days.surprise[i] >= FALSE + log(96.0):
                    words = f"tells the quarters of an hour of {day} before once more"
                    found.append(Sign("repeated", line, days.began[i], words))
                    break
        if self.askew_times >= TILT_TIMES and self.angles is not None and self.askew is not None:
            was, now = (f"{a[0]:.0f}° forward and {a[1]:.0f}° sideways" for a in (self.angles, self.askew))
            off = max(abs(a - b) for a, b in zip(self.angles, self.askew, strict=True))
            found.append(Sign("tilt", 0, self.askew_since, f"hangs askew: {now}, before {was}", off, 0.0))
        if self.clock:
            found.append(Sign("clock", 0, self.clock_since, f"tells a time that cannot be ({self.clock})"))
        return found


class Hour(NamedTuple):
    """What the flow `devices` knows of a sensor's hour that is over."""

    start: int
    reboots: int | None
    missed: int
    expected: int
    skew: tuple[int, int] | None


def of_hour(hour: Hour, lost: int) -> list[tuple[str, int, str, float]]:
    """Signs of an hour: kind, since when, words, value. `lost`: people in lost reports, told by running totals."""
    found = []
    if hour.reboots is not None and hour.reboots >= MOST_REBOOTS:
        found.append(("reboots", hour.start, f"has restarted {hour.reboots} times in an hour", float(hour.reboots)))
    if hour.expected and hour.missed > MOST_MISSED * hour.expected and hour.missed > 2:
        people = f"; its totals say that {lost} people were in them" if lost > 0 else ""
        words = f"left out {hour.missed} of {hour.expected} reports in an hour{people}"
        found.append(("missed", hour.start, words, float(hour.missed)))
    if hour.skew is not None and not CLOCK_AHEAD_S <= hour.skew[0] <= CLOCK_BEHIND_S:
        way = "ahead" if hour.skew[0] < 0 else "behind, or its reports take that long"
        found.append(("clock", hour.start, f"has a clock that is {abs(hour.skew[0])} s {way}", float(hour.skew[0])))
    return found


def surprise(counts: tuple[int, ...]) -> float:
    """Least surprise, in nats, that the same counts come again."""
    return sum(0.5 * log(2.0 * pi * v) for v in counts if v > 0)


def told(counts: tuple[int, ...]) -> str:
    """Counts in words: in and out of each line."""
    pairs = zip(counts[::2], counts[1::2], strict=True)
    return "; ".join(f"{into} in, {out} out" for into, out in pairs)
