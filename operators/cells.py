"""Sums by civil bucket and key that grow while reports come and are written again while they change; for flows that only add.

A cell holds numbers that add up, how many observations contributed, and the newest arrival among them. What belongs to a
bucket whose end the horizon has passed is late: the caller asks for a repair instead.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from operators.calendar import bucket

PACE_S = 10
"""Changed cells are written at most this often."""

Key = tuple[str, ...]


class Cell(msgspec.Struct, array_like=True):
    """`sums`: numbers that add up; `n`: observations that contributed; `known`: newest arrival, epoch ms."""

    sums: list[float]
    n: int = 0
    known: int = 0


class Written(NamedTuple):
    """A cell that is to be written: bucket [start, end), its key, itself, whether the bucket is over."""

    start: int
    end: int
    key: Key
    cell: Any
    complete: int


class Pending(msgspec.Struct, array_like=True):
    """What is to be written of figures in buckets of one `step` (15m, 1h, 1d), of one store.

    `unsent`: changed keys by bucket; `open`: buckets that were written before they were over; `sent_at`: store time of the last
    writing.
    """

    step: str
    unsent: dict[int, set[Key]] = {}
    open: set[int] = set()
    sent_at: int = 0

    def mark(self, start: int, key: Key) -> None:
        """A key of the bucket that begins then has changed."""
        self.unsent.setdefault(start, set()).add(key)

    def turn(self, now: int, force: bool) -> bool:
        """Whether it is time to write."""
        return force or now // PACE_S > self.sent_at // PACE_S

    def due(self, zone: str, now: int, close_after: int, horizon: int, held: dict[int, dict[Key, Any]]) -> Iterator[Written]:
        """What changed, and everything of buckets that have become complete, in order; then takes from `held` what the
        horizon has passed."""
        self.sent_at = now
        for start in sorted(self.unsent.keys() | self.open):
            end = bucket(zone, start, self.step)[1]
            complete = end + close_after <= now
            keys = held[start].keys() if complete and start in self.open else self.unsent.get(start, set())
            for key in sorted(keys):
                yield Written(start, end, key, held[start][key], int(complete))
            (self.open.discard if complete else self.open.add)(start)
        self.unsent = {}
        for start in [s for s in held if s not in self.open and bucket(zone, s, self.step)[1] + horizon <= now]:
            del held[start]


class Cells(msgspec.Struct, array_like=True):
    """Cells of one store in buckets of one step, by start and key."""

    pending: Pending
    held: dict[int, dict[Key, Cell]] = {}

    @property
    def step(self) -> str:
        return self.pending.step

    @property
    def unsent(self) -> bool:
        return bool(self.pending.unsent)

    def add(self, start: int, key: Key, sums: Sequence[float], known: int, n: int = 1) -> None:
        """Add to the cell of a key in the bucket that begins then."""
        there = self.held.setdefault(start, {})
        cell = there.get(key)
        if cell is None:
            there[key] = Cell(list(sums), n, known)
        else:
            cell.sums = [a + b for a, b in zip(cell.sums, sums, strict=True)]
            cell.n += n
            cell.known = max(cell.known, known)
        self.pending.mark(start, key)

    def due(self, zone: str, now: int, close_after: int, horizon: int) -> list[Written]:
        """As in `Pending`."""
        return list(self.pending.due(zone, now, close_after, horizon, self.held))

    def turn(self, now: int, force: bool) -> bool:
        """As in `Pending`."""
        return self.pending.turn(now, force)

    def late(self, zone: str, moment: int, now: int, horizon: int) -> bool:
        """Whether the bucket of a moment is beyond the horizon."""
        return bucket(zone, moment, self.step)[1] + horizon <= now


def hourly() -> Cells:
    """Nothing yet, by civil hour."""
    return Cells(Pending("1h"))


def daily() -> Cells:
    """Nothing yet, by civil day."""
    return Cells(Pending("1d"))
