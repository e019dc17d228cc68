"""Alerts of a store, played without log or store."""

from schemas.sites import Device, Line, Site
from tests.support.play import message, play

T = 1_785_492_000
"""2026-07-31 10:00 UTC."""
SITE = Site("shop", "Shop", "UTC", devices={"cam-1": Device("cam-1", "Camera")})


def silences(step_s: int, until: int) -> list[str]:
    """What is said of a camera's silence that reports its zone for ten windows of `step_s`, then no more; arrival epoch ms."""
    records = [
        (
            (start + step_s + 2) * 1000,
            message("cam-1", {"type": "zone_count", "zone": 1, "present": 3, "start": start, "end": start + step_s}),
        )
        for start in range(T, T + 10 * step_s, step_s)
    ]
    out = play(SITE, ["traffic", "occupancy", "anomaly", "zones", "queues", "alerts"], records, until)
    return [t.kind for t in out.transitions if t.rule == "sensor_silent"]


def test_a_sensor_of_zones_that_reports_seldom_is_not_silent_between_two_of_its_reports() -> None:
    assert silences(600, T + 6060) == []


def test_a_sensor_of_zones_is_silent_three_of_its_periods_after_its_last_report() -> None:
    assert silences(600, T + 6000 + 3 * 600 + 60) == ["firing"]


def test_a_stuck_sensor_is_told_once_and_resolved_when_it_counts_again() -> None:
    door = Site("shop", "Shop", "UTC", devices={"door": Device("door", "Door", lines={1: Line(1)})})
    records = []
    for minute in range(90):
        start = T + 60 * minute
        people = 4 if minute < 45 else minute % 7
        event = {"type": "line_count", "line": 1, "people_in": people, "people_out": 3, "start": start, "end": start + 60}
        records.append(((start + 62) * 1000, message("door", event)))
    told = [t for t in play(door, ["alerts"], records).transitions if t.rule == "sensor_fault"]
    assert [(t.kind, t.subject) for t in told] == [("firing", "door/stuck"), ("resolved", "door/stuck")]
    assert told[0].summary.startswith("Shop: Door has told the same counts (4 in, 3 out) in ")
