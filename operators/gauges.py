"""People present in a zone, from samples to seconds: which value held for how long in a minute.

A sample says how many people were there at its end. A window's value holds for the time since its start. A trigger is sent when
the number changes, so it holds from then on until the next sample, or the end of the minute. What no sample covers is not
measured.
"""

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from operators.spread import MINUTE
from operators.tallies import Tally


class Level(msgspec.Struct, array_like=True, gc=False):
    """One sample: [start, end) in epoch s (a trigger: start == end), values at `end` (None: not said), arrival in epoch ms."""

    start: int
    end: int
    event_id: int
    arrival: int
    present: int | None = None
    peak: int | None = None
    child: int | None = None
    staff: int | None = None
    occupied: bool | None = None


def put(levels: list[Level], new: Level) -> None:
    """Add a sample. Of two that say the same time the later arrival holds (cameras' rows grow)."""
    for i, old in enumerate(levels):
        if (old.start, old.end) == (new.start, new.end):
            if (new.arrival, new.event_id) > (old.arrival, old.event_id):
                levels[i] = new
            return
    levels.append(new)


def minutes_of(level: Level) -> range:
    """Starts of the minutes that a sample touches. One that ends with a minute is the last of that minute."""
    first = level.start - level.start % MINUTE
    last = max(level.end - 1, level.start)
    return range(first, last - last % MINUTE + 1, MINUTE)


def minute_tally(levels: list[Level], minute: int) -> Tally:
    """What the samples say of one minute, as seconds by value.

    `present`, `child`, `staff`: people; `occupied`: 0 or 1; `peak`: the highest number told (of a report longer than the minute
    in its last one); `last`: people at the end of the minute; `resolution`: lengths of the reports.
    """
    until = minute + MINUTE
    ordered = sorted(levels, key=lambda s: (s.end, s.start, s.event_id))
    found: Tally = {}
    for a, b, held in _pieces(ordered, minute, until):
        for name, value in (("present", held.present), ("child", held.child), ("staff", held.staff)):
            if value is not None:
                values = found.setdefault(name, {})
                values[value] = values.get(value, 0) + b - a
        there = held.present > 0 if held.present is not None else held.occupied
        if there is not None:
            values = found.setdefault("occupied", {})
            values[int(there)] = values.get(int(there), 0) + b - a
        if held.present is not None:
            found["last"] = {held.present: 1}
    for s in ordered:
        if minute < s.end <= until or s.start == s.end == minute:
            peak = max((v for v in (s.peak, s.present) if v is not None), default=None)
            if peak is not None:
                values = found.setdefault("peak", {})
                values[peak] = values.get(peak, 0) + 1
        values = found.setdefault("resolution", {})
        values[s.end - s.start] = values.get(s.end - s.start, 0) + 1
    return found


def _pieces(levels: list[Level], minute: int, until: int) -> Iterable[tuple[int, int, Level]]:
    """Spans of the minute, in order, and the sample whose value holds in each."""
    windows, triggers = [s for s in levels if s.start < s.end], [s for s in levels if s.start == s.end]
    marks = sorted({minute, until, *(min(max(t, minute), until) for s in levels for t in (s.start, s.end))})
    for a, b in pairwise(marks):
        trigger = next((s for s in reversed(triggers) if s.end <= a), None)
        if trigger is not None and all(s.end > a or s.end <= trigger.end for s in windows):
            yield a, b, trigger
            continue
        window = next((s for s in windows if s.start <= a < s.end), None)
        if window is not None:
            yield a, b, window
