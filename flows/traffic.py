"""Traffic: in and out per line and minute by class, per store, and 15 minutes, hours and days in site-local civil time.

Open minutes are written at once and corrected in place within the horizon; what is later goes to the sums that are still open
and asks for a repair of its civil day.
"""

from collections.abc import Mapping

import msgspec

from operators.calendar import civil_day
from operators.ingest import horizon_of
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.traffic import Traffic, TrafficState
from schemas.rows import LineBuckets, LineMinutes, SiteBuckets, SiteMinutes
from schemas.sites import Site

SCHEMA = 1


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    traffic: TrafficState


class TrafficFlow:
    """Minutes and roll-ups of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        saved = msgspec.msgpack.decode(state, type=_Saved).traffic if state else None
        horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.traffic = Traffic(site, horizon, saved, context.generation)
        self.take_plains = self.traffic.take_plains

    def take(self, m: Moment) -> None:
        for a in m.accepted:
            self.traffic.take(a, m.now, m.changes, m.repairs)

    def advance(self, m: Moment) -> None:
        """Completion is written by `flush`, nothing else is timed."""

    def due(self) -> int:
        return FOREVER

    def dirty(self) -> bool:
        return self.traffic.dirty

    def closes_at(self) -> int:
        """When the next open row becomes complete."""
        return self.traffic.state.next_close

    def flush(self, now: int, force: bool, out: Output) -> None:
        self.traffic.flush(now, force, out.rows)

    def state(self) -> bytes:
        self.traffic.propagate()
        return msgspec.msgpack.encode(_Saved(SCHEMA, self.traffic.state))


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return TrafficFlow(site, state, context)


def days_of(site: Site, minutes: set[int]) -> set[str]:
    """Civil days (ISO) that hold those minutes."""
    return {civil_day(site.zone, m).isoformat() for m in minutes}


SAMPLE = [
    (
        "2026-07-31T10:02:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 5, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:04:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:02:00+00:00", "end_time": "2026-07-31T10:04:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 4, "out": 0}]}""",
    ),
    (
        "2026-07-31T10:05:00Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:02:00+00:00", "end_time": "2026-07-31T10:04:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 4, "out": 2}]}""",
    ),
    (
        "2026-07-31T10:30:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:04:00+00:00", "end_time": "2026-07-31T10:06:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 7, "out": 7}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "line_minutes": [
        {
            "minute": "2026-07-31T10:00:00Z",
            "people_in": 3,
            "people_out": 1,
            "measured_s": 60,
            "resolution_s": 120,
            "revision": 1,
        },
        {
            "minute": "2026-07-31T10:01:00Z",
            "people_in": 2,
            "people_out": 0,
            "measured_s": 60,
            "resolution_s": 120,
            "revision": 1,
        },
        {
            "minute": "2026-07-31T10:02:00Z",
            "people_in": 2,
            "people_out": 1,
            "measured_s": 60,
            "resolution_s": 120,
            "revision": 2,
        },
        {
            "minute": "2026-07-31T10:03:00Z",
            "people_in": 2,
            "people_out": 1,
            "measured_s": 60,
            "resolution_s": 120,
            "revision": 2,
        },
    ],
    "site_minutes": [
        {"minute": "2026-07-31T10:00:00Z", "people_in": 3, "people_out": 1, "expected_s": 60, "complete": 1},
        {"minute": "2026-07-31T10:01:00Z", "people_in": 2, "people_out": 0, "expected_s": 60, "complete": 1},
        {"minute": "2026-07-31T10:02:00Z", "people_in": 2, "people_out": 1, "expected_s": 60, "complete": 1},
        {"minute": "2026-07-31T10:03:00Z", "people_in": 2, "people_out": 1, "expected_s": 60, "complete": 1},
    ],
    "line_buckets": [
        {"step": "15m", "start": "2026-07-31T10:00:00Z", "people_in": 9, "people_out": 3, "measured_s": 240, "complete": 1},
        {"step": "1d", "start": "2026-07-31T00:00:00Z", "people_in": 16, "people_out": 10, "measured_s": 360, "complete": 0},
        {"step": "1h", "start": "2026-07-31T10:00:00Z", "people_in": 16, "people_out": 10, "measured_s": 360, "complete": 0},
    ],
    "site_buckets": [
        {"step": "15m", "people_in": 9, "people_out": 3, "measured_s": 240, "expected_s": 900},
        {"step": "1d", "people_in": 16, "people_out": 10, "measured_s": 360, "expected_s": 86400},
        {"step": "1h", "people_in": 16, "people_out": 10, "measured_s": 360, "expected_s": 3600},
    ],
    "repairs": [
        {"day": "2026-07-31", "side": "asked"},
    ],
}

FLOW = Flow(
    name="traffic",
    summary="in and out per line and minute, per store, 15 minutes, hours and days",
    after=("ingest",),
    tables=(LineMinutes, SiteMinutes, LineBuckets, SiteBuckets),
    build=_build,
)
