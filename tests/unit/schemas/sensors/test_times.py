"""Device times."""

import pytest

from schemas.sensors import decode
from schemas.sensors._times import epoch, wall, window, zone

HOUR = 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-30T20:11:32+08:00", 1717071092),
        ("2024-05-30 20:11:32+08:00", 1717071092),
        ("2024-05-30T12:11:32Z", 1717071092),
        ("2024-05-30T12:11:32-00:00", 1717071092),
        ("2024-05-30T12:11:32.999999+00:00", 1717071092),
        ("1970-01-01T00:00:00+00:00", 0),
        ("2106-02-07T06:28:15+00:00", 2**32 - 1),
        ("2106-02-07T06:28:16+00:00", None),
        ("1969-12-31T23:59:59+00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2024-05-30T20:11:32", None),
        ("2024-02-30T20:11:32+08:00", None),
        ("2024-05-30T24:11:32+08:00", None),
        ("", None),
        ("x" * 1000, None),
    ],
)
def test_iso_text_with_offset(text: str, seconds: int | None) -> None:
    assert epoch(text) == seconds
    assert epoch(text) == seconds, "the second time it is remembered"


@pytest.mark.parametrize(
    ("label", "seconds"),
    [
        ("UTC+8:00", 8 * HOUR),
        ("UTC+5:45", 5 * HOUR + 45 * 60),
        ("UTC-3:30", -3 * HOUR - 30 * 60),
        ("UTC-0:00 Western European Time (WET), Greenwich Mean Time (GMT)", 0),
        ("UTC+1:00 Central European Time (CET)", HOUR),
        ("GMT+2", 2 * HOUR),
        ("UTC", 0),
        ("UTC+99:00", None),
        ("Europe/Oslo", None),
        (None, None),
        (8, None),
    ],
)
def test_zone_labels(label: object, seconds: int | None) -> None:
    assert zone(label) == seconds


def test_wall_clock_text_in_a_zone() -> None:
    assert wall("2022/12/20 18:15:52", 8 * HOUR) == 1671531352
    assert wall("1970/01/01 00:30:00", HOUR) is None
    assert wall("2022-12-20T18:15:52+08:00", 0) is None


def test_a_window_is_in_order_and_at_most_two_days_long() -> None:
    assert window(0, 48 * HOUR) == (0, 48 * HOUR)
    assert window(0, 48 * HOUR + 1) is None
    assert window(5, 5) is None
    assert window(None, 5) is None


@pytest.mark.parametrize(
    ("times", "at", "added", "flags"),
    [
        ('"timezone":"UTC+1:00","dst_status":false', 1719788400, 0, ()),
        ('"timezone":"UTC+1:00","dst_status":true', 1719784800, 3600, ()),
        ('"timezone":"UTC+1:00","dst_status":"1"', 1719784800, 3600, ()),
        ('"timezone":"UTC+1:00"', 1719788400, 0, ()),
        ('"timezone":"somewhere","dst_status":true', 1719792000, 0, ("zone_missing",)),
    ],
    ids=["winter", "summer", "as text", "no flag", "no zone"],
)
def test_daylight_saving_adds_an_hour_to_the_zone_and_says_so(times: str, at: int, added: int, flags: tuple[str, ...]) -> None:
    """Wall clock 2024-07-01 00:00: 23:00 UTC the day before in winter time, 22:00 in summer time."""
    payload = f'{{"device_info":{{"device_sn":"1"}},"time_info":{{"time":"2024/07/01 00:00:00",{times}}},"current_total":1}}'
    (report,) = decode(payload.encode())
    assert (report.time, report.dst_added_s, report.flags) == (at, added, flags)


def test_the_flag_is_ignored_where_the_text_has_an_offset() -> None:
    payload = (
        '{"device_info":{"device_sn":"1"},"time_info":{"time":"2024-07-01T00:00:00+02:00","time_zone":"UTC+1:00","dst_status":true},'
        '"line_trigger_data":[{"line":1,"in":1,"out":0}]}'
    )
    (report,) = decode(payload.encode())
    assert (report.time, report.dst_added_s) == (1719784800, 0)
