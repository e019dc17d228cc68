"""Ingest: every report becomes observations, a duplicate or a quarantine row; the other flows see what is new.

Guarantee: every record of the log ends as stored, duplicate or quarantined, once. A record of which any part is good counts as
stored; its bad parts stand in `quarantine` as partial. Copies are told by what the device said (see operators/memory.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from operators.ingest import Accepted, Arrival, Ingest
from operators.memory import DeviceMemory, packed, unpacked, unplaced
from operators.moment import FOREVER, Context, Flow, Moment, Output, Rows, SiteFlow
from schemas.events import Demographics, LineCount, QueueLength, Refusal, ZoneCount
from schemas.forms import PLAIN_WINDOWS, RANK
from schemas.rows import Devices, Duplicates, Observations, Quarantine, Repairs
from schemas.sites import Device, Site

SCHEMA = 2
"""2: plain reports that nobody asked about are kept without their ids."""
KEPT_PAYLOAD = 4096
_INT32 = 1 << 31


class _State(msgspec.Struct, array_like=True):
    schema: int
    devices: bytes
    asked: dict[str, int]


def _int32(seconds: int) -> int:
    """As much of it as its column holds."""
    return max(-_INT32, min(_INT32 - 1, seconds))


def observation(site: str, a: Accepted, topic: str) -> tuple[Any, ...]:
    """The row of an accepted event, as in schemas.rows.Observations."""
    e, report = a.event, a.from_.report
    counts: tuple[Any, ...] = (None, None, None, None, None, None, None, None)
    kind, part, present, detail = "", 0, None, ""
    if type(e) is LineCount:
        counts = (e.people_in, e.people_out, e.child_in, e.child_out, e.staff_in, e.staff_out, e.group_in, e.group_out)
        kind, part = e.kind, e.line
    else:
        kind, part = getattr(e, "kind", ""), getattr(e, "zone", None) or getattr(e, "line", None) or 0
        present = e.present if type(e) is ZoneCount else e.length if type(e) is QueueLength else None
        if type(e) is Demographics:  # small groups must not be told by a table (flows/people.py)
            e = msgspec.structs.replace(e, groups={})
        detail = msgspec.json.encode(e, order="deterministic").decode()
    return (
        site,
        report.device,
        a.event_id,
        e.section,
        kind,
        part,
        a.start,
        a.end,
        a.end - a.start,
        *counts,
        present,
        detail,
        report.dialect,
        report.time_text,
        a.clock,
        a.flags,
        _int32(a.skew_s),
        a.arrival,
        topic,
        *unplaced(a.place),
        RANK - a.arrival,
    )


def quarantined(
    topic: str,
    partition: int,
    position: int,
    arrival: int,
    site: str,
    device: str,
    refusals: list[Refusal],
    partial: bool,
    payload: bytes,
) -> list[tuple[Any, ...]]:
    """Rows for the refused parts of one record; arrival in epoch ms."""
    kept = payload[:KEPT_PAYLOAD].decode("utf-8", "backslashreplace")
    return [
        Quarantine.row(
            topic=topic,
            partition_no=partition,
            position=position,
            item=i,
            arrived=max(0, arrival // 1000),
            site=site,
            device=device,
            reason=r.reason,
            place=r.where,
            detail=r.detail,
            partial=int(partial),
            size=len(payload),
            payload=kept,
        )
        for i, r in enumerate(refusals)
    ]


class IngestFlow:
    """The ingest of one store; owns the memory that tells copies apart, and asks for repairs."""

    def __init__(self, site: Site, state: bytes | None, topic: str = "raw") -> None:
        saved = msgspec.msgpack.decode(state, type=_State) if state else _State(SCHEMA, packed({}), {})
        self.site, self.topic = site, topic
        self.ingest = Ingest(site, unpacked(saved.devices))
        self.asked = saved.asked
        self.touched: set[str] = set()
        self.repairs: set[str] = set()

    def accept(self, arrivals: list[Arrival], entry: Device, m: Moment, stamp: int, durable: int, payload: bytes) -> None:
        """Judge one record, write its rows and leave what is new in the moment."""
        if len(arrivals) == 1:
            accepted = self.ingest.take(arrivals[0], entry, m.now, stamp, durable)
        else:
            accepted = [one for a in arrivals for one in self.ingest.take(a, entry, m.now, stamp, durable)]
        rows, first = m.out.rows, arrivals[0]
        report = first.report
        self.touched.add(report.device)
        if accepted:
            rows.setdefault("observations", []).extend([observation(self.site.id, one, self.topic) for one in accepted])
        events = report.events if len(arrivals) == 1 else [e for a in arrivals for e in a.report.events]
        if events and all(one.verdict == "earlier" for one in accepted):
            row = Duplicates.row(
                site=self.site.id,
                device=report.device,
                arrived=first.arrival // 1000,
                topic=self.topic,
                partition_no=first.partition,
                position=first.position,
            )
            rows.setdefault("duplicates", []).append(row)
        if not events or report.refusals or len(arrivals) > 1:
            self._refuse(arrivals, bool(events), payload, rows)
        m.accepted = accepted

    def accept_plains(
        self, work: Sequence[object], at: int, end: int, now: int, due: int, durable: int, rows: Rows
    ) -> tuple[int, int]:
        """Take plain reports of `work[at:end]` as far as the short way goes (see `Ingest.take_plains`) and write their rows.

        What nearly every record goes through, so a row is the report itself (`schemas.forms.PLAIN_WINDOWS`).
        """
        to, now = self.ingest.take_plains(work, at, end, now, due, durable)
        if to > at:
            taken: list[Any] = list(work[at:to])
            self.touched.update([plain.device for plain in taken])
            rows.setdefault(PLAIN_WINDOWS.name, []).extend(taken)
        return to, now

    def _refuse(self, arrivals: list[Arrival], partial: bool, payload: bytes, rows: Rows) -> None:
        refusals = [r for a in arrivals for r in a.report.refusals]
        if not refusals and not partial:
            refusals = [Refusal("empty_report", "", "no section that is understood")]
        a = arrivals[0]
        rows.setdefault("quarantine", []).extend(
            quarantined(
                self.topic, a.partition, a.position, a.arrival, self.site.id, a.report.device, refusals, partial, payload
            )
        )

    def ask_repair(self, day: str, now_ms: int) -> None:
        """A civil day must be computed again. The mark grows with every request, also over a loss of state."""
        self.asked[day] = max(self.asked.get(day, 0) + 1, now_ms)
        self.repairs.add(day)

    def take(self, m: Moment) -> None:
        """The chain calls `accept` instead."""

    def advance(self, m: Moment) -> None:
        """Nothing is timed here."""

    def due(self) -> int:
        return FOREVER

    def dirty(self) -> bool:
        return bool(self.touched or self.repairs)

    def flush(self, now: int, force: bool, out: Output) -> None:
        if self.repairs:
            rows = out.rows.setdefault("repairs", [])
            for day in sorted(self.repairs):
                rows.append(Repairs.row(site=self.site.id, day=day, side="asked", mark=self.asked[day]))
            self.repairs = set()
        if self.touched:
            to = out.rows.setdefault("devices", [])
            for device in sorted(self.touched):
                to.append(device_row(self.site.id, device, self.site.entry(device), self.ingest.devices[device], silent=False))
            self.touched = set()

    def state(self) -> bytes:
        return msgspec.msgpack.encode(_State(SCHEMA, packed(self.ingest.devices), self.asked))


def device_row(site: str, device: str, entry: Device, memory: DeviceMemory, silent: bool) -> tuple[Any, ...]:
    """What is known of a device, as in schemas.rows.Devices."""
    return Devices.row(
        site=site,
        device=device,
        device_name=entry.name or memory.name or device,
        dialect=memory.dialect,
        firmware=memory.firmware,
        expected_interval_s=entry.interval_s,
        last_arrival_ms=memory.last_arrival,
        last_skew_s=memory.skew_s,
        clock=memory.clock,
        silent=int(silent),
        messages=memory.messages,
        revision=2 * memory.messages + int(silent),
        known_at_ms=memory.last_arrival,
    )


def _build(site: Site, state: bytes | None, upstream: Mapping[str, SiteFlow], context: Context) -> SiteFlow:
    return IngestFlow(site, state)


SAMPLE = [
    (
        "2026-07-31T10:01:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:01:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 3, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:01:05Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:00:00+00:00", "end_time": "2026-07-31T10:01:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 3, "out": 1}]}""",
    ),
    (
        "2026-07-31T10:01:20Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"}, "time_info": {"time": "2026-07-31T10:00:40+00:00"},
"line_trigger_data": [{"line": 1, "in": 1, "out": 0}]}""",
    ),
    (
        "2026-07-31T10:02:02Z",
        b"""{"device_info": {"device_sn": "6537F28778010000"},
"time_info": {"start_time": "2026-07-31T10:01:00+00:00", "end_time": "2026-07-31T10:02:00+00:00"},
"line_periodic_data": [{"line": 1, "in": 2, "out": 2}, {"line": 2, "in": "many", "out": 0}]}""",
    ),
]


EXPECTED: dict[str, list[dict[str, object]]] = {
    "observations": [
        {
            "position": 0,
            "kind": "window",
            "start": "2026-07-31T10:00:00Z",
            "end": "2026-07-31T10:01:00Z",
            "people_in": 3,
            "people_out": 1,
            "skew_s": 2,
        },
        {
            "position": 2,
            "kind": "trigger",
            "start": "2026-07-31T10:00:40Z",
            "end": "2026-07-31T10:00:40Z",
            "people_in": 1,
            "people_out": 0,
        },
        {
            "position": 3,
            "kind": "window",
            "start": "2026-07-31T10:01:00Z",
            "end": "2026-07-31T10:02:00Z",
            "people_in": 2,
            "people_out": 2,
        },
    ],
    "duplicates": [
        {"position": 1, "arrived": "2026-07-31T10:01:05Z"},
    ],
    "quarantine": [
        {"position": 3, "reason": "bad_number", "place": "line_periodic_data[1].in", "partial": 1},
    ],
    "devices": [
        {"device": "6537f28778010000", "device_name": "Door", "clock": "device", "messages": 4},
    ],
    "repairs": [],
}

FLOW = Flow(
    name="ingest",
    summary="decode, choose the event time, tell copies apart; observations, duplicates, quarantine",
    after=(),
    tables=(Observations, Duplicates, Quarantine, Devices, Repairs),
    build=_build,
)
__all__ = ["FLOW", "IngestFlow", "device_row", "observation", "quarantined"]
