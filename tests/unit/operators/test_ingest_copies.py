"""Copies of a message: what is remembered, recalled and written of them."""

from operators.ingest import Arrival, Ingest, Known
from operators.memory import place_of
from schemas.events import LineCount, Report
from schemas.sites import Device, Line, Site

DEVICE = Device("d", "Door", "VS133", {1: Line(1, "Door", "entrance")}, interval_s=60)
SITE = Site("oslo", "Oslo", "UTC", "NO", devices={"d": DEVICE})
DAY = 86_400
AT = 20_000 * DAY + 36_000


def window(start: int, people: int, arrival_s: int, position: int) -> Arrival:
    """A report of one minute from `start` on."""
    event = LineCount(1, "window", start, start + 60, people, 0, None, None, None, None, None, None)
    return Arrival(0, position, arrival_s * 1000, Report("d", "vs13x", str(start + 60), start + 60, [event]))


def recalled(a: Arrival, event_id: int) -> Known:
    """The observation of a window as the store gives it back."""
    (e,) = a.report.events
    assert type(e) is LineCount and e.start is not None and e.end is not None
    values = (e.people_in, e.people_out, None, None, None, None, None, None)
    return Known("line", "window", 1, e.start, e.end, event_id, a.arrival, values, True, place_of(a.partition, a.position))


def test_a_recalled_copy_is_not_forgotten_within_its_own_batch() -> None:
    first, now = window(AT, 3, AT + 62, 0), AT + 2 * DAY
    (seen,) = Ingest(SITE).take(first, DEVICE, AT + 62, 1)
    fresh = Ingest(SITE)
    late = window(AT, 3, now, 500)
    fresh.recall({("d", AT // DAY): [recalled(first, seen.event_id)]}, stamp=7)
    # So many other messages in the same batch that the memory is pruned; batch 6 is the last that is stored for good.
    for i in range(200):
        fresh.take(window(now + 60 * i, 1, now + 62 + 60 * i, 100 + i), DEVICE, now + 62 + 60 * i, 7, durable=6)
    assert fresh.take(late, DEVICE, now + 20_000, 7, durable=6) == []


def test_a_recalled_copy_is_forgotten_once_its_batch_is_stored() -> None:
    first, now = window(AT, 3, AT + 62, 0), AT + 2 * DAY
    (seen,) = Ingest(SITE).take(first, DEVICE, AT + 62, 1)
    fresh = Ingest(SITE)
    fresh.recall({("d", AT // DAY): [recalled(first, seen.event_id)]}, stamp=7)
    for i in range(200):
        fresh.take(window(now + 60 * i, 1, now + 62 + 60 * i, 100 + i), DEVICE, now + 62 + 60 * i, 8, durable=7)
    assert AT not in fresh.devices["d"].lines[1].windows


def test_which_copy_came_first_shows_neither_in_flags_nor_in_skew() -> None:
    early, later = window(AT, 3, AT + 62, 0), window(AT, 3, AT + 500, 1)
    in_order, turned = Ingest(SITE), Ingest(SITE)
    (a,) = in_order.take(early, DEVICE, AT + 62, 1)
    assert in_order.take(later, DEVICE, AT + 500, 1) == []
    turned.take(later, DEVICE, AT + 500, 1)
    (b,) = turned.take(early, DEVICE, AT + 500, 1)
    assert (a.flags, a.skew_s, a.arrival, a.event_id) == (b.flags, b.skew_s, b.arrival, b.event_id)
    assert (a.flags, a.skew_s) == ("", 2)


def test_triggers_that_are_running_totals_are_kept_as_totals() -> None:
    device = Device("d", "Door", trigger="counter")
    event = LineCount(1, "trigger", AT, AT, 27, 27)
    report = Report("d", "vs13x", str(AT), AT, [event])
    (told,) = Ingest(SITE).take(Arrival(0, 0, AT * 1000, report), device, AT, 1)
    assert isinstance(told.event, LineCount) and told.event.kind == "total"
    assert event.kind == "trigger", "the identity is that of what was sent"


def test_the_skew_of_a_late_report_is_its_own_not_that_of_the_newest() -> None:
    ingest = Ingest(SITE)
    ingest.take(window(AT + 600, 1, AT + 662, 0), DEVICE, AT + 662, 1)
    (late,) = ingest.take(window(AT, 1, AT + 660, 1), DEVICE, AT + 662, 1)
    assert late.skew_s == 600
