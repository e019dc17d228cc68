"""The flow `devices`: silence, restarts, clocks, late reports."""

from typing import Any

from schemas.sites import Device, Line, Site
from tests.support.play import message, newest, play

BEGIN = 1_785_492_000  # 2026-07-31 10:00 UTC
SHOP = Site("shop", "Shop", "UTC", devices={"door1": Device("door1", "Door", lines={1: Line(1)}, interval_s=600)})


def window(start: int, told: int | None = None, device: str = "door1") -> tuple[int, bytes]:
    """A report of ten minutes from `start` on; minutes after ten."""
    times = {"start": BEGIN + start * 60, "end": BEGIN + start * 60 + 600}
    arrival = BEGIN + 60 * (start + 10 if told is None else told) + 1
    return arrival * 1000, message(device, {"type": "line_count", "line": 1, "people_in": start, "people_out": 0, **times})


def running(minute: int, seconds: int, at: int | None = None) -> tuple[int, bytes]:
    """A VS133 that has been running for so long; `at`: its own time, when it is not that of the arrival."""
    stamp = f"{10 + (minute if at is None else at) // 60}:{(minute if at is None else at) % 60:02}"
    payload = f"""{{"device_info": {{"device_sn": "door1", "running_time": {seconds}}}, "time_info": {{
"time": "2026-07-31T{stamp}:00+00:00"}}, "line_trigger_data": [{{"line": 1, "in": 1, "out": {seconds % 7}}}]}}"""
    return (BEGIN + minute * 60) * 1000, payload.encode()


def hours(*records: tuple[int, bytes], until: int = 180) -> list[dict[str, Any]]:
    return newest(play(SHOP, ["devices"], sorted(records), until=BEGIN + until * 60), "device_hours")


def test_a_silent_device_has_an_hour_with_everything_missed() -> None:
    rows = hours(window(0), window(10))
    assert [(r["messages"], r["missed"]) for r in rows] == [(2, 4), (0, 6), (0, None), (0, None)]
    assert [r["last_seen_ms"] is None for r in rows] == [False, True, True, True]


def test_nothing_is_missed_by_one_that_reports_and_a_late_report_is_covered() -> None:
    told = [window(start) for start in range(0, 60, 10) if start != 20]
    assert [r["missed"] for r in hours(*told, until=75)][:1] == [1]
    assert [r["missed"] for r in hours(*told, window(20, told=61), until=75)][:1] == [0]


def test_nothing_is_expected_before_a_device_was_first_heard() -> None:
    rows = hours(window(40), window(50), until=75)
    assert [(r["expected_s"], r["missed"]) for r in rows][:1] == [(1200, 0)]


def test_a_running_time_that_begins_again_is_a_restart_but_an_old_message_is_none() -> None:
    assert hours(running(1, 500), running(5, 740), running(9, 30), running(12, 210))[0]["reboots"] == 1
    assert hours(running(5, 740), running(9, 980), running(10, 500, at=1))[0]["reboots"] == 0
    assert hours(window(0))[0]["reboots"] is None


def test_the_clock_is_told_by_its_extremes() -> None:
    row = hours(running(1, 500), running(5, 740, at=4), running(8, 920, at=9))[0]
    assert (row["skew_low_s"], row["skew_high_s"]) == (-60, 60)


def test_what_a_device_says_of_itself_is_kept_by_name() -> None:
    status = {"type": "device_status", "fields": {"humidity_pct": 40, "note": "fine"}}
    row = hours((BEGIN * 1000, message("door1", status)))[0]
    assert row["said"] == '{"humidity_pct":40,"note":"fine"}'
    assert (row["battery_pct"], row["occluded"], row["covered_s"]) == (None, None, None)


def test_one_that_nobody_declared_is_followed_for_a_week() -> None:
    out = play(SHOP, ["devices"], [window(0, device="other")], until=BEGIN + 10 * 86_400)
    assert len(newest(out, "device_hours")) == 7 * 24 + 1
