"""Devices: health of each device by hour of the store's clock: battery, tilt, temperature, link, restarts, clock, missed
reports.

A device that is silent has a row for each hour all the same, with what it missed. What comes later than the horizon still
counts as missed here. Restarts of an hour are not known again where the lane's state was lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.cells import Written
from operators.device_health import HealthKeeper, HealthState, missed
from operators.ingest import horizon_of
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.spread import MINUTE
from operators.traffic import GRACE_S, Change
from schemas.events import Plain
from schemas.rows_floor import DeviceHours
from schemas.sites import Site
from schemas.tables import GENERATION

SCHEMA = 1


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    health: HealthState


class DevicesFlow:
    """Health of the devices of one store."""

    def __init__(self, site: Site, state: bytes | None, context: Context) -> None:
        self.site, self.base = site, context.generation * GENERATION
        self.horizon = context.horizon if context.horizon is not None else horizon_of(site)
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, HealthState())
        self.keeper = HealthKeeper(site, self.horizon, self.saved.health)
        self.close_after = max([60, *(d.interval_s for d in site.devices.values())]) + GRACE_S

    def take(self, m: Moment) -> None:
        if m.arrival is not None:
            self.keeper.take(m.arrival, m.accepted, m.now)

    def in_runs(self) -> bool:
        """The first report begins the first hour."""
        return self.saved.health.next_hour != FOREVER

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        for plain in reports:
            now = max(now, plain.arrival // 1000)
            self.keeper.take_plain(plain, now)

    def advance(self, m: Moment) -> None:
        if m.now >= self.due():
            self.keeper.advance(m.now)

    def due(self) -> int:
        return min(self.saved.health.next_hour, FOREVER)

    def dirty(self) -> bool:
        return bool(self.saved.health.pending.unsent)

    def flush(self, now: int, force: bool, out: Output) -> None:
        health = self.saved.health
        if health.pending.turn(now, force):
            written = health.pending.due(self.site.zone, now, self.close_after, self.horizon, health.held)
            out.rows.setdefault("device_hours", []).extend([self._row(w) for w in written])

    def _row(self, w: Written) -> tuple[Any, ...]:
        (device,), h = w.key, w.cell
        entry, expected = self.site.entry(device), self.keeper.expected_s(device, w.start, w.end)
        covered = min(expected, h.covered.bit_count() * MINUTE) if h.covered is not None else None
        return DeviceHours.row(
            site=self.site.id,
            device=device,
            start=w.start,
            end=w.end,
            device_name=entry.name or device,
            messages=h.messages,
            expected_s=expected,
            covered_s=covered,
            missed=missed(h, entry, expected, covered) if w.complete else None,
            last_seen_ms=h.last_seen,
            skew_low_s=h.skew[0] if h.skew else None,
            skew_high_s=h.skew[1] if h.skew else None,
            reboots=h.reboots,
            firmware=h.firmware,
            battery_pct=h.battery,
            temperature_C=h.temperature,
            pitch_deg=h.pitch,
            roll_deg=h.roll,
            rssi_dBm=h.rssi[0] / h.rssi[1] if h.rssi else None,
            snr_dB=h.snr[0] / h.snr[1] if h.snr else None,
            occluded=int(h.occluded) if h.occluded is not None else None,
            said=msgspec.json.encode(h.said, order="sorted").decode() if h.said else "",
            complete=w.complete,
            revision=self.base + h.n,
            known_at_ms=h.known,
        )

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return DevicesFlow(site, state, context)


def _window(arrival: str, start: str, end: str, running: int) -> tuple[str, bytes]:
    return (
        f"2026-07-31T{arrival}Z",
        f"""{{"device_info": {{"device_sn": "6537F28778010000", "running_time": {running}, "firmware_version": "1.2.1"}},
"time_info": {{"start_time": "2026-07-31T{start}+00:00", "end_time": "2026-07-31T{end}+00:00"}},
"line_periodic_data": [{{"line": 1, "in": 1, "out": 1}}]}}""".encode(),
    )


SAMPLE = [
    _window("10:10:02", "10:00:00", "10:10:00", 5000),
    (
        "2026-07-31T10:12:00Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [{"type": "device_status", "fields": {
"battery_pct": 88, "cpu_temperature_C": 61, "pitch_deg": 1.5, "rssi_dBm": -80, "snr_dB": 7, "occlusion_master": false}}]}""",
    ),
    (
        "2026-07-31T10:13:00Z",
        b"""{"format": "footstream/v1", "device": "6537F28778010000", "events": [{"type": "device_status", "fields": {
"battery_pct": 87, "rssi_dBm": -90, "occlusion_master": true}}]}""",
    ),
    _window("10:30:05", "10:20:00", "10:30:00", 240),
    _window("12:10:02", "12:00:00", "12:10:00", 6240),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "device_hours": [
        {
            "start": "2026-07-31T10:00:00Z",
            "messages": 4,
            "expected_s": 3600,
            "covered_s": 1200,
            "missed": 40,
            "skew_low_s": 2,
            "skew_high_s": 5,
            "reboots": 1,
            "firmware": "1.2.1",
            "battery_pct": 87.0,
            "temperature_C": 61.0,
            "pitch_deg": 1.5,
            "roll_deg": None,
            "rssi_dBm": -85.0,
            "snr_dB": 7.0,
            "occluded": 1,
            "complete": 1,
        },
        {"start": "2026-07-31T11:00:00Z", "messages": 0, "covered_s": None, "missed": 60, "last_seen_ms": None, "revision": 0},
        {"start": "2026-07-31T12:00:00Z", "messages": 1, "expected_s": 3600, "covered_s": 600, "missed": None, "reboots": 0},
    ],
}

FLOW = Flow(
    name="devices",
    summary="health of each device by hour: battery, tilt, temperature, link, restarts, clock, missed reports",
    after=("ingest",),
    tables=(DeviceHours,),
    build=_build,
)
