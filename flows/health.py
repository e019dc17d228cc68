"""Health: store or sensor, decided for every quarter of an hour that is over, and said once with its evidence.

An episode is written when it is said and once more when it has ended. What was said is a record: late data change it no more.
What it follows from: operators/sensor_health.py, docs/models.md. For flows behind it: `Moment.notes["health"]`, the episodes
that last and those that have just ended.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from flows.devices import DevicesFlow
from flows.ingest import IngestFlow
from flows.reconcile import ReconcileFlow
from flows.traffic import TrafficFlow
from operators.calendar import bucket, open_seconds, reset_before
from operators.device_health import missed
from operators.ingest import Accepted
from operators.moment import FOREVER, Context, Flow, Moment, Output, SiteFlow
from operators.sensor_health import QUARTER, Counts, Episode, HealthState, Heard, SensorHealth
from operators.sensor_signs import Hour
from operators.spread import MINUTE
from operators.sums import MEASURED
from operators.traffic import Change
from schemas.events import DeviceStatus, LineCount, Plain
from schemas.rows_health import SensorHealthRows
from schemas.sites import Site

SCHEMA = 1
LEAST_COVERAGE = 0.8


class _Saved(msgspec.Struct, array_like=True):
    schema: int
    health: HealthState
    next: int


class HealthFlow:
    """Health of the sensors of one store. `next`: start of the quarter that is judged next, FOREVER before any report."""

    def __init__(self, site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow]) -> None:
        self.site = site
        self.ingest = cast(IngestFlow, upstream["ingest"]).ingest
        self.traffic = cast(TrafficFlow, upstream["traffic"]).traffic
        self.devices = cast(DevicesFlow, upstream["devices"])
        self.reconcile = cast(ReconcileFlow, upstream["reconcile"])
        self.saved = msgspec.msgpack.decode(state, type=_Saved) if state else _Saved(SCHEMA, HealthState(), FOREVER)
        self.health = SensorHealth(site, self.saved.health)

    # -- reports -----------------------------------------------------------------------------------------------------------

    def take_plains(self, reports: Sequence[Plain], changes: list[Change] | None, now: int) -> None:
        for plain in reports:
            told = self.health.sensor(plain.device)
            told.report(plain.start, plain.end, plain.counts)
            told.clock = ""
        if self.saved.next == FOREVER:  # one report, for it was not in a run
            self._begin(now)

    def in_runs(self) -> bool:
        """The first report says when to judge."""
        return self.saved.next != FOREVER

    def take(self, m: Moment) -> None:
        if not m.accepted:
            return
        if self.saved.next == FOREVER:
            self._begin(m.now)
        self._counts([a for a in m.accepted if a.verdict == "new" and not a.late])
        for a in m.accepted:
            if isinstance(a.event, DeviceStatus):
                pitch, roll = a.event.fields.get("pitch_deg"), a.event.fields.get("roll_deg")
                if isinstance(pitch, int | float) and isinstance(roll, int | float):
                    self.health.sensor(a.from_.report.device).tilted(m.now, float(pitch), float(roll))

    def _begin(self, now: int) -> None:
        self.saved.next = now - now % QUARTER

    def _counts(self, accepted: Sequence[Accepted]) -> None:
        windows = [(a, a.event) for a in accepted if isinstance(a.event, LineCount) and a.event.kind == "window"]
        if not windows:
            return
        first = windows[0][0]
        told = self.health.sensor(first.from_.report.device)
        bad = [f for f in first.flags.split(",") if f in ("clock_future", "clock_past", "clock_stopped")]
        told.clock_since = told.clock_since if told.clock else first.arrival // 1000
        told.clock = bad[0] if bad else ""
        if first.end > told.end:
            counts = sorted((e.line, e.people_in, e.people_out) for a, e in windows if a.end == first.end)
            told.report(first.start, first.end, tuple(n for _, *pair in counts for n in pair))

    # -- time --------------------------------------------------------------------------------------------------------------

    def due(self) -> int:
        return min(self.saved.next + QUARTER + self.traffic.close_after, FOREVER)

    def advance(self, m: Moment) -> None:
        if m.now < self.due():
            return
        start, end = self.saved.next, self.saved.next + QUARTER
        self.traffic.propagate()
        heard = {d: self._heard(d, start, end) for d in self.site.devices}
        is_open = open_seconds(self.site, start, end) == QUARTER
        changed = self.health.step(start, m.now, is_open, self._empty(start, end), self._quarter(start, heard, m.now), heard)
        self.saved.next = end
        m.notes["health"] = [*self.saved.health.open, *(e for e in changed if e.ended)]
        if changed:
            m.out.rows.setdefault(SensorHealthRows.name, []).extend([self._row(e, m.now_ms) for e in changed])

    def _empty(self, start: int, end: int) -> bool:
        """Whether the reset lies in a quarter; a store that is never empty has none."""
        return self.site.hours is not None and reset_before(self.site, end - 1) >= start

    def _quarter(self, start: int, heard: Mapping[str, Heard], now: int) -> Counts:
        """(in, out) of every line in a quarter, None where it was not measured."""
        found: dict[tuple[str, int], tuple[int, int] | None] = {}
        for device, lines in self.traffic.state.lines.items():
            entry = self.site.entry(device)
            for number, series in lines.items():
                sums = series.buckets.get("15m", {}).get(start)
                pair = (sums[0], sums[1]) if sums is not None else (0, 0)
                if entry.source(number) == "window":
                    known = sums is not None and sums[MEASURED] >= LEAST_COVERAGE * QUARTER
                else:  # who counts by triggers says nothing where nobody comes
                    known = device in heard and heard[device].last >= start
                found[device, number] = pair if known else None
        return found

    def _heard(self, device: str, start: int, end: int) -> Heard:
        memory, entry = self.ingest.devices.get(device), self.site.entry(device)
        if memory is None or not memory.last_arrival:
            return Heard(0, entry.interval_s)
        hour = bucket(self.site.zone, start, "1h")
        over = self._hour(device, *hour) if hour[1] == end else None
        return Heard(memory.last_arrival // 1000, entry.interval_s, over, self._lost(device, *hour) if over else 0)

    def _hour(self, device: str, start: int, end: int) -> Hour | None:
        """What the flow `devices` knows of an hour that is over."""
        keeper = self.devices.keeper
        cell = keeper.state.held.get(start, {}).get((device,))
        if cell is None:
            return None
        entry, expected = self.site.entry(device), keeper.expected_s(device, start, end)
        covered = min(expected, cell.covered.bit_count() * MINUTE) if cell.covered is not None else None
        left_out = missed(cell, entry, expected, covered)
        skew = (cell.skew[0], cell.skew[1]) if cell.skew else None
        return Hour(start, cell.reboots, left_out, expected // entry.interval_s, skew)

    def _lost(self, device: str, start: int, end: int) -> int:
        """People in reports that were lost in an hour, as far as the flow `reconcile` knows."""
        lines = self.reconcile.saved.lines.get(device, {})
        return sum(
            max(0, n) for line in lines.values() for g in line.gaps if start <= g.start < end and g.missing for n in g.lost
        )

    # -- out ---------------------------------------------------------------------------------------------------------------

    def _row(self, e: Episode, position: int) -> tuple[Any, ...]:
        return SensorHealthRows.row(
            site=self.site.id,
            device=e.device,
            line=e.line,
            kind=e.kind,
            began=e.began,
            device_name=self.site.entry(e.device).name or e.device if e.device else "",
            verdict=e.verdict,
            said=e.said,
            ended_ms=e.ended * 1000 if e.ended else None,
            evidence=e.evidence,
            value=e.value,
            usual=e.usual,
            position=position,
        )

    def dirty(self) -> bool:
        return False

    def flush(self, now: int, force: bool, out: Output) -> None:
        """Episodes are written when they are said."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self.saved)


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return HealthFlow(site, state, upstream)


def _minute(minute: int) -> tuple[str, bytes]:
    """A message two seconds after a minute that began so many minutes after ten: always three in, two out."""
    begin, end = (f"2026-07-31T{10 + m // 60}:{m % 60:02}:00+00:00" for m in (minute, minute + 1))
    text = (
        f'{{"device_info": {{"device_sn": "6537F28778010000"}}, "time_info": {{"start_time": "{begin}", "end_time": "{end}"}}, '
    )
    people = (3, 2) if minute < 20 else (1, 2)
    return f"{end[:17]}02Z", f'{text}"line_periodic_data": [{{"line": 1, "in": {people[0]}, "out": {people[1]}}}]}}'.encode()


SAMPLE = [_minute(minute) for minute in (*range(22), 32)]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "sensor_health": [
        {
            "kind": "silent",
            "verdict": "sensor",
            "began": "2026-07-31T10:22:02Z",
            "said": "2026-07-31T10:31:30Z",
            "ended_ms": None,
            "evidence": "Door has sent nothing for 9 minutes",
        },
        {
            "device": "6537f28778010000",
            "line": 0,
            "kind": "stuck",
            "verdict": "sensor",
            "began": "2026-07-31T10:00:00Z",
            "said": "2026-07-31T10:16:30Z",
            "ended_ms": 1_785_493_890_000,
            "evidence": "Door has told the same counts (3 in, 2 out) in 16 reports one after another",
            "value": 16.0,
        },
    ],
}

FLOW = Flow(
    name="health",
    summary="store or sensor: dead, stuck, askew and badly counting sensors, closed, quiet and busy stores, with the evidence",
    after=("ingest", "traffic", "devices", "reconcile"),
    tables=(SensorHealthRows,),
    build=_build,
)
