"""Running totals of a line against the sum of its periods: which reports were lost, and how many people were in them.

Between two totals the device counted so many people; the windows that lie between them say so many. Where they agree and
nothing is missing there is nothing to tell. Else it is a gap, which windows that come later fill, at any time. Totals that come
late are not looked at. Directions are those of the device; epoch seconds.
"""

from collections.abc import Iterator

import msgspec

from operators.ingest import Accepted, values_of
from operators.spans import Spans, cut, inside, length
from operators.spread import MINUTE, shares
from schemas.events import LineCount

WRAP, NEAR = 1 << 16, 60_000
"""Counters of 16 bits go on at zero; one that was near their end did that, and was not reset (milesight.md 8)."""
LONGEST_S = 2 * 86_400
"""The people of a longer gap are told but not filled in: nobody knows how they were spread."""
KEPT_S = 40 * 86_400
MOST_PENDING = 3000
"""Windows without a total since: a line that has stopped telling totals."""


class Window(msgspec.Struct, array_like=True, gc=False):
    """A window that was counted since the last total."""

    start: int
    end: int
    people_in: int
    people_out: int


class Gap(msgspec.Struct, array_like=True):
    """From one total to the next one. `people_*`: by the totals; `counted_*`: by windows; `missing`: what no window covers now,
    `was` what none covered when the gap was found. `reset`: a total went back, so more may be lost than it says."""

    start: int
    end: int
    people_in: int
    people_out: int
    counted_in: int
    counted_out: int
    missing: Spans
    was: Spans
    reset: bool
    n: int
    known: int

    @property
    def lost(self) -> tuple[int, int]:
        """People in and out of whom no window tells; negative where the windows tell more than the totals."""
        return self.people_in - self.counted_in, self.people_out - self.counted_out

    @property
    def reason(self) -> str:
        if not self.missing:
            return "filled" if self.was and not any(self.lost) else "mismatch"
        return "mismatch" if min(self.lost) < 0 else "reset" if self.reset else "lost"


class LineTotals(msgspec.Struct, array_like=True):
    """What is known of one line. `at`: time of its newest total, 0 for none yet."""

    at: int = 0
    total_in: int = 0
    total_out: int = 0
    pending: list[Window] = []
    gaps: list[Gap] = []

    def window(self, a: Accepted, event: LineCount) -> Gap | None:
        """A window was accepted: new, or the correction of one. The gap that it changes, if it does."""
        before = a.before[:2] if a.before is not None else (0, 0)
        now_in, now_out = values_of(event)[:2] if a.verdict == "new" or a.before is not None else before
        return self.counts(a.start, a.end, now_in - before[0], now_out - before[1], a.arrival)

    def counts(self, start: int, end: int, people_in: int, people_out: int, known: int) -> Gap | None:
        """Windows over [start, end) tell so many people more; `known`: arrival in epoch ms."""
        if not self.at:
            return None
        if end > self.at:
            self.pending.append(Window(start, end, people_in, people_out))
            if len(self.pending) > MOST_PENDING:
                self.at, self.pending = 0, []
            return None
        gap = next((g for g in reversed(self.gaps) if g.start < end <= g.end), None)
        if gap is not None:
            gap.counted_in += people_in
            gap.counted_out += people_out
            gap.missing = cut(gap.missing, start, end)
            gap.n, gap.known = gap.n + 1, max(gap.known, known)
        return gap

    def total(self, at: int, total_in: int, total_out: int, known: int) -> Gap | None:
        """A total was told; the gap that it shows, or makes longer, if it does."""
        if at <= self.at:
            return None
        first, since = not self.at, self.at
        people_in, reset_in = increase(self.total_in, total_in)
        people_out, reset_out = increase(self.total_out, total_out)
        mine = [w for w in self.pending if w.end <= at]
        self.pending = [w for w in self.pending if w.end > at]
        self.at, self.total_in, self.total_out = at, total_in, total_out
        if first:
            return None
        missing: Spans = [(since, at)]
        for w in mine:
            missing = cut(missing, w.start, w.end)
        counted = sum(w.people_in for w in mine), sum(w.people_out for w in mine)
        reset = reset_in or reset_out
        if not missing and (reset or counted == (people_in, people_out)):
            return None
        gap = Gap(since, at, people_in, people_out, *counted, missing, missing, reset, 1, known)
        return self._extended(gap) if not missing else self._opened(gap)

    def _opened(self, gap: Gap) -> Gap:
        self.gaps = [*(g for g in self.gaps if g.end > gap.end - KEPT_S), gap]
        return gap

    def _extended(self, gap: Gap) -> Gap:
        """One mismatch after another is one."""
        last = self.gaps[-1] if self.gaps else None
        if last is None or last.end != gap.start or last.was:
            return self._opened(gap)
        last.end = gap.end
        last.people_in, last.people_out = last.people_in + gap.people_in, last.people_out + gap.people_out
        last.counted_in, last.counted_out = last.counted_in + gap.counted_in, last.counted_out + gap.counted_out
        last.n, last.known = last.n + 1, max(last.known, gap.known)
        return last


def increase(old: int, new: int) -> tuple[int, bool]:
    """People between two totals, and whether the counter was set back meanwhile: then it is at least so many."""
    if new >= old:
        return new - old, False
    if NEAR <= old < WRAP and new < WRAP - NEAR:
        return new + WRAP - old, False
    return new, True


def imputed(gap: Gap) -> Iterator[tuple[int, int, int, int]]:
    """(minute, missing seconds, people in, people out) for every minute of which something was missing when the gap was found.

    The people of whom no window tells are spread evenly over what is still missing; a minute that was filled has none.
    """
    if not gap.was or gap.end - gap.start > LONGEST_S:
        return
    minutes = sorted({m for a, b in gap.was for m in range(a - a % MINUTE, b, MINUTE)})
    seconds = [length(inside(gap.missing, m, m + MINUTE)) for m in minutes]
    whole = sum(seconds)
    people = [shares(max(0, n), seconds, whole) if whole else [0] * len(minutes) for n in gap.lost]
    yield from zip(minutes, seconds, *people, strict=True)
