"""What the simulated sensors say is what the product's decoders read, in every dialect and at every change of clocks."""

from datetime import UTC, datetime

import pytest

from operators.simulator import Level, Sent, StayTold, Window, chain
from schemas.events import LineCount, Stay, ZoneCount
from schemas.sensors import decode
from schemas.sites import Device

MOMENTS = {
    "an afternoon in March": datetime(2026, 3, 6, 12, 26, 40, tzinfo=UTC),
    "clocks go forward in Europe": datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
    "clocks go back in Europe": datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
    "clocks go back in America": datetime(2026, 11, 1, 6, 0, tzinfo=UTC),
}


def windows(message: Sent, entry: Device) -> list[Window]:
    (report,) = decode(message.payload)
    assert report.refusals == []
    assert report.device == message.device
    found = []
    for e in report.events:
        if type(e) is LineCount and e.kind == entry.counting:
            end = e.end if e.end is not None else report.time
            assert end is not None
            start = e.start if e.start is not None else end - entry.interval_s
            into, out = (e.people_out, e.people_in) if entry.swapped(e.line) else (e.people_in, e.people_out)
            found.append(Window(report.device, e.line, start, end, into, out))
    return found


def zones(message: Sent, entry: Device) -> tuple[list[Level], list[StayTold]]:
    """People present where they were counted, and single stays."""
    (report,) = decode(message.payload)
    levels, stays = [], []
    for e in report.events:
        if type(e) is ZoneCount and e.present is not None:
            end = e.end if e.end is not None else report.time
            assert end is not None
            levels.append(
                Level(report.device, e.zone, e.start if e.start is not None else end - entry.interval_s, end, e.present)
            )
        elif type(e) is Stay:
            assert e.start is not None and e.end is not None and e.dwell_s == e.end - e.start
            stays.append(StayTold(report.device, e.zone, e.start, e.end))
    return levels, stays


@pytest.mark.parametrize("name", MOMENTS)
def test_decoders_read_exactly_the_ledger(name: str) -> None:
    live = int(MOMENTS[name].timestamp())
    made = chain(14, seed=7, live=live, weeks=0.03)
    entries = {d.id: d for site in made.sites for d in site.devices.values()}
    kinds = set()
    for message in made.messages(live + 1200):
        if message.expect == "stored":
            assert windows(message, entries[message.device]) == list(message.windows), message
            assert zones(message, entries[message.device]) == (list(message.levels), list(message.stays)), message
            kinds.add(entries[message.device].model)
    assert kinds == {"VS121-P", "VS121", "VS125", "VS133", "VS133-P", "VS135"}


def test_foreign_messages_are_refused_with_a_reason() -> None:
    live = int(MOMENTS["an afternoon in March"].timestamp())
    foreign = [m for m in chain(1, 3, live).messages(live + 3600) if m.expect == "quarantined"]
    assert len(foreign) > 50
    for message in foreign:
        reports = decode(message.payload)
        assert all(not r.events and r.refusals[0].reason for r in reports)
