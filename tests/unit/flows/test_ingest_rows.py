"""Every kind of event keeps, in `observations`, its place, its times and all that it said."""

import msgspec
import pytest

from flows.ingest import observation
from infra.history import judged_one
from operators.ingest import Accepted, Arrival, Ingest
from schemas.events import (
    Demographics,
    Detection,
    DwellSummary,
    Event,
    FlowMatrix,
    Heat,
    QueueLength,
    Report,
    Stay,
    ZoneCount,
    event_id,
)
from schemas.rows import Observations
from schemas.sites import Device, Site

END = 1_785_492_060
START = END - 60
DOOR = Device(id="d", interval_s=600)
EVENTS: list[tuple[Event, int, int | None]] = [
    (ZoneCount(3, "window", START, END, 5, 7), 3, 5),
    (Stay(2, START, END, 60.0), 2, None),
    (DwellSummary(2, START, END, 30.0, 55.5), 2, None),
    (FlowMatrix(START, END, {"A-B": 4}), 0, None),
    (Heat(0, START, END, None, [(3, 4, 0.5), (3, 5, 1.0)], 20, 10), 0, None),
    (Heat(4, START, END, 17.5), 4, None),
    (QueueLength(6, START, END, 8, 95.0, 11, 2), 6, 8),
    (Demographics(2, None, START, END, {"gender:female": 3, "age:18-30": 2}), 2, None),
    (Demographics(None, 5, START, END, {"class:child": 1}), 5, None),
    (Detection("display_dwell", START, END, 9, "cam-3", "loiter", 0.87, 41.0, "https://nvr.example/e/1"), 9, None),
    (Detection("security_incident", END, END), 0, None),
]


def taken(event: Event) -> Accepted:
    report = Report("d", "footstream_v1", "t", END, [event])
    return Ingest(Site(id="s", name="S", zone="UTC", devices={"d": DOOR})).take(
        Arrival(0, 7, END * 1000 + 2000, report), DOOR, END, 1
    )[0]


@pytest.mark.parametrize(("event", "part", "present"), EVENTS, ids=lambda value: type(value).__name__)
def test_an_event_is_stored_with_its_place_and_read_back_as_it_was(event: Event, part: int, present: int | None) -> None:
    accepted = taken(event)
    row = dict(zip(Observations.columns, observation("s", accepted, "raw"), strict=True))
    assert (row["section"], row["part"], row["present"], row["people_in"]) == (event.section, part, present, None)
    assert (row["start"], row["end"]) == (getattr(event, "start", None), END)
    again = judged_one(row | {"s": row["start"], "e": row["end"]}, DOOR, accepted.from_, {})
    stored = msgspec.structs.replace(event, groups={}) if isinstance(event, Demographics) else event
    assert again.event == stored, "people by class are never stored report by report"


@pytest.mark.parametrize(
    ("event", "covers"),
    [
        (Heat(1, None, None, 2.0), 600),
        (Demographics(1, None, None, None, {"class:child": 1}), 600),
        (Heat(1, None, END, 2.0), 600),
        (QueueLength(1, None, None, 4), 0),
        (Detection("sentiment", None, None), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_without_a_start_a_sum_covers_the_expected_interval_and_a_reading_is_a_moment(event: Event, covers: int) -> None:
    accepted = taken(event)
    assert (accepted.end, accepted.end - accepted.start) == (END, covers)


def test_any_other_value_of_an_event_gives_another_id() -> None:
    one = Detection("sentiment", START, END, 1, label="good", value=4.0)
    other = msgspec.structs.replace(one, value=3.0)
    report = Report("d", "footstream_v1", "t", END, [one])
    assert event_id(report, one, 0) == event_id(report, Detection("sentiment", START, END, 1, label="good", value=4.0), 0)
    assert event_id(report, one, 0) != event_id(report, other, 0)
