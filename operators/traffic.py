"""Crossings of one store: minutes per line, their sum per store, and quarters, hours and days in civil time.

Accepted events go in; rows come out of `flush`, each with its revision. The lane keeps minutes and buckets until the horizon
has passed; what is later goes to the sums that are still open and asks for a repair of its civil day. The same class with an
endless horizon is what repair, rebuild and audit run.

Sums are lists (see the indexes below), because a lane touches hundreds of thousands of them a second.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from operators.calendar import bucket, local_start, utc_offset
from operators.ingest import Accepted
from operators.memory import Values
from operators.spread import MINUTE, spread
from schemas.events import LineCount
from schemas.rows import GENERATION
from schemas.sites import Site

MEASURED, RESOLUTION, N, KNOWN = 8, 9, 10, 11
STEPS = ("15m", "1h", "1d")
GRACE_S = 30
"""A bucket is complete one report interval and this long after its end."""
BUCKET_PACE_S = 10
"""Open buckets are written at most this often."""
FOREVER = 1 << 40
NOTHING = (0, 0, None, None, None, None, None, None)

Sums = list[Any]
LineKey = tuple[str, int]


def _empty() -> Sums:
    return [0, 0, None, None, None, None, None, None, 0, 0, 0, 0]


def _add(to: Sums, values: Any, seconds: int, resolution: int, n: int, known: int) -> None:
    """Add eight counts, covered seconds and knowledge to sums; None is "not measured"."""
    to[0] += values[0]
    to[1] += values[1]
    if values.count(None) != 6:  # six: a device that does not tell classes apart, which is the common one
        for i in range(2, 8):
            v = values[i]
            if v is not None:
                was = to[i]
                to[i] = v if was is None else was + v
    to[MEASURED] += seconds
    if resolution > to[RESOLUTION]:
        to[RESOLUTION] = resolution
    to[N] += n
    if known > to[KNOWN]:
        to[KNOWN] = known


def _difference(new: Any, old: Any) -> Values:
    return tuple(  # type: ignore[return-value]  # eight values, as in `Values`
        (None if a is None and b is None else (a or 0) - (b or 0)) for a, b in zip(new[:8], old[:8], strict=True)
    )


def _swapped(v: Values) -> Values:
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

    def bucket(self, step: str, start: int) -> Sums:
        held = self.buckets.setdefault(step, {})
        found = held.get(start)
        if found is None:
            found = held[start] = _empty()
        self.unsent_buckets.setdefault(step, set()).add(start)
        return found


class Change(msgspec.Struct, gc=False):
    """Crossings of one entrance line in one minute grew by so much (negative after a correction)."""

    device: str
    line: int
    minute: int
    people_in: int
    people_out: int
    seconds: int
    known: int


class TrafficState(msgspec.Struct, array_like=True):
    lines: dict[str, dict[int, Series]] = {}
    total: Series = msgspec.field(default_factory=Series)
    buckets_sent_at: int = 0
    next_close: int = 0


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
        self._placed: dict[LineKey, tuple[Series, bool, bool, str]] = {}

    # -- in --------------------------------------------------------------------------------------------------------------

    def _place(self, a: Accepted, line: int) -> tuple[Series, bool, bool, str]:
        """The line's series, whether it is an entrance, whether its direction is swapped, and what counts on it."""
        device = a.from_.report.device
        found = self._placed.get((device, line))
        if found is None:
            series = self.state.lines.setdefault(device, {}).setdefault(line, Series())
            entry = a.device
            found = series, entry.line(line).role == "entrance", entry.swapped(line), entry.source(line)
            self._placed[device, line] = found
        return found

    def take(self, a: Accepted, now: int, changes: list[Change] | None, repairs: set[int]) -> None:
        """Count one accepted event. `changes` collects what entrance lines gained, `repairs` the minutes that came too late."""
        event = a.event
        if type(event) is not LineCount or a.verdict == "overlap":
            return
        series, entrance, swap, source = self._place(a, event.line)
        if event.kind != source:
            return
        if a.verdict == "earlier":
            repairs.add(a.start)
            return
        e = event
        new: Values = (e.people_in, e.people_out, e.child_in, e.child_out, e.staff_in, e.staff_out, e.group_in, e.group_out)
        if swap:
            new = _swapped(new)
        if a.verdict == "new":
            if a.end - a.start == MINUTE and a.start % MINUTE == 0:
                self._touch(a, series, entrance, a.start, MINUTE, new, now, changes, repairs)
                return
            parts = spread(a.start, a.end, new)
        else:
            parts = self._corrected(a, new, swap)
        for minute, seconds, values in parts:
            self._touch(a, series, entrance, minute, seconds, values, now, changes, repairs)
        self.dirty = True

    def _corrected(self, a: Accepted, new: Values, swap: bool) -> list[tuple[int, int, Values]]:
        """What a correction adds to each minute: new minus old; a superseded report adds knowledge only."""
        fresh = spread(a.start, a.end, new)
        if a.before is None:
            return [(m, 0, NOTHING) for m, _, _ in fresh]
        old = spread(a.start, a.end, _swapped(a.before) if swap else a.before)
        return [(m, 0, _difference(v, o)) for (m, _, v), (_, _, o) in zip(fresh, old, strict=True)]

    def _touch(
        self,
        a: Accepted,
        series: Series,
        entrance: bool,
        minute: int,
        seconds: int,
        values: Values,
        now: int,
        changes: list[Change] | None,
        repairs: set[int],
    ) -> None:
        resolution = a.end - a.start
        if entrance and changes is not None:
            changes.append(Change(a.from_.report.device, a.event.line, minute, values[0], values[1], seconds, a.arrival))  # type: ignore[union-attr]  # a LineCount
        self.dirty = True
        if minute + MINUTE + self.horizon <= now:
            self._late(series, entrance, minute, seconds, values, resolution, a.arrival, now)
            repairs.add(minute)
            return
        cell = series.minutes.get(minute)
        if cell is None:
            series.before[minute] = None
            series.minutes[minute] = [*values, seconds, resolution, 1, a.arrival]
        else:
            if minute not in series.before:
                series.before[minute] = cell.copy()
            _add(cell, values, seconds, resolution, 1, a.arrival)
        series.unsent.add(minute)

    def _late(
        self, series: Series, entrance: bool, minute: int, seconds: int, values: Values, resolution: int, known: int, now: int
    ) -> None:
        """Beyond the horizon: the sums that are still held take it at once, the rest is the repair's."""
        for step in STEPS:
            start, end = bucket(self.site.zone, minute, step)
            if end + self.horizon <= now:
                continue
            for of in (series, self.state.total) if entrance else (series,):
                _add(of.bucket(step, start), values, seconds, resolution, 1, known)

    # -- sums ------------------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[str, int, Series, bool]]:
        for device, lines in self.state.lines.items():
            entry = self.site.devices.get(device)
            for line, series in lines.items():
                yield device, line, series, entry is None or entry.line(line).role == "entrance"

    def propagate(self) -> None:
        """Pass what changed in the lines' minutes on to the store's minutes and to the buckets."""
        total = self.state.total
        for _, _, series, entrance in self._all():
            if series.before:
                self._roll(series, total if entrance else None)
        if total.before:
            self._roll(total, None)

    def _roll(self, series: Series, total: Series | None) -> None:
        zone = self.site.zone
        touched: dict[int, Sums] = {}
        for minute, old in series.before.items():
            cell = series.minutes[minute]
            values: Any
            if old is None:
                values, seconds, n = cell[:8], cell[MEASURED], cell[N]
            else:
                values, seconds, n = _difference(cell, old), cell[MEASURED] - old[MEASURED], cell[N] - old[N]
            resolution, known = cell[RESOLUTION], cell[KNOWN]
            start, _ = bucket(zone, minute, "15m")
            delta = touched.get(start)
            if delta is None:
                delta = touched[start] = _empty()
            _add(delta, values, seconds, resolution, n, known)
            if total is not None:
                self._to_total(total, minute, values, seconds, resolution, n, known)
        series.before.clear()
        for start, delta in touched.items():
            for step in STEPS:
                of = start if step == "15m" else bucket(zone, start, step)[0]
                _add(series.bucket(step, of), delta, delta[MEASURED], delta[RESOLUTION], delta[N], delta[KNOWN])

    @staticmethod
    def _to_total(total: Series, minute: int, values: Any, seconds: int, resolution: int, n: int, known: int) -> None:
        cell = total.minutes.get(minute)
        if cell is None:
            cell = total.minutes[minute] = _empty()
            total.before[minute] = None
        elif minute not in total.before:
            total.before[minute] = cell.copy()
        _add(cell, values, seconds, resolution, n, known)
        total.unsent.add(minute)

    def quarter(self, start: int) -> Sums | None:
        """Sums of the store's quarter of an hour that begins then, None when nothing was reported."""
        self.propagate()
        return self.state.total.buckets.get("15m", {}).get(start)

    # -- out -------------------------------------------------------------------------------------------------------------

    def flush(self, now: int, force: bool, out: dict[str, list[tuple[Any, ...]]]) -> None:
        """Write changed rows, and those that have become complete, to `out` by table; forget what the horizon has passed.

        Buckets are written every 10 s, or at once when `force`.
        """
        self.propagate()
        self.dirty = False
        state = self.state
        next_close = FOREVER
        for device, line, series, _ in self._all():
            head = (self.site.id, device, line)
            next_close = min(next_close, self._minutes(series, head, now, out.setdefault("line_minutes", [])))
        next_close = min(next_close, self._minutes(state.total, None, now, out.setdefault("site_minutes", [])))
        if force or now - state.buckets_sent_at >= BUCKET_PACE_S or now >= state.next_close:
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

    def _minutes(self, series: Series, head: tuple[Any, ...] | None, now: int, rows: list[tuple[Any, ...]]) -> int:
        """Rows of one series' minutes; returns when the next of its open minutes will be complete."""
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
            if head is not None:
                rows.append((*head, minute, *c[:8], min(c[MEASURED], MINUTE), c[RESOLUTION], complete, base + c[N], c[KNOWN]))
            else:
                rows.append((site, minute, *c[:8], c[MEASURED], expected, complete, base + c[N], c[KNOWN]))
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
