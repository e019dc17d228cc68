"""Civil time against a slow oracle that asks the zone database about every single minute."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest

from operators.calendar import WEEKDAYS, bucket, civil_day, day_bounds, is_open, local_start, opening, reset_before, utc_offset
from schemas.sites import Site

# zone, civil day, hours of the day
DAYS = [
    ("Europe/Berlin", date(2025, 3, 30), 23.0),
    ("Europe/Berlin", date(2025, 10, 26), 25.0),
    ("Europe/Berlin", date(2025, 6, 2), 24.0),
    ("Australia/Lord_Howe", date(2025, 4, 6), 24.5),
    ("Australia/Lord_Howe", date(2025, 10, 5), 23.5),
    ("Africa/Casablanca", date(2025, 2, 23), 25.0),
    ("Africa/Casablanca", date(2025, 4, 6), 23.0),
    ("America/Santiago", date(2025, 9, 7), 23.0),  # midnight is skipped: the day begins at 01:00
    ("America/Santiago", date(2025, 4, 5), 25.0),  # midnight comes twice: 23:00 to 24:00 is repeated
    ("Asia/Kathmandu", date(2025, 6, 2), 24.0),
    ("Asia/Beirut", date(2025, 3, 30), 23.0),  # midnight is skipped
    ("UTC", date(2024, 2, 29), 24.0),
]


@lru_cache(maxsize=200_000)
def _wall(zone: str, epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC).astimezone(ZoneInfo(zone))


@lru_cache(maxsize=100)
def _minutes_of(zone: str, day: date) -> list[int]:
    """All minutes whose civil date is the day, one by one."""
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    return [m for m in range(noon - 40 * 3600, noon + 40 * 3600, 60) if _wall(zone, m).date() == day]


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_a_civil_day_is_exactly_the_minutes_that_bear_its_date(zone: str, day: date, hours: float) -> None:
    minutes = _minutes_of(zone, day)
    assert day_bounds(zone, day) == (minutes[0], minutes[-1] + 60)
    assert len(minutes) == hours * 60
    assert all(civil_day(zone, m) == day for m in minutes)


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_days_follow_each_other_without_gap(zone: str, day: date, hours: float) -> None:
    assert day_bounds(zone, day - timedelta(days=1))[1] == day_bounds(zone, day)[0]
    assert day_bounds(zone, day)[1] == day_bounds(zone, day + timedelta(days=1))[0]


@pytest.mark.parametrize("step", ["15m", "1h", "1d"])
@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_buckets_partition_the_day_exactly(zone: str, day: date, hours: float, step: str) -> None:
    start, end = day_bounds(zone, day)
    at, total = start, 0
    while at < end:
        first, last = bucket(zone, at, step)
        assert first == at, f"bucket of {_wall(zone, at)} begins at {_wall(zone, first)}"
        assert {bucket(zone, m, step) for m in range(first, last, 60)} == {(first, last)}
        total, at = total + last - first, last
    assert at == end
    assert total == hours * 3600


@pytest.mark.parametrize("step", ["15m", "1h"])
@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_a_bucket_holds_one_wall_clock_hour_and_offset(zone: str, day: date, hours: float, step: str) -> None:
    size = 900 if step == "15m" else 3600
    for minute in _minutes_of(zone, day):
        first, last = bucket(zone, minute, step)
        assert 0 < last - first <= size
        walls = [_wall(zone, first), _wall(zone, last - 60), _wall(zone, minute)]
        assert len({(w.date(), (w.hour * 3600 + w.minute * 60) // size, w.utcoffset()) for w in walls}) == 1


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_the_wall_clock_is_what_the_zone_database_says(zone: str, day: date, hours: float) -> None:
    for minute in _minutes_of(zone, day):
        offset = _wall(zone, minute).utcoffset()
        assert offset is not None
        assert utc_offset(zone, minute // 900) == offset.total_seconds()
        assert datetime.fromtimestamp(local_start(zone, minute), UTC).replace(tzinfo=None) == _wall(zone, minute).replace(
            tzinfo=None
        )


def test_the_repeated_hour_is_two_buckets() -> None:
    # Berlin, 26 October 2025: 02:00 to 03:00 at +02:00, then again at +01:00.
    first = int(datetime(2025, 10, 26, 0, tzinfo=UTC).timestamp())
    assert bucket("Europe/Berlin", first, "1h") == (first, first + 3600)
    assert bucket("Europe/Berlin", first + 3600, "1h") == (first + 3600, first + 7200)


def test_half_an_hour_of_change_makes_a_short_hour() -> None:
    # Lord Howe, 5 October 2025: 02:00 jumps to 02:30, so the hour from 02:30 to 03:00 has 30 minutes.
    jump = int(datetime(2025, 10, 4, 15, 30, tzinfo=UTC).timestamp())
    assert _wall("Australia/Lord_Howe", jump).strftime("%H:%M") == "02:30"
    assert bucket("Australia/Lord_Howe", jump, "1h") == (jump, jump + 1800)


# Opening hours -----------------------------------------------------------------------------------------------------------


def _hours(*ranges: tuple[int, int]) -> dict[str, tuple[tuple[int, int], ...]]:
    return dict.fromkeys(WEEKDAYS, ranges)


def _open_oracle(site: Site, epoch: int) -> bool:
    """Whether the wall clock shows a time within the hours of its civil day, or of the day before past midnight.

    Within one day the clock is compared as it stands: both passes of a repeated hour count, as people in the shop would say.
    """
    assert site.hours is not None
    wall = _wall(site.zone, epoch)
    minute = wall.hour * 60 + wall.minute
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        ranges = site.exceptions.get(day.isoformat(), site.hours.get(WEEKDAYS[day.weekday()], ()))
        if any(a <= minute + 1440 * back < b for a, b in ranges):
            return True
    return False


CALM = [  # hours that no change of clocks touches: wall clock and oracle must agree minute by minute
    _hours((9 * 60, 20 * 60)),
    _hours((9 * 60, 12 * 60 + 30), (14 * 60, 19 * 60)),
    _hours((18 * 60, 1440 + 60 * 6)),
    _hours((0, 1440)),
    {"mon": ((8 * 60, 22 * 60),), "sun": ((13 * 60, 18 * 60),)},
]


@pytest.mark.parametrize("hours", CALM)
@pytest.mark.parametrize(("zone", "day", "length"), DAYS)
def test_opening_hours_are_those_of_the_wall_clock_minute_by_minute(
    zone: str, day: date, length: float, hours: dict[str, tuple[tuple[int, int], ...]]
) -> None:
    site = Site("s", "S", zone, hours=hours)
    for minute in _minutes_of(zone, day):
        assert is_open(site, minute) == _open_oracle(site, minute), _wall(zone, minute)


def test_closing_inside_the_repeated_hour_means_its_first_pass() -> None:
    # Closing at 02:30 on 26 October 2025 in Berlin: 00:30 UTC is the first, 01:30 UTC the second 02:30.
    site = Site("s", "S", "Europe/Berlin", hours=_hours((20 * 60, 1440 + 150)))
    closing = int(datetime(2025, 10, 26, 0, 30, tzinfo=UTC).timestamp())
    assert opening(site, date(2025, 10, 25))[0][1] == closing
    assert is_open(site, closing - 60) and not is_open(site, closing)
    assert not is_open(site, closing + 1800)  # 02:00 for the second time


def test_closing_inside_the_skipped_hour_means_the_jump() -> None:
    # 02:30 does not exist on 30 March 2025 in Berlin: the clock jumps from 02:00 to 03:00 at 01:00 UTC.
    site = Site("s", "S", "Europe/Berlin", hours=_hours((20 * 60, 1440 + 150)))
    assert opening(site, date(2025, 3, 29))[0][1] == int(datetime(2025, 3, 30, 1, tzinfo=UTC).timestamp())


def test_opening_at_a_midnight_that_is_skipped_is_the_start_of_the_day() -> None:
    site = Site("s", "S", "America/Santiago", hours=_hours((0, 600)))
    assert opening(site, date(2025, 9, 7))[0][0] == day_bounds("America/Santiago", date(2025, 9, 7))[0]


def test_an_exception_replaces_the_hours_of_its_date() -> None:
    site = Site("s", "S", "UTC", hours=_hours((540, 1200)), exceptions={"2025-12-25": (), "2025-12-24": ((540, 840),)})
    assert opening(site, date(2025, 12, 25)) == []
    start = day_bounds("UTC", date(2025, 12, 24))[0]
    assert opening(site, date(2025, 12, 24)) == [(start + 540 * 60, start + 840 * 60)]


def test_a_store_without_hours_is_open_all_day() -> None:
    site = Site("s", "S", "Europe/Berlin")
    day = date(2025, 10, 26)
    assert opening(site, day) == [day_bounds("Europe/Berlin", day)]
    assert is_open(site, day_bounds("Europe/Berlin", day)[0] + 12345)


# Resets ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset_minute", [0, 90, 150, 240, 1439])
@pytest.mark.parametrize(("zone", "day", "length"), DAYS)
def test_the_reset_is_the_newest_that_has_come(zone: str, day: date, length: float, reset_minute: int) -> None:
    site = Site("s", "S", zone, reset_minute=reset_minute)
    seen = sorted({reset_before(site, m) for m in range(day_bounds(zone, day)[0], day_bounds(zone, day)[1], 60)})
    assert len(seen) <= 2
    for reset in seen:
        wall = _wall(zone, reset)
        late = wall.hour * 60 + wall.minute - reset_minute
        assert late == 0 or 0 < late <= 60  # later only where the clock jumps over it
        assert reset_before(site, reset) == reset
        assert reset_before(site, reset - 60) < reset
    assert seen[-1] <= day_bounds(zone, day)[1]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago", "Asia/Kathmandu"]
)
def test_there_is_one_reset_per_civil_day_of_a_year(zone: str) -> None:
    site = Site("s", "S", zone)
    start = day_bounds(zone, date(2025, 1, 1))[0] + 12 * 3600
    resets = {reset_before(site, start + hour * 3600) for hour in range(365 * 24)}
    days = [civil_day(zone, r) for r in sorted(resets)]
    assert days == [date(2025, 1, 1) + timedelta(days=i) for i in range(len(days))]
    assert len(days) in (365, 366)
