"""Sums of crossings: eight counts, covered seconds and what is known, for a minute or a longer bucket; and series of them.

Sums are lists (see the indexes below), because a lane touches hundreds of thousands of them a second.
"""

from typing import Any

import msgspec

from operators.memory import Values

MEASURED, RESOLUTION, N, KNOWN = 8, 9, 10, 11
"""Indexes after the eight counts of `Values`: covered seconds, longest report (s), contributions, newest arrival (epoch ms)."""
NOTHING: Values = (0, 0, None, None, None, None, None, None)

Sums = list[Any]


def empty() -> Sums:
    """Nothing yet."""
    return [*NOTHING, 0, 0, 0, 0]


def merge(to: Sums, more: Sums) -> None:
    """Add sums to sums; None is "not measured"."""
    to[0] += more[0]
    to[1] += more[1]
    if more.count(None) != 6:  # six: a device that does not tell classes apart, which is the common one
        for i in range(2, 8):
            v = more[i]
            if v is not None:
                was = to[i]
                to[i] = v if was is None else was + v
    to[MEASURED] += more[MEASURED]
    if more[RESOLUTION] > to[RESOLUTION]:
        to[RESOLUTION] = more[RESOLUTION]
    to[N] += more[N]
    if more[KNOWN] > to[KNOWN]:
        to[KNOWN] = more[KNOWN]


def gained(cell: Sums, old: Sums) -> Sums:
    """What a minute gained since `old` was passed on."""
    return [*difference(cell, old), cell[MEASURED] - old[MEASURED], cell[RESOLUTION], cell[N] - old[N], cell[KNOWN]]


def difference(new: Any, old: Any) -> Values:
    """New counts minus old ones."""
    return tuple(  # type: ignore[return-value]  # eight values, as in `Values`
        (None if a is None and b is None else (a or 0) - (b or 0)) for a, b in zip(new[:8], old[:8], strict=True)
    )


def swapped(v: Values) -> Values:
    """Counts of a line that is mounted the other way round."""
    return (v[1], v[0], v[3], v[2], v[5], v[4], v[7], v[6])


class Series(msgspec.Struct, array_like=True):
    """Minutes and buckets of one line, or of the whole store.

    `before`: minutes touched since the last propagation, with a copy of what was already passed on. `unsent`: to be written.
    `open`: written before they were complete.
    """

    minutes: dict[int, Sums] = {}
    buckets: dict[str, dict[int, Sums]] = {}
    before: dict[int, Sums | None] = {}
    unsent: set[int] = set()
    open: set[int] = set()
    unsent_buckets: dict[str, set[int]] = {}
    open_buckets: dict[str, set[int]] = {}

    def gain(self, minute: int, more: Sums) -> None:
        """Add to a minute, and note what it was before."""
        cell = self.minutes.get(minute)
        self.unsent.add(minute)
        if cell is None:
            self.minutes[minute] = more.copy()
            self.before[minute] = None
            return
        if minute not in self.before:
            self.before[minute] = cell.copy()
        merge(cell, more)

    def bucket(self, step: str, start: int) -> Sums:
        held = self.buckets.setdefault(step, {})
        found = held.get(start)
        if found is None:
            found = held[start] = empty()
        self.unsent_buckets.setdefault(step, set()).add(start)
        return found
