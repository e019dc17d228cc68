"""Tallies of one store by subject (device and zone, say): minutes, and quarters, hours and days of civil time.

The same rules as for crossings (operators/traffic.py): rows are written while they are open, corrected in place within the
horizon; what is later goes to the buckets that are still open, and the caller asks for a repair of its civil day. With an
endless horizon this is what repair, rebuild and audit run.
"""

from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import msgspec

from operators.calendar import bucket, local_start, utc_offset
from operators.ingest import horizon_of
from operators.spans import Spans, covers, joined, since
from operators.spread import MINUTE
from operators.tallies import Tally, add
from operators.traffic import BUCKET_PACE_S, FOREVER, GRACE_S, STEPS
from schemas.sites import Site
from schemas.tables import GENERATION

LAST = "last"
"""The value at the end of a minute. A bucket has that of its last minute, and as `first` that of its first one."""
_KEPT_S = 3 * 86_400


class Cell(msgspec.Struct, array_like=True, gc=False):
    """A minute or a bucket: its tally, contributions of distinct observations, the newest arrival among them (epoch ms)."""

    tally: Tally = {}
    n: int = 0
    known: int = 0


class Strand(msgspec.Struct, array_like=True):
    """Minutes and buckets of one subject.

    `unsent`: to be written; `open`: written before they were complete. `covered`: by name the seconds of the last days of
    which something is known, so that a late report on seconds that nobody knew can be added without a doubt. `left`:
    buckets that only a repair can tell, because a late report corrected a minute that is not remembered any more.
    """

    minutes: dict[int, Cell] = {}
    buckets: dict[str, dict[int, Cell]] = {}
    unsent: set[int] = set()
    open: set[int] = set()
    unsent_buckets: dict[str, set[int]] = {}
    open_buckets: dict[str, set[int]] = {}
    covered: dict[str, Spans] = {}
    left: dict[str, set[int]] = {}


class RollupState(msgspec.Struct, array_like=True):
    """Strands by device and number of the zone or line."""

    strands: dict[str, dict[int, Strand]] = {}
    sent_at: int = 0
    next_close: int = FOREVER


MinuteRow = Callable[[str, int, int, Cell, bool], tuple[Any, ...]]
"""(device, part, minute, cell, complete) -> row."""
BucketRow = Callable[[str, int, "Bucket", Cell, bool], tuple[Any, ...]]


class Bucket(msgspec.Struct, frozen=True):
    """A bucket of civil time: epoch seconds, wall clock of the store, offset."""

    step: str
    start: int
    end: int
    local: int
    offset: int


class Rollup:
    """All subjects of one store. `horizon`: seconds, None for the store's own; `generation`: see schemas.rows."""

    def __init__(self, site: Site, horizon: int | None, state: RollupState | None, generation: int = 0) -> None:
        self.site, self.state = site, state or RollupState()
        self.horizon = horizon_of(site) if horizon is None else horizon
        self.base = generation * GENERATION
        self.close_after = max([60, *(d.interval_s for d in site.devices.values())]) + GRACE_S
        self.dirty = False
        self._turn = crc32(site.id.encode()) % BUCKET_PACE_S

    def strand(self, device: str, part: int) -> Strand:
        parts = self.state.strands.setdefault(device, {})
        found = parts.get(part)
        if found is None:
            found = parts[part] = Strand()
        return found

    def all(self) -> Iterator[tuple[str, int, Strand]]:
        for device, parts in self.state.strands.items():
            for part, strand in parts.items():
                yield device, part, strand

    # -- in --------------------------------------------------------------------------------------------------------------

    def late(self, minute: int, now: int) -> bool:
        """Whether a minute is beyond the horizon, so that only a repair can write it."""
        return minute + MINUTE + self.horizon <= now

    def gain(self, strand: Strand, minute: int, more: Tally, known: int, now: int) -> bool:
        """One observation adds `more` to a minute; False when it is too late for that: the caller asks for a repair.

        `more` may take away what it corrects. Buckets that are still held take it in any case.
        """
        self.dirty = True
        in_time = not self.late(minute, now)
        if in_time:
            _merge(strand.minutes.setdefault(minute, Cell()), more, known)
            strand.unsent.add(minute)
        shared, last = {name: values for name, values in more.items() if name != LAST}, more.get(LAST)
        for step in STEPS:
            start, end = bucket(self.site.zone, minute, step)
            if in_time or end + self.horizon > now:
                cell = strand.buckets.setdefault(step, {}).setdefault(start, Cell())
                _merge(cell, shared, known)
                if last and minute == start:
                    add(cell.tally, {"first": last})
                if last and minute + MINUTE == end:
                    add(cell.tally, {LAST: last})
                strand.unsent_buckets.setdefault(step, set()).add(start)
        return in_time

    def cover(self, strand: Strand, name: str, start: int, end: int) -> None:
        """Something is known of [start, end) now."""
        strand.covered[name] = joined(strand.covered.get(name, []), start, end)

    def is_covered(self, strand: Strand, name: str, start: int, end: int) -> bool:
        return covers(strand.covered.get(name, []), start, end)

    def leave(self, strand: Strand, minute: int, now: int) -> None:
        """A late report corrects a minute that is not remembered: the buckets over it are the repair's from now on."""
        for step in STEPS:
            start, end = bucket(self.site.zone, minute, step)
            if end + self.horizon > now:
                strand.left.setdefault(step, set()).add(start)

    def closed_left(self, now: int) -> set[int]:
        """Starts of buckets that were left to the repair and are over: to be asked for once more, then forgotten.

        What was not written of them until now must not be: the repair's row may have the same revision.
        """
        found: set[int] = set()
        for _, _, strand in self.all():
            for step, starts in strand.left.items():
                over = {s for s in starts if bucket(self.site.zone, s, step)[1] + self.horizon <= now}
                starts -= over
                for waiting in (strand.unsent_buckets, strand.open_buckets):
                    if step in waiting:
                        waiting[step] -= over
                found |= over
        return found

    # -- out -------------------------------------------------------------------------------------------------------------

    def flush(self, now: int, force: bool, minute_row: MinuteRow, bucket_row: BucketRow) -> tuple[list[Any], list[Any]]:
        """Rows of minutes and of buckets that changed or became complete; forgets what the horizon has passed.

        Buckets are written every 10 s, each store at its own second, or at once when `force`.
        """
        state, next_close = self.state, FOREVER
        self.dirty = False
        minutes: list[Any] = []
        for device, part, strand in self.all():
            next_close = min(next_close, self._minutes(device, part, strand, now, minute_row, minutes))
        buckets: list[Any] = []
        turn = (now + self._turn) // BUCKET_PACE_S > (state.sent_at + self._turn) // BUCKET_PACE_S
        if force or turn or now >= state.next_close:
            state.sent_at = now
            for device, part, strand in self.all():
                next_close = min(next_close, self._buckets(device, part, strand, now, bucket_row, buckets))
                self._forget(strand, now)
        else:
            self.dirty = any(any(s.unsent_buckets.values()) for _, _, s in self.all())
            next_close = min(next_close, state.next_close)
        state.next_close = next_close
        return minutes, buckets

    def _minutes(self, device: str, part: int, strand: Strand, now: int, row: MinuteRow, rows: list[Any]) -> int:
        done_before = now - self.close_after - MINUTE
        todo = strand.unsent | {m for m in strand.open if m <= done_before}
        strand.unsent = set()
        for minute in sorted(todo):
            complete = minute <= done_before
            rows.append(row(device, part, minute, strand.minutes[minute], complete))
            (strand.open.discard if complete else strand.open.add)(minute)
        return min(strand.open) + self.close_after + MINUTE if strand.open else FOREVER

    def _buckets(self, device: str, part: int, strand: Strand, now: int, row: BucketRow, rows: list[Any]) -> int:
        zone, next_close = self.site.zone, FOREVER
        for step in STEPS:
            opened = strand.open_buckets.setdefault(step, set())
            opened -= strand.left.get(step, set())
            todo = strand.unsent_buckets.get(step, set()) - strand.left.get(step, set())
            strand.unsent_buckets[step] = set()
            todo |= {s for s in opened if bucket(zone, s, step)[1] + self.close_after <= now}
            for start in sorted(todo):
                end = bucket(zone, start, step)[1]
                complete = end + self.close_after <= now
                at = Bucket(step, start, end, local_start(zone, start), utc_offset(zone, start // 900))
                rows.append(row(device, part, at, strand.buckets[step][start], complete))
                (opened.discard if complete else opened.add)(start)
            if opened:
                next_close = min(next_close, min(bucket(zone, s, step)[1] for s in opened) + self.close_after)
        return next_close

    def _forget(self, strand: Strand, now: int) -> None:
        for minute in [m for m in strand.minutes if self.late(m, now) and m not in strand.open and m not in strand.unsent]:
            del strand.minutes[minute]
        for step, held in strand.buckets.items():
            opened = strand.open_buckets.get(step, set())
            for start in [s for s in held if s not in opened and bucket(self.site.zone, s, step)[1] + self.horizon <= now]:
                del held[start]
        for name, spans in strand.covered.items():
            strand.covered[name] = since(spans, now - self.horizon - _KEPT_S)


def _merge(cell: Cell, more: Tally, known: int) -> None:
    add(cell.tally, more)
    cell.n += 1
    cell.known = max(cell.known, known)
