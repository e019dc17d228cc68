"""Rows of zones, queues, classes and lost reports for one store of the seeded chain: made-up events of a camera, played to the
real flows. Synthetic, seeded: people come to the tills as a queue of two lanes would have it."""

import random
from typing import Any, Protocol

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.moment import Context, Output
from schemas.events import Demographics, Event, LineCount, QueueLength, Report, Stay, ZoneCount
from schemas.sites import Device, Line, Site, Zone

HOURS = 3
CAMERA = "6537ca"
ZONES = {
    1: Zone(1, "Shoes", capacity=12),
    2: Zone(2, "Checkout", "checkout", 5),
    3: Zone(3, "Tills", "service"),
}
LINES = {1: Line(1, "To the checkout", "checkout"), 2: Line(2, "To the tills", "service")}
FLOWS = ("zones", "queues", "people", "reconcile")


class Rows(Protocol):
    """What takes rows by name."""

    now: int
    rows: dict[str, list[tuple[Any, ...]]]

    def add(self, table: str, **values: Any) -> None: ...


def zones(made: Rows, site_id: str, zone: str) -> None:
    """The last hours up to now."""
    device = Device(CAMERA, "Camera", lines=LINES, zones=ZONES)
    site = Site(site_id, site_id, zone, devices={CAMERA: device}, demographics=True)
    for entry in ZONES.values():
        made.add(
            "zones",
            site=site_id,
            device=CAMERA,
            device_name="Camera",
            zone=entry.number,
            zone_name=entry.name,
            role=entry.role,
            capacity=entry.capacity,
            loaded_ms=(made.now - 15 * 86_400) * 1000,
        )
    chain, out = Chain(site, ordered(FLOWS), None, Context()), Output({}, [])
    first = made.now // 3600 * 3600 - HOURS * 3600 - 120  # what is before makes whole hours known
    for position, (end, events) in enumerate(_events(random.Random(f"zones/{site_id}"), first, (made.now - first) // 60)):
        report = Report(CAMERA, "footstream_v1", str(end), end, events)
        chain.handle([Arrival(0, position, (end + 2) * 1000, report)], device, b"", 1, 0, out)
    chain.advance(made.now, out)
    chain.flush(True, out)
    for flow in ordered(FLOWS):
        if flow.name in FLOWS:
            for table in flow.tables:
                made.rows[table.name].extend(out.rows.get(table.name, []))
    empty = [t.name for f in ordered(FLOWS) if f.name in FLOWS for t in f.tables if not made.rows[t.name]]
    assert not empty, empty


def _events(rng: random.Random, first: int, minutes: int) -> list[tuple[int, list[Event]]]:
    """Minute by minute; the line to the checkout loses twenty minutes in the middle."""
    found: list[tuple[int, list[Event]]] = []
    waiting: list[int] = []
    joined_ever = 0
    for number in range(minutes):
        start, end = first + 60 * number, first + 60 * number + 60
        joined = sum(rng.random() < 0.16 for _ in range(12 if number % 90 < 30 else 6))
        waiting += [start + rng.randrange(60) for _ in range(joined)]
        served = min(len(waiting), rng.choice((1, 2, 2)))
        gone, waiting = waiting[:served], waiting[served:]
        joined_ever += joined
        shoes = rng.randrange(3, 12)
        events: list[Event] = [
            ZoneCount(1, "window", start, end, shoes, shoes + 1),
            ZoneCount(3, "window", start, end, min(2, served)),
            QueueLength(2, start, end, len(waiting), lanes_open=2),
            LineCount(2, "window", start, end, served, 0, child_in=served // 3),
            *(Stay(2, since, max(end, since + 1), float(max(end - since, 1))) for since in gone),
            *(Stay(3, end - 70, end, rng.uniform(40, 90)) for _ in gone),
            *(Stay(1, end - 200, end, rng.choice((4.0, 20.0, 45.0, 120.0, 200.0))) for _ in range(2)),
        ]
        if not 150 <= number < 170:
            events.append(LineCount(1, "window", start, end, joined, 0))
            events.append(LineCount(1, "total", end, end, joined_ever, 0))
        if number % 15 == 14:
            groups = {"gender:female": rng.randrange(8, 20), "gender:male": rng.randrange(1, 9)}
            events.append(Demographics(2, None, end - 900, end, groups))
        found.append((end, events))
    return found
