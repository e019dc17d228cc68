"""Crossings of one store: minutes per line, their sum per store, and quarters, hours and days in civil time.

Accepted events go in; rows come out of `flush`, each with its revision. The lane keeps minutes and buckets until the horizon
has passed; what is later goes to the sums that are still open and asks for a repair of its civil day. The same class with an
endless horizon is what repair, rebuild and audit run.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from operators.calendar import bucket, local_start, utc_offset
from operators.ingest import Accepted, values_of
from operators.memory import Values
from operators.plain_runs import Minutes, Part, Run, by_quarter, quarters_of, runs_of, total_of
from operators.spread import MINUTE, spread
from operators.sums import KNOWN, MEASURED, NOTHING, N, Series, Sums, difference, gained, merge, swapped
from schemas.events import LineCount, Plain
from schemas.forms import MINUTE_RUNS, PLAIN_LINE_MINUTES, PLAIN_SITE_MINUTES, SITE_RUNS
from schemas.sites import Site
from schemas.tables import GENERATION

STEPS = ("15m", "1h", "1d")
GRACE_S = 30
"""A bucket is complete one report interval and this long after its end."""
BUCKET_PACE_S = 10
"""Open buckets are written about this often."""
FOREVER = 1 << 40

LineKey = tuple[str, int]
Rows = dict[str, list[Any]]


class Change(msgspec.Struct, gc=False):
    """Crossings of one entrance line in one minute grew by so much (negative after a correction)."""

    device: str
    line: int
    minute: int
    people_in: int
    people_out: int
    seconds: int
    known: int


class Told(NamedTuple):
    """Where a count comes from: device, line, length of the report in seconds, arrival in epoch ms."""

    device: str
    line: int
    resolution: int
    arrival: int


class TrafficState(msgspec.Struct, array_like=True):
    lines: dict[str, dict[int, Series]] = {}
    total: Series = msgspec.field(default_factory=Series)
    buckets_sent_at: int = 0
    next_close: int = 0


class Placed(NamedTuple):
    """A line as it counts: its series, whether it is an entrance, whether its direction is swapped, what counts on it."""

    series: Series
    entrance: bool
    swap: bool
    source: str


def _plain_sums(into: int, out: int, n: int, known: int) -> Sums:
    """Sums of `n` reports over a minute each that tell no classes apart."""
    return [into, out, None, None, None, None, None, None, MINUTE * n, MINUTE, n, known]


def counted(a: Accepted, event: LineCount, swap: bool) -> list[tuple[int, int, Values]]:
    """(minute, covered seconds, values) that an accepted count adds. `swap`: the line is mounted the other way round.

    A correction adds new minus old; a superseded report adds knowledge only.
    """
    new = swapped(values_of(event)) if swap else values_of(event)
    fresh = spread(a.start, a.end, new)
    if a.verdict == "new":
        return fresh
    if a.before is None:
        return [(m, 0, NOTHING) for m, _, _ in fresh]
    old = spread(a.start, a.end, swapped(a.before) if swap else a.before)
    return [(m, 0, difference(v, o)) for (m, _, v), (_, _, o) in zip(fresh, old, strict=True)]


class Traffic:
    """Minutes and roll-ups of one store. `horizon`: seconds; endless for recomputations. `generation`: see schemas.rows."""

    def __init__(self, site: Site, horizon: int, state: TrafficState | None = None, generation: int = 0) -> None:
        self.site, self.horizon = site, horizon
        self.state = state or TrafficState()
        self.base = generation * GENERATION
        longest = max([60, *(d.interval_s for d in site.devices.values())])
        self.close_after = longest + GRACE_S
        self.entrances = sum(1 for d in site.devices.values() for ln in d.lines.values() if ln.role == "entrance")
        self.dirty = True
        self._turn = crc32(site.id.encode()) % BUCKET_PACE_S
        self._placed: dict[LineKey, Placed] = {}
        self._waiting: list[Plain] = []

    # -- in --------------------------------------------------------------------------------------------------------------

    def _place(self, device: str, line: int) -> Placed:
        found = self._placed.get((device, line))
        if found is None:
            entry = self.site.entry(device)
            series = self.state.lines.setdefault(device, {}).setdefault(line, Series())
            found = Placed(series, entry.line(line).role == "entrance", entry.swapped(line), entry.source(line))
            self._placed[device, line] = found
        return found

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int = 0) -> None:
        """Count plain reports that are new, in order and in time.

        They only wait until somebody wants to see sums: the reports of a device are then counted together, which is many
        times faster than touching the memory of another device with each of them.
        """
        self._waiting.extend(reports)
        self.dirty = True
        if changes is not None:
            for report in reports:
                self._tell(report, changes)

    def _tell(self, plain: Plain, changes: list[Change]) -> None:
        """What a plain report adds to entrance lines."""
        device, start, end, arrival = plain.device, plain.start, plain.end, plain.arrival
        for line, into, out in zip(plain.lines, plain.counts[::2], plain.counts[1::2], strict=True):
            _, entrance, swap, source = self._place(device, line)
            if not entrance or source != "window":
                continue
            values: Values = (out, into, *NOTHING[2:]) if swap else (into, out, *NOTHING[2:])
            for minute, seconds, v in spread(start, end, values):
                changes.append(Change(device, line, minute, v[0], v[1], seconds, arrival))

    def _count_waiting(self) -> None:
        """Count the plain reports that wait, minute by minute. They were in time when they were taken."""
        waiting, self._waiting = self._waiting, []
        now, never = 0, set[int]()
        for plain in waiting:
            start, end = plain.start, plain.end
            for line, into, out in zip(plain.lines, plain.counts[::2], plain.counts[1::2], strict=True):
                series, entrance, swap, source = self._place(plain.device, line)
                if source != "window":
                    continue
                if swap:
                    into, out = out, into
                at = Told(plain.device, line, end - start, plain.arrival)
                for minute, seconds, values in spread(start, end, (into, out, None, None, None, None, None, None)):
                    self._touch(at, series, entrance, minute, seconds, values, now, None, never)

    def _write_waiting(self, now: int, out: Rows) -> None:
        """Count the plain reports that wait and write their rows in one go, without the way through minutes that change.

        That minutes of a run are new, and ascend, follows from the order: a plain report begins where the newest window of
        its device ended, or later. What is in no run goes the way of `_count_waiting`.
        """
        runs, self._waiting = runs_of(self._waiting)
        self.propagate()  # so that what is new to the store's minutes can be told
        parts: list[Part] = []
        for run in runs:
            self._write_run(run, now, out.setdefault(MINUTE_RUNS.name, []), parts)
        if parts:
            self._write_total(total_of(parts), now, out.setdefault(SITE_RUNS.name, []))

    def _write_run(self, run: Run, now: int, rows: list[Any], parts: list[Part]) -> None:
        """Rows of new minutes of one device; `parts` takes those of entrances."""
        start, known = run.start, run.known
        complete, gone = (bisect_right(start, now - after - MINUTE) for after in (self.close_after, self.horizon))
        quarters = [(bucket(self.site.zone, start[a], "15m")[0], a, b, at) for a, b, at in quarters_of(start, known)]
        for line, into, out in zip(run.lines, run.counts[::2], run.counts[1::2], strict=True):
            series, entrance, swap, source = self._place(run.device, line)
            if source != "window":
                continue
            if swap:
                into, out = out, into
            rows.append((self.site.id, run.device, line, start, into, out, known, complete, self.base + 1))
            if entrance:
                parts.append(Part(start, into, out, known))
            series.open.update(start[complete:])
            for minute, i, o, at in zip(start[gone:], into[gone:], out[gone:], known[gone:], strict=True):
                series.minutes[minute] = [i, o, None, None, None, None, None, None, MINUTE, MINUTE, 1, at]
            for quarter, a, b, at in quarters:
                self._add_to_buckets(series, quarter, _plain_sums(sum(into[a:b]), sum(out[a:b]), b - a, at))

    def _write_total(self, gains: Minutes, now: int, rows: list[Any]) -> None:
        """Add to the store's minutes; rows at once of those that are new, nearly all of them."""
        total = self.state.total
        if not total.minutes.keys().isdisjoint(gains.start.tolist()):
            known = np.array([minute in total.minutes for minute in gains.start.tolist()])
            for minute, *gain in zip(*(column[known].tolist() for column in gains), strict=True):
                total.gain(minute, _plain_sums(*gain))
            gains = Minutes(*(column[~known] for column in gains))
        if not gains.start.size:
            return
        complete, gone = (
            int(np.searchsorted(gains.start, now - s - MINUTE, "right")) for s in (self.close_after, self.horizon)
        )
        rows.append((self.site.id, *gains, complete, MINUTE * self.entrances, self.base))
        total.open.update(gains.start[complete:].tolist())
        for minute, *gain in zip(*(column[gone:].tolist() for column in gains), strict=True):
            total.minutes[minute] = _plain_sums(*gain)
        for minute, *gain in by_quarter(gains):
            self._add_to_buckets(total, bucket(self.site.zone, minute, "15m")[0], _plain_sums(*gain))

    def _add_to_buckets(self, series: Series, start: int, delta: Sums) -> None:
        """Add what a quarter of an hour gained to it, to its hour and to its day."""
        for step in STEPS:
            merge(series.bucket(step, start if step == "15m" else bucket(self.site.zone, start, step)[0]), delta)

    def take(self, a: Accepted, now: int, changes: list[Change] | None, repairs: set[int]) -> None:
        """Count one accepted event. `changes` collects what entrance lines gained, `repairs` the minutes that came too late."""
        event = a.event
        if type(event) is not LineCount or a.verdict == "overlap":
            return
        if self._waiting:
            self._count_waiting()
        device = a.from_.report.device
        series, entrance, swap, source = self._place(device, event.line)
        if event.kind != source:
            return
        if a.verdict == "earlier":
            repairs.add(a.start)
            return
        at = Told(device, event.line, a.end - a.start, a.arrival)
        for minute, seconds, values in counted(a, event, swap):
            self._touch(at, series, entrance, minute, seconds, values, now, changes, repairs)

    def _touch(
        self,
        at: Told,
        series: Series,
        entrance: bool,
        minute: int,
        seconds: int,
        values: Values,
        now: int,
        changes: list[Change] | None,
        repairs: set[int],
    ) -> None:
        device, line, resolution, arrival = at
        if entrance and changes is not None:
            changes.append(Change(device, line, minute, values[0], values[1], seconds, arrival))
        self.dirty = True
        if minute + MINUTE + self.horizon <= now:
            self._late(series, entrance, minute, seconds, values, resolution, arrival, now)
            repairs.add(minute)
            return
        series.gain(minute, [*values, seconds, resolution, 1, arrival])

    def _late(
        self, series: Series, entrance: bool, minute: int, seconds: int, values: Values, resolution: int, known: int, now: int
    ) -> None:
        """Beyond the horizon: the sums that are still held take it at once, the rest is the repair's."""
        for step in STEPS:
            start, end = bucket(self.site.zone, minute, step)
            if end + self.horizon <= now:
                continue
            for of in (series, self.state.total) if entrance else (series,):
                merge(of.bucket(step, start), [*values, seconds, resolution, 1, known])

    # -- sums ------------------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[str, int, Series, bool]]:
        for device, lines in self.state.lines.items():
            entry = self.site.devices.get(device)
            for line, series in lines.items():
                yield device, line, series, entry is None or entry.line(line).role == "entrance"

    def propagate(self) -> None:
        """Pass what changed in the lines' minutes on to the store's minutes and to the buckets."""
        if self._waiting:
            self._count_waiting()
        total = self.state.total
        for _, _, series, entrance in self._all():
            if series.before:
                self._roll(series, total if entrance else None)
        if total.before:
            self._roll(total, None)

    def _roll(self, series: Series, total: Series | None) -> None:
        zone, minutes = self.site.zone, series.minutes
        touched: dict[int, Sums] = {}
        start = end = 0
        for minute, old in series.before.items():
            cell = minutes[minute]
            more = cell if old is None else gained(cell, old)
            if not start <= minute < end:
                start, end = bucket(zone, minute, "15m")
            delta = touched.get(start)
            if delta is None:
                touched[start] = more.copy()
            else:
                merge(delta, more)
            if total is not None:
                total.gain(minute, more)
        series.before.clear()
        for start, delta in touched.items():
            self._add_to_buckets(series, start, delta)

    def quarter(self, start: int) -> Sums | None:
        """Sums of the store's quarter of an hour that begins then, None when nothing was reported."""
        self.propagate()
        return self.state.total.buckets.get("15m", {}).get(start)

    # -- out -------------------------------------------------------------------------------------------------------------

    def flush(self, now: int, force: bool, out: Rows) -> None:
        """Write changed rows, and those that have become complete, to `out` by table; forget what the horizon has passed.

        Buckets are written every 10 s, or at once when `force`.
        """
        if self._waiting:
            self._write_waiting(now, out)
        self.propagate()
        self.dirty = False
        state = self.state
        next_close = FOREVER
        plain, long = out.setdefault(PLAIN_LINE_MINUTES.name, []), out.setdefault("line_minutes", [])
        for device, line, series, _ in self._all():
            next_close = min(next_close, self._minutes(series, (self.site.id, device, line), now, plain, long))
        plain, long = out.setdefault(PLAIN_SITE_MINUTES.name, []), out.setdefault("site_minutes", [])
        next_close = min(next_close, self._minutes(state.total, None, now, plain, long))
        # Each store has its own second for it: all of them at once would make everybody's rows wait.
        turn = (now + self._turn) // BUCKET_PACE_S > (state.buckets_sent_at + self._turn) // BUCKET_PACE_S
        if force or turn or now >= state.next_close:
            state.buckets_sent_at = now
            for device, line, series, _ in self._all():
                next_close = min(
                    next_close, self._buckets(series, (self.site.id, device, line), now, out.setdefault("line_buckets", []))
                )
            next_close = min(next_close, self._buckets(state.total, None, now, out.setdefault("site_buckets", [])))
            self._forget(now)
        else:
            self.dirty = True
            next_close = min(next_close, state.next_close)
        state.next_close = next_close

    def _minutes(
        self, series: Series, head: tuple[Any, ...] | None, now: int, plain: list[tuple[Any, ...]], long: list[tuple[Any, ...]]
    ) -> int:
        """Rows of one series' minutes; returns when the next of its open minutes will be complete.

        `head`: store, device and line; None for the store's own. `plain` takes the rows without classes, `long` the others.
        """
        done_before = now - self.close_after - MINUTE
        todo = series.unsent
        if series.open:
            todo = todo | {m for m in series.open if m <= done_before}
        series.unsent = set()
        expected, base, site = MINUTE * self.entrances, self.base, self.site.id
        for minute in todo:
            c = series.minutes.get(minute)
            if c is None:
                continue
            complete = 1 if minute <= done_before else 0
            people_in, people_out, c2, c3, c4, c5, c6, c7, measured, resolution, n, known = c
            classless = c2 is c3 is c4 is c5 is c6 is c7 is None
            rows = plain if classless else long
            values = (people_in, people_out) if classless else c[:8]
            if head is not None:
                covered = measured if measured < MINUTE else MINUTE
                rows.append((*head, minute, *values, covered, resolution, complete, base + n, known))
            else:
                rows.append((site, minute, *values, measured, expected, complete, base + n, known))
            if complete:
                series.open.discard(minute)
            else:
                series.open.add(minute)
        return min(series.open) + self.close_after + MINUTE if series.open else FOREVER

    def _buckets(self, series: Series, head: tuple[Any, ...] | None, now: int, rows: list[tuple[Any, ...]]) -> int:
        zone, next_close = self.site.zone, FOREVER
        for step in STEPS:
            opened = series.open_buckets.setdefault(step, set())
            todo = series.unsent_buckets.get(step, set())
            series.unsent_buckets[step] = set()
            closing = {s for s in opened if bucket(zone, s, step)[1] + self.close_after <= now}
            for start in todo | closing:
                b = series.buckets[step][start]
                end = bucket(zone, start, step)[1]
                complete = 1 if end + self.close_after <= now else 0
                tail = (step, start, end, local_start(zone, start), utc_offset(zone, start // 900), *b[:8], b[MEASURED])
                if head is not None:
                    rows.append((*head, *tail, end - start, complete, self.base + b[N], b[KNOWN]))
                else:
                    expected = (end - start) * self.entrances
                    rows.append((self.site.id, *tail, expected, complete, self.base + b[N], b[KNOWN]))
                (opened.discard if complete else opened.add)(start)
            if opened:
                next_close = min(next_close, min(bucket(zone, s, step)[1] for s in opened) + self.close_after)
        return next_close

    def _forget(self, now: int) -> None:
        limit = now - self.horizon
        for series in (*(s for _, _, s, _ in self._all()), self.state.total):
            gone = [m for m in series.minutes if m + MINUTE <= limit and m not in series.open and m not in series.unsent]
            for minute in gone:
                del series.minutes[minute]
            for step, held in series.buckets.items():
                kept = series.open_buckets.get(step, set()) | series.unsent_buckets.get(step, set())
                for start in [s for s in held if s not in kept and bucket(self.site.zone, s, step)[1] <= limit]:
                    del held[start]
