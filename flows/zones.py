"""Zones: people present, visits, dwell and share of the capacity per zone and minute, and in quarters, hours and days.

Open minutes are written at once and corrected in place within the horizon; what is later goes to the buckets that are still
open, and asks for a repair of its civil day (operators/rollup.py). Median and 90 % point of dwell come from single stays only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.rollup import Bucket, Cell
from operators.traffic import Change
from operators.zones import Zones, ZonesState, figures
from schemas.events import Plain
from schemas.rows_zones import ZoneBuckets, ZoneMinutes
from schemas.sites import Site

SCHEMA = 1


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    zones: ZonesState


class ZonesFlow:
    """Zones of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        saved = msgspec.msgpack.decode(state, type=_Saved).zones if state else None
        self.site = site
        self.zones = Zones(site, context.horizon, saved, context.generation)
        self.rollup = self.zones.rollup

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        """Plain reports say nothing of zones."""

    def take(self, m: Moment) -> None:
        for a in m.accepted:
            self.zones.take(a, m.now, m.repairs)
        m.repairs |= self.rollup.closed_left(m.now)

    def advance(self, m: Moment) -> None:
        """Completion is written by `flush`, nothing else is timed."""

    def due(self) -> int:
        return FOREVER

    def dirty(self) -> bool:
        return self.rollup.dirty

    def closes_at(self) -> int:
        """When the next open row becomes complete."""
        return self.rollup.state.next_close

    def flush(self, now: int, force: bool, out: Output) -> None:
        if not self.rollup.state.strands:
            return
        minutes, buckets = self.rollup.flush(now, force, self._minute, self._bucket)
        out.rows.setdefault("zone_minutes", []).extend(minutes)
        out.rows.setdefault("zone_buckets", []).extend(buckets)
        self.zones.forget(now)

    def _capacity(self, device: str, zone: int) -> int | None:
        declared = self.site.entry(device).zones.get(zone)
        return declared.capacity if declared is not None else None

    def _minute(self, device: str, zone: int, minute: int, cell: Cell, complete: bool) -> tuple[Any, ...]:
        tally, capacity = cell.tally, self._capacity(device, zone)
        present = next(iter(tally.get("last", ())), None)
        return ZoneMinutes.row(
            site=self.site.id,
            device=device,
            zone=zone,
            minute=minute,
            present=present,
            **msgspec.structs.asdict(figures(tally)),
            capacity=capacity,
            share=present / capacity if capacity and present is not None else None,
            resolution_s=max(tally.get("resolution", ()), default=0),
            complete=int(complete),
            revision=self.rollup.base + cell.n,
            known_at_ms=cell.known,
        )

    def _bucket(self, device: str, zone: int, at: Bucket, cell: Cell, complete: bool) -> tuple[Any, ...]:
        found, capacity = figures(cell.tally), self._capacity(device, zone)
        mean, peak = found.present_mean, found.peak
        return ZoneBuckets.row(
            site=self.site.id,
            device=device,
            zone=zone,
            step=at.step,
            start=at.start,
            end=at.end,
            local_start=at.local,
            utc_offset_s=at.offset,
            **msgspec.structs.asdict(found),
            capacity=capacity,
            share_mean=mean / capacity if capacity and mean is not None else None,
            share_peak=peak / capacity if capacity and peak is not None else None,
            expected_s=at.end - at.start,
            complete=int(complete),
            revision=self.rollup.base + cell.n,
            known_at_ms=cell.known,
        )

    def state(self) -> bytes:
        return msgspec.msgpack.encode(_Saved(SCHEMA, self.zones.state))


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return ZonesFlow(site, state, context)


_DEVICE = b'{"device_info": {"device_sn": "6537F28778010000"}, "time_info": '
SAMPLE = [
    (
        "2026-07-31T10:02:02Z",
        _DEVICE
        + b"""{"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"region_data": {"region_count_data": [{"region": 2, "current_total": 4}]}}""",
    ),
    (
        "2026-07-31T10:02:32Z",
        _DEVICE
        + b"""{"time": "2026-07-31T10:02:30+00:00"}, "region_trigger_data": {"dwell_time_data": [
{"region": 2, "people_id": 1, "duration": 40000,
"dwell_start_time": "2026-07-31T10:01:50+00:00", "dwell_end_time": "2026-07-31T10:02:30+00:00"},
{"region": 2, "people_id": 2, "duration": 5000,
"dwell_start_time": "2026-07-31T10:02:25+00:00", "dwell_end_time": "2026-07-31T10:02:30+00:00"}]}}""",
    ),
    (
        "2026-07-31T10:03:02Z",
        _DEVICE
        + b"""{"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"region_data": {"region_count_data": [{"region": 2, "current_total": 5}]}}""",
    ),
    (
        "2026-07-31T10:30:00Z",
        _DEVICE
        + b"""{"start_time": "2026-07-31T10:04:00+00:00", "end_time": "2026-07-31T10:05:00+00:00"},
"region_data": {"region_count_data": [{"region": 2, "current_total": 9}]}}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "zone_minutes": [
        {"minute": "2026-07-31T10:00:00Z", "present": 5, "present_mean": 5.0, "stays": None, "revision": 2},
        {"minute": "2026-07-31T10:01:00Z", "present": 5, "share": 0.5, "measured_s": 60, "resolution_s": 120, "revision": 2},
        {"minute": "2026-07-31T10:02:00Z", "present": None, "stays": 2, "visits": 1, "bounces": 1, "dwell_p90_s": 40},
    ],
    "zone_buckets": [
        {"step": "15m", "present_mean": 5.0, "peak": 5, "share_peak": 0.5, "stays": 2, "measured_s": 120, "complete": 1},
        {"step": "1d", "present_mean": 19 / 3, "peak": 9, "dwell_source": "stays", "measured_s": 180, "expected_s": 86400},
        {"step": "1h", "present_mean": 19 / 3, "peak": 9, "dwell_median_s": 5, "dwell_avg_s": 22.5, "revision": 7},
    ],
}

FLOW = Flow(
    name="zones",
    summary="people present, visits and dwell per zone and minute, 15 minutes, hours and days",
    after=("ingest",),
    tables=(ZoneMinutes, ZoneBuckets),
    build=_build,
    sections=("zone", "stay", "dwell"),
)
