"""Figures of a queue: each takes the best evidence there is and says which."""

import pytest

from operators.ingest import Accepted, Arrival, values_of
from operators.queue_figures import Queues, abandonment, figures, service_level
from operators.tallies import Tally
from schemas.events import Event, LineCount, QueueLength, Report, Stay, ZoneCount
from schemas.sites import Device, Line, Site, Zone

T = 1_785_492_000
"""A full hour."""
CAMERA = Device(
    "cam",
    lines={1: Line(1, "Join", "checkout"), 2: Line(2, "Tills", "service", swap=True), 3: Line(3, "Door")},
    zones={5: Zone(5, "Queue", "checkout", 4), 6: Zone(6, "Till", "service"), 7: Zone(7, "Shelf")},
)
SITE = Site("shop", "Shop", "UTC", devices={"cam": CAMERA})


def told(*events: Event) -> Tally:
    """The hour's tally after these events, each with the time that it says."""
    queues = Queues(SITE, None)
    for n, event in enumerate(events):
        start, end = getattr(event, "start", None) or T, getattr(event, "end", None) or T
        report = Arrival(0, n, end * 1000, Report("cam", "made_up", "", end, [event]))
        queues.take(
            Accepted(CAMERA, event, n, start, end, "new", None, end * 1000, 0, "device", False, report, "", n), end, set()
        )
    found = list(queues.rollup.all())
    if not found:
        return {}
    ((device, queue, strand),) = found
    assert (device, queue) == ("cam", 5), "lines, tills and people all belong to the only queue of the device"
    return strand.buckets["1h"][T].tally


def windows(*present: int, zone: int = 5) -> list[Event]:
    """People in a zone, minute by minute."""
    return [ZoneCount(zone, "window", T + 60 * i, T + 60 * i + 60, p) for i, p in enumerate(present)]


def stay(zone: int, seconds: int) -> Stay:
    return Stay(zone, T, T + seconds, float(seconds))


def test_length_is_weighted_by_time_with_its_95_per_cent_point_and_the_time_above_the_limit() -> None:
    f = figures(told(*windows(*[1] * 18, 6, 9)), 4, 3600)
    assert f.length_mean == pytest.approx(33 / 20)
    assert (f.length_p95, f.length_max, f.over_s, f.measured_s) == (6, 9, 120, 1200)


def test_lines_count_arrivals_and_service_in_the_direction_that_the_registry_says() -> None:
    f = figures(told(LineCount(1, "window", T, T + 60, 8, 1), LineCount(2, "window", T, T + 60, 0, 6)), 4, 3600)
    assert (f.arrivals, f.arrivals_source, f.served, f.served_source) == (8, "line", 6, "line")
    assert abandonment(f) == (0.25, "A")


def test_nobody_on_a_line_is_zero_and_no_report_is_not_known() -> None:
    assert figures(told(LineCount(1, "window", T, T + 60, 0, 0)), 4, 3600).arrivals == 0
    assert figures(told(*windows(1)), 4, 3600).arrivals is None
    assert told(LineCount(3, "window", T, T + 60, 5, 5), *windows(1, zone=7)) == {}, "neither a door nor a shelf is a queue"


def test_without_lines_stays_count_and_who_only_walked_through_did_not_join() -> None:
    f = figures(told(stay(5, 3), stay(5, 40), stay(5, 60), stay(6, 90)), 4, 3600)
    assert (f.arrivals, f.arrivals_source, f.served, f.service_s) == (2, "stays", 1, 90.0)
    assert (f.wait_s, f.wait_source) == (50.0, "stays")
    assert abandonment(f) == (0.5, "C")


def test_a_wait_that_the_device_measured_comes_first() -> None:
    found = told(stay(5, 40), QueueLength(5, T + 60, T + 120, 3, 75.0, 2, 2))
    f = figures(found, 4, 3600)
    assert (f.wait_s, f.wait_source, f.lanes_open, f.served) == (75.0, "told", 2.0, 2)
    assert service_level(found, f, 3600) == (1.0, "counted")


def test_a_wait_from_length_service_and_lanes_and_how_busy_they_are() -> None:
    lengths = [QueueLength(5, T + 60 * i, T + 60 * i + 60, 6, lanes_open=2) for i in range(2)]
    f = figures(told(*lengths, stay(6, 60), *windows(1, 2, zone=6)), 4, 3600)
    assert (f.wait_s, f.wait_source) == (6 * 60 / 2, "servers")
    assert (f.busy_share, f.utilisation) == (1.0, 0.75)


def test_littles_law_only_where_the_queue_was_as_long_before_as_after() -> None:
    joined = LineCount(1, "window", T, T + 3600, 30, 0)
    even = figures(told(joined, *windows(2, *[5] * 58, 2)), 4, 3600)
    assert even.wait_s == pytest.approx((2 + 58 * 5 + 2) / 60 * 3600 / 30)
    assert even.wait_source == "little"
    assert figures(told(joined, *windows(2, *[5] * 59)), 4, 3600).wait_source == ""
    assert figures(told(joined, *windows(2, 2)), 4, 3600).wait_source == "", "two minutes of an hour are not enough"


def test_the_service_level_is_counted_else_from_erlang_c_else_unknown() -> None:
    found = told(stay(5, 30), stay(5, 121), stay(5, 120), stay(5, 600))
    assert service_level(found, figures(found, 4, 3600), 3600) == (0.5, "counted")
    opened: list[Event] = [
        QueueLength(5, T, T + 60, 6, lanes_open=6),
        LineCount(1, "window", T, T + 3600, 100, 0),
        stay(6, 180),
    ]
    found = told(*opened)
    level, source = service_level(found, figures(found, 4, 3600), 3600)
    assert (round(level or 0, 3), source) == (0.698, "erlang_c"), "the known answer of kpis.md 2.6"
    assert service_level({}, figures({}, 4, 3600), 3600) == (None, "")


def test_a_correction_of_a_line_takes_back_what_it_corrects() -> None:
    queues = Queues(SITE, None)
    first, second = LineCount(1, "window", T, T + 60, 8, 0), LineCount(1, "window", T, T + 60, 5, 0)
    for n, (event, verdict, before) in enumerate([(first, "new", None), (second, "correction", values_of(first))]):
        report = Arrival(0, n, T * 1000, Report("cam", "made_up", "", T, [event]))
        queues.take(Accepted(CAMERA, event, n, T, T + 60, verdict, before, T * 1000, 0, "", False, report, "", n), T, set())
    ((_, _, strand),) = queues.rollup.all()
    assert figures(strand.minutes[T].tally, 4, 60).arrivals == 5
