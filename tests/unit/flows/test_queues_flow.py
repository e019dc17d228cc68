"""Queues in a chain: when advice is said, and when somebody is told that a queue is too long."""

from typing import Any

from flows import ordered
from infra.chain import Chain
from operators.ingest import Arrival
from operators.moment import Context, Output
from schemas.alerts import Transition
from schemas.events import Event, LineCount, QueueLength, Report, Stay
from schemas.rows_zones import QueueAdvice
from schemas.sites import Device, Line, Site, Zone

T = 1_785_492_000
CAMERA = Device(
    "cam",
    lines={1: Line(1, "Join", "checkout"), 2: Line(2, "Tills", "service")},
    zones={5: Zone(5, "Tills", "checkout", 4), 6: Zone(6, "Till", "service")},
)
SITE = Site("shop", "Shop", "UTC", devices={"cam": CAMERA})


def played(flow: str, reports: list[tuple[int, list[Event]]], until: int) -> Output:
    """What a chain says to reports (seconds after T, events) that arrive two seconds after their time."""
    chain, out = Chain(SITE, ordered([flow]), None, Context()), Output({}, [])
    for position, (at, events) in enumerate(reports):
        report = Report("cam", "made_up", str(at), T + at, events)
        chain.handle([Arrival(0, position, (T + at + 2) * 1000, report)], CAMERA, b"", 1, 0, out)
    chain.advance(T + until, out)
    return out


def minute(at: int, length: int, joined: int = 2) -> tuple[int, list[Event]]:
    events: list[Event] = [
        QueueLength(5, T + at - 60, T + at, length, lanes_open=2),
        LineCount(1, "window", T + at - 60, T + at, joined, 0),
    ]
    return at, events


def advice(out: Output) -> list[dict[str, Any]]:
    return [dict(zip(QueueAdvice.columns, row, strict=True)) for row in out.rows.get("queue_advice", [])]


def told(out: Output) -> list[tuple[str, int]]:
    """(kind, seconds after T) of the transitions of long queues."""
    return [(t.kind, t.happened_ms // 1000 - T) for t in out.transitions if _is_queue(t)]


def _is_queue(t: Transition) -> bool:
    return t.rule == "queue_long" and t.subject == "cam/5"


def test_lanes_are_advised_ten_seconds_after_each_minute_until_the_queue_is_silent() -> None:
    reports = [minute(60 * (i + 1), 2) for i in range(3)]
    reports[0][1].append(Stay(6, T, T + 60, 60.0))
    found = advice(played("queues", reports, 3600))
    # The newest report ends at 180: three minutes later its length is not fresh any more.
    assert [row["at"] - T for row in found] == [70, 130, 190, 250, 310]
    assert {(row["length"], row["arrivals_h"], row["service_s"], row["lanes_open"]) for row in found} == {(2, 120.0, 60.0, 2.0)}
    assert {row["lanes"] for row in found} == {2}, "one lane serves half of those who come"


def test_without_a_known_service_time_no_lanes_are_advised() -> None:
    assert advice(played("queues", [minute(60, 3), minute(120, 3)], 600)) == []


def test_a_queue_that_stays_too_long_for_two_minutes_is_told_and_told_again_when_it_is_short() -> None:
    lengths = [3, 5, 4, 6, 6, 3, 2, 1, 1, 1]
    #          60 120 180 240 300 360 ...: 4 people are too many; below 3.2 for two minutes it is over
    reports = [minute(60 * (i + 1), n) for i, n in enumerate(lengths)]
    assert told(played("alerts", reports, 900)) == [("firing", 240), ("resolved", 480)]


def test_a_queue_that_is_short_in_between_is_not_told() -> None:
    reports = [minute(60 * (i + 1), n) for i, n in enumerate([5, 1, 5, 1, 5, 1])]
    assert told(played("alerts", reports, 900)) == []


def test_the_text_names_store_queue_people_and_limit() -> None:
    found = played("alerts", [minute(60 * (i + 1), 7) for i in range(4)], 300).transitions
    assert found[0].summary == "Shop: 7 people wait at Tills, which is too many from 4 on"
