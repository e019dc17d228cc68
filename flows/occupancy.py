"""Occupancy: people in the store at the end of each minute, drift-corrected, with a 90 % interval (operators/occupancy.py).

The day runs from reset to reset. Factors are learnt at the reset and frozen for the day; the day before stays open for the
horizon, what is later is the repair's. Every correction writes the minutes from its own on again, with a higher revision.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from operators import occupancy
from operators.calendar import reset_before
from operators.drift import Factors, factor_rows
from operators.ingest import horizon_of
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.occupancy import Estimate, OccupancyConfig, OccupancyState
from operators.past import Past
from operators.spread import MINUTE
from operators.traffic import GRACE_S, Change
from schemas.events import Plain
from schemas.rows import DoorFactors, Occupancy
from schemas.sites import Site
from schemas.tables import GENERATION

SCHEMA = 1


class _Day(msgspec.Struct, array_like=True):
    """One day: the operator's state as bytes, and what each minute is known from: minute -> [n, newest, seconds]."""

    counts: bytes
    known: dict[int, list[int]] = {}
    dirty: int = FOREVER
    open: int = FOREVER


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    days: list[_Day]
    learnt: Factors | None


class Day:
    """The minutes of one store from one reset to the next."""

    def __init__(self, counts: OccupancyState, known: dict[int, list[int]], dirty: int, opened: int) -> None:
        self.counts, self.known, self.dirty, self.open = counts, known, dirty, opened
        self._until: list[tuple[int, int, int]] = []

    @property
    def reset(self) -> int:
        return self.counts.reset

    def take(self, c: Change) -> None:
        """Add what a minute gained. Counts that would become negative stay at zero until their report is there."""
        door = (c.device, c.line)
        people_in, people_out = occupancy.counts_of(self.counts, c.minute, door)
        if not occupancy.put(self.counts, c.minute, door, max(0, people_in + c.people_in), max(0, people_out + c.people_out)):
            return
        known = self.known.setdefault(c.minute, [0, 0, 0])
        known[0] += 1
        known[1] = max(known[1], c.known)
        known[2] += c.seconds
        self.dirty = min(self.dirty, c.minute)
        del self._until[(c.minute - self.reset) // MINUTE :]

    def _known_until(self, index: int) -> list[tuple[int, int, int]]:
        """Per minute since the reset up to `index`: reports, newest arrival and covered seconds so far.

        Kept from one flush to the next, because a day has 1,440 minutes and a flush changes one or two.
        """
        until = self._until
        n, newest, seconds = until[-1] if until else (0, 0, 0)
        for minute in range(self.reset + len(until) * MINUTE, self.reset + (index + 1) * MINUTE, MINUTE):
            known = self.known.get(minute)
            if known is not None:
                n, newest, seconds = n + known[0], max(newest, known[1]), seconds + known[2]
            until.append((n, newest, seconds))
        return until

    def rows(
        self, site: Site, config: OccupancyConfig, now: int, close_after: int, entrances: int, base: int
    ) -> list[tuple[object, ...]]:
        """Rows from the earliest changed minute on, and of minutes that have become complete."""
        done_before = now - close_after - MINUTE
        first = min(self.dirty, self.open if self.open <= done_before else FOREVER)
        self.dirty = FOREVER
        if first == FOREVER:
            return []
        estimates = occupancy.changed_since(self.counts, config, first)
        until = self._known_until((estimates[-1][0] - self.reset) // MINUTE) if estimates else []
        rows, self.open = [], self.open if self.open < first else FOREVER
        for minute, e in estimates:
            i = (minute - self.reset) // MINUTE
            complete = minute <= done_before
            if not complete:
                self.open = min(self.open, minute)
            n, newest, seconds = until[i]
            coverage = min(1.0, seconds / (entrances * MINUTE * (i + 1))) if entrances else None
            rows.append(
                Occupancy.row(
                    site=site.id,
                    minute=minute,
                    estimate=e.estimate,
                    low=e.low,
                    high=e.high,
                    raw=e.raw,
                    mode=e.mode,
                    limit_operational=site.capacity_operational,
                    limit_legal=site.capacity_legal,
                    over_operational=e.over_operational,
                    over_legal=e.over_legal,
                    coverage=coverage,
                    factors_revision=self.counts.factors.revision,
                    complete=int(complete),
                    revision=base + n,
                    known_at_ms=newest,
                )
            )
        return rows


class OccupancyFlow:
    """Occupancy of one store: the running day, and the one before it until the horizon has passed."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.site, self.config = site, OccupancyConfig.of(site)
        self.horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.base = context.generation * GENERATION
        self.close_after = max([60, *(d.interval_s for d in site.devices.values())]) + GRACE_S
        self.entrances = sum(1 for d in site.devices.values() for ln in d.lines.values() if ln.role == "entrance")
        self.days: list[Day] = []
        self.learnt: Factors | None = None
        if state:
            saved = msgspec.msgpack.decode(state, type=_Saved)
            self.days = [Day(OccupancyState.from_bytes(d.counts), d.known, d.dirty, d.open) for d in saved.days]
            self.learnt = saved.learnt

    def begin(self, reset: int, factors: Factors) -> None:
        """Start a day with frozen factors."""
        self.days = [*self.days[-1:], Day(occupancy.start(self.config, reset, factors), {}, FOREVER, FOREVER)]

    def seed(self, past: Past) -> None:
        """Begin the day at a reset with what was learnt before it."""
        self.begin(past.begin, past.factors)

    def take(self, m: Moment) -> None:
        if not m.changes:
            return
        if not self.days:
            self.begin(reset_before(self.site, m.now), Factors())
        self._count(m.changes, m.now)
        if any(not a.late for a in m.accepted):
            m.notes["occupancy"] = self.now_present()

    def in_runs(self) -> bool:
        """Where there is a capacity, somebody looks at the estimate after each report."""
        return bool(self.days) and self.site.capacity_operational is None and self.site.capacity_legal is None

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        self._count(changes or (), now)  # plain reports are in time at theirs, so they were at the one before

    def _count(self, changes: Iterable[Change], now: int) -> None:
        running = self.days[-1]
        for change in changes:
            for day in reversed(self.days):
                if change.minute >= day.reset:
                    if day is running or change.minute + MINUTE + self.horizon > now:
                        day.take(change)
                    break

    def now_present(self) -> Estimate | None:
        """The estimate at the newest minute of the running day."""
        counts = self.days[-1].counts if self.days else None
        newest = counts.newest_minute if counts is not None else None
        return None if counts is None or newest is None else occupancy.estimate(counts, self.config, newest)

    def due(self) -> int:
        return _next_reset(self.site, self.days[-1].reset) if self.days else FOREVER

    def advance(self, m: Moment) -> None:
        """At the reset: learn from the day, freeze the factors, begin the next one."""
        if m.now < self.due():
            return
        self.learnt = occupancy.learn(self.days[-1].counts, self.config)
        for gone in self.days[:-1]:  # reading a long log outruns the flushes: two resets may pass between two of them
            self._write(gone, m.now, m.out)
        self.begin(self.due(), self.learnt)
        rows = factor_rows(self.site.id, self.days[-1].reset, self.learnt)
        if rows:
            m.out.rows.setdefault("door_factors", []).extend(rows)

    def dirty(self) -> bool:
        return any(d.dirty != FOREVER for d in self.days)

    def flush(self, now: int, force: bool, out: Output) -> None:
        for day in self.days:
            self._write(day, now, out)
        if len(self.days) > 1 and now >= self.days[-1].reset + self.horizon + self.close_after:
            self.days = self.days[-1:]

    def _write(self, day: Day, now: int, out: Output) -> None:
        rows = day.rows(self.site, self.config, now, self.close_after, self.entrances, self.base)
        out.rows.setdefault("occupancy", []).extend(rows)

    def state(self) -> bytes:
        days = [_Day(d.counts.to_bytes(), d.known, d.dirty, d.open) for d in self.days]
        return msgspec.msgpack.encode(_Saved(SCHEMA, days, self.learnt))


def _next_reset(site: Site, reset: int) -> int:
    """The reset after one: about a day later, whatever the clocks do."""
    return reset_before(site, reset + 30 * 3600)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return OccupancyFlow(site, state, context)


SAMPLE = [
    (
        "2026-07-31T10:01:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:01:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 3, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:03:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:02:00+00:00", "end_time": "2026-07-31T10:03:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 1, "out": 0}]}""",
    ),
    (
        "2026-07-31T10:04:00Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:01:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 5, "out": 0}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "occupancy": [
        {"minute": "2026-07-31T10:00:00Z", "estimate": 2.0, "raw": 2, "limit_operational": 100, "complete": 1, "revision": 1},
        {"minute": "2026-07-31T10:01:00Z", "estimate": 7.0, "raw": 7, "limit_operational": 100, "complete": 1, "revision": 2},
        {"minute": "2026-07-31T10:02:00Z", "estimate": 8.0, "raw": 8, "limit_operational": 100, "complete": 0, "revision": 3},
    ],
    "door_factors": [],
}

FLOW = Flow(
    name="occupancy",
    summary="people in the store with an interval; drift correction learnt per door",
    after=("traffic",),
    tables=(Occupancy, DoorFactors),
    build=_build,
    wants_changes=True,
)
