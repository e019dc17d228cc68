"""Queues: length, arrivals, wait, service and lanes per queue and minute, in quarters, hours and days; lanes to open now.

A queue is a zone with role `checkout` (operators/queue_figures.py). Minutes and buckets are corrected like those of traffic.
The advice is a record: it is said ten seconds after each full minute from what was known then, and never rewritten. What the
newest report says of a length is left for the alerts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.lanes_wanted import lanes_wanted
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.queue_figures import Queues, QueuesState, abandonment, figures, limit_of, service_level
from operators.rollup import LAST, Bucket, Cell, Strand
from operators.spread import MINUTE
from operators.tallies import Tally, add, amount, mean, total
from operators.traffic import Change
from schemas.events import Plain, QueueLength, ZoneCount
from schemas.rows_zones import QueueAdvice, QueueBuckets, QueueMinutes
from schemas.sites import Site

SCHEMA = 1
SAID_AFTER_S = 10
"""Advice comes so long after a full minute: reports of the minute are there by then."""
LOOK_BACK_S = 900
"""Arrivals and service of this long stand behind it; the horizon is never shorter."""
FRESH_S = 180
ADVICE_S = 900
"""How far it looks ahead."""


class Seen(msgspec.Struct, array_like=True):
    """The newest length of a queue, for alerts. `at`: epoch s."""

    device: str
    queue: int
    at: int
    length: int
    limit: int


class _Saved(msgspec.Struct, array_like=True):
    """`newest`: end of the newest data, `next`: when advice is due, epoch s. `service`: last mean by device and queue, s."""

    schema: int
    queues: QueuesState
    newest: int = 0
    next: int = FOREVER
    service: dict[str, dict[int, float]] = {}


class QueuesFlow:
    """Queues of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, QueuesState())
        self.site = site
        self.queues = Queues(site, context.horizon, self.saved.queues, context.generation)
        self.rollup = self.queues.rollup

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        if self.queues.counted:
            for plain in reports:
                if plain.device in self.queues.counted:
                    self.queues.take_plain(plain)
                    self.saved.newest = max(self.saved.newest, plain.end)

    def take(self, m: Moment) -> None:
        seen: list[Seen] = []
        for a in m.accepted:
            if self.queues.take(a, m.now, m.repairs):
                if self.saved.newest < a.end <= m.now:
                    self.saved.newest = a.end
                    if self.saved.next == FOREVER:
                        self.saved.next = (m.now - SAID_AFTER_S) // MINUTE * MINUTE + MINUTE + SAID_AFTER_S
                length = _length_of(a.event)
                if length is not None and not a.late:
                    zone = getattr(a.event, "zone", 0)
                    if not isinstance(a.event, ZoneCount) or a.device.zones[zone].role == "checkout":
                        seen.append(Seen(a.from_.report.device, zone, a.end, length, limit_of(a.device, zone)))
        if seen:
            m.notes["queues"] = seen
        m.repairs |= self.rollup.closed_left(m.now)

    # -- advice ----------------------------------------------------------------------------------------------------------

    def due(self) -> int:
        return self.saved.next

    def advance(self, m: Moment) -> None:
        """Ten seconds after each full minute, as long as there is something new to look at."""
        saved = self.saved
        if m.now < saved.next:
            return
        following = saved.next + MINUTE
        saved.next = following if following <= saved.newest + FRESH_S else FOREVER
        for device, queue, strand in self.rollup.all():
            row = self._advice(device, queue, strand, m)
            if row is not None:
                m.out.rows.setdefault("queue_advice", []).append(row)

    def _advice(self, device: str, queue: int, strand: Strand, m: Moment) -> tuple[Any, ...] | None:
        """The row, or None when length, arrivals or service are not known."""
        until = m.now // MINUTE * MINUTE
        recent = {t: c.tally for t, c in strand.minutes.items() if until - LOOK_BACK_S <= t < until}
        newest = [t for t in recent if t >= until - FRESH_S and LAST in recent[t]]
        held: Tally = {}
        for tally in recent.values():
            add(held, tally)
        found = figures(held, limit_of(self.site.entry(device), queue), MINUTE * len(recent))
        if found.service_s is not None:
            self.saved.service.setdefault(device, {})[queue] = found.service_s
        service = self.saved.service.get(device, {}).get(queue)
        if not newest or found.arrivals is None or service is None:
            return None
        last = recent[max(newest)]
        length, tills = next(iter(last[LAST])), last.get("busy", {})
        at_tills = round(total(tills) / MINUTE) if amount(tills) else 0
        arrivals_h = found.arrivals * 3600 / (MINUTE * len(recent))
        lanes, in_time = lanes_wanted(length + at_tills, arrivals_h, service, ADVICE_S)
        return QueueAdvice.row(
            site=self.site.id,
            device=device,
            queue=queue,
            at=m.now,
            length=length,
            arrivals_h=arrivals_h,
            service_s=service,
            lanes_open=mean(last.get("open", {})),
            lanes=lanes,
            in_time=in_time,
            said_ms=m.now_ms,
        )

    # -- out -------------------------------------------------------------------------------------------------------------

    def dirty(self) -> bool:
        return self.rollup.dirty

    def closes_at(self) -> int:
        """When the next open row becomes complete."""
        return self.rollup.state.next_close

    def flush(self, now: int, force: bool, out: Output) -> None:
        if not self.rollup.state.strands:
            return
        minutes, buckets = self.rollup.flush(now, force, self._minute, self._bucket)
        out.rows.setdefault("queue_minutes", []).extend(minutes)
        out.rows.setdefault("queue_buckets", []).extend(buckets)
        self.queues.forget(now)

    def _minute(self, device: str, queue: int, minute: int, cell: Cell, complete: bool) -> tuple[Any, ...]:
        limit = limit_of(self.site.entry(device), queue)
        found = msgspec.structs.asdict(figures(cell.tally, limit, MINUTE))
        del found["length_p95"]
        return QueueMinutes.row(
            site=self.site.id,
            device=device,
            queue=queue,
            minute=minute,
            length=next(iter(cell.tally.get(LAST, ())), None),
            **found,
            long_from=limit,
            complete=int(complete),
            revision=self.rollup.base + cell.n,
            known_at_ms=cell.known,
        )

    def _bucket(self, device: str, queue: int, at: Bucket, cell: Cell, complete: bool) -> tuple[Any, ...]:
        limit, seconds = limit_of(self.site.entry(device), queue), at.end - at.start
        found = figures(cell.tally, limit, seconds)
        level, level_source = service_level(cell.tally, found, seconds)
        left, grade = abandonment(found)
        return QueueBuckets.row(
            site=self.site.id,
            device=device,
            queue=queue,
            step=at.step,
            start=at.start,
            end=at.end,
            local_start=at.local,
            utc_offset_s=at.offset,
            **msgspec.structs.asdict(found),
            long_from=limit,
            service_level=level,
            service_level_source=level_source,
            abandonment=left,
            abandonment_grade=grade,
            expected_s=seconds,
            complete=int(complete),
            revision=self.rollup.base + cell.n,
            known_at_ms=cell.known,
        )

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _length_of(event: object) -> int | None:
    """People waiting, when an event says it."""
    return event.length if isinstance(event, QueueLength) else event.present if isinstance(event, ZoneCount) else None


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return QueuesFlow(site, state, context)


_DEVICE = b'{"device_info": {"device_sn": "6537F28778010000"}, "time_info": '
_STAYS = (
    _DEVICE
    + b"""{"time": "2026-07-31T10:01:30+00:00"}, "region_trigger_data": {"dwell_time_data": [
{"region": 3, "duration": 40000,
"dwell_start_time": "2026-07-31T10:00:50+00:00", "dwell_end_time": "2026-07-31T10:01:30+00:00"},
{"region": 3, "duration": 3000,
"dwell_start_time": "2026-07-31T10:01:27+00:00", "dwell_end_time": "2026-07-31T10:01:30+00:00"},
{"region": 4, "duration": 90000,
"dwell_start_time": "2026-07-31T10:00:00+00:00", "dwell_end_time": "2026-07-31T10:01:30+00:00"}]}}"""
)


def _present(minute: int, queue: int, till: int) -> bytes:
    times = f'{{"start_time": "2026-07-31T10:0{minute}:00+00:00", "end_time": "2026-07-31T10:0{minute + 1}:00+00:00"}}'
    counts = f'[{{"region": 3, "current_total": {queue}}}, {{"region": 4, "current_total": {till}}}]'
    return _DEVICE + f'{times}, "region_data": {{"region_count_data": {counts}}}}}'.encode()


SAMPLE = [
    ("2026-07-31T10:01:02Z", _present(0, 2, 1)),
    ("2026-07-31T10:01:32Z", _STAYS),
    ("2026-07-31T10:02:02Z", _present(1, 7, 1)),
    ("2026-07-31T10:03:02Z", _present(2, 4, 0)),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "queue_minutes": [
        {"minute": "2026-07-31T10:00:00Z", "length": 2, "arrivals": None, "wait_source": "", "busy_share": 1.0},
        {"minute": "2026-07-31T10:01:00Z", "length": 7, "arrivals": 1, "wait_s": 40.0, "served": 1, "service_s": 90.0},
        {"minute": "2026-07-31T10:02:00Z", "length": 4, "over_s": 0, "measured_s": 60, "busy_share": 0.0, "revision": 2},
    ],
    "queue_buckets": [
        {"step": "15m", "length_mean": 13 / 3, "length_p95": 7, "length_max": 7, "over_s": 60, "long_from": 6},
        {"step": "1d", "wait_s": 40.0, "wait_source": "stays", "service_level": 1.0, "measured_s": 180, "expected_s": 86400},
        {"step": "1h", "arrivals_source": "stays", "abandonment": 0.0, "abandonment_grade": "C", "revision": 9},
    ],
    # One person joined in two minutes, 30 an hour; seven wait and one is served, in 90 s each. One lane needs twelve minutes
    # for them; with two it is over in less than six, and of a quarter of an hour more than four fifths are in time.
    "queue_advice": [
        {"at": "2026-07-31T10:02:10Z", "length": 7, "arrivals_h": 30.0, "service_s": 90.0, "lanes": 2},
    ],
}

FLOW = Flow(
    name="queues",
    summary="length, arrivals, wait, service and lanes per queue and minute; lanes to open now",
    after=("ingest",),
    tables=(QueueMinutes, QueueBuckets, QueueAdvice),
    build=_build,
    sections=("line", "zone", "stay", "queue"),
)
