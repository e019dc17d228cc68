"""Holidays and exceptional hours: what is known of a day ahead, and what the forecast makes of it."""

from datetime import date

import numpy as np
import pytest

from operators.forecast import HourForecast
from operators.holiday_calendar import UnknownCountry, calendar_of, holidays_of
from operators.special_days import CLOSED, OPENED, ORDINARY
from operators.week_profile import WEEK_HOURS
from schemas.sites import Site
from tests.unit.operators.test_forecast import _usual


def _hour(day: date, clock: int = 12) -> int:
    return (day - date(1970, 1, 1)).days * 24 + clock


def test_a_holiday_of_the_subdivision_is_known_and_keeps_its_name_over_the_years() -> None:
    calendar = holidays_of("AU-VIC")
    assert calendar(_hour(date(2015, 11, 3))) == calendar(_hour(date(2016, 11, 1))) == "Melbourne Cup Day"
    assert holidays_of("AU-NSW")(_hour(date(2015, 11, 3))) == ORDINARY
    assert calendar(_hour(date(2015, 12, 28))) == calendar(_hour(date(2015, 12, 26)))  # observed on Monday


def test_the_zone_names_the_subdivision_where_it_can() -> None:
    assert holidays_of("AU", "Australia/Melbourne")(_hour(date(2015, 11, 3))) == "Melbourne Cup Day"


@pytest.mark.parametrize("country", ["XX", "AU-BAVARIA"])
def test_an_unknown_country_is_refused_in_words(country: str) -> None:
    with pytest.raises(UnknownCountry, match=f"no holidays are known of {country}"):
        holidays_of(country)


def test_exceptions_of_the_registry_close_and_open_hours() -> None:
    hours = {"mon": ((600, 1200),), "sun": ()}
    exceptions = {"2026-03-02": (), "2026-03-01": ((720, 960),)}
    calendar = calendar_of(Site("a", "A", "Europe/Berlin", "DE", hours=hours, exceptions=exceptions))
    monday, sunday = date(2026, 3, 2), date(2026, 3, 1)
    assert [calendar(_hour(monday, c)) for c in (9, 10, 19, 20)] == [ORDINARY, CLOSED, CLOSED, ORDINARY]
    assert [calendar(_hour(sunday, c)) for c in (11, 12, 15, 16)] == [ORDINARY, OPENED, OPENED, ORDINARY]


def _with_holidays(weeks: int, share: float) -> HourForecast:
    """A store that takes `share` of a usual day every fourth Wednesday; the calendar knows which."""
    model = HourForecast(lambda hour: "fair" if hour // 24 % 28 == 6 else ORDINARY)
    rng = np.random.default_rng(11)
    for hour in range(weeks * WEEK_HOURS):
        model.learn(hour, float(rng.poisson(_usual(hour) * (share if hour // 24 % 28 == 6 else 1.0))))
    return model


@pytest.mark.parametrize("share", [0.25, 1.5])
def test_a_holiday_is_forecast_like_the_same_one_before_and_leaves_the_week_alone(share: float) -> None:
    model = _with_holidays(32, share)
    while (model.at + 1) // 24 % 28 != 6:
        model.learn(model.at + 1, _usual(model.at + 1))
    for band in model.forecast(range(10, 20)):
        assert band.mean == pytest.approx(share * _usual(model.at + band.step), rel=0.2)
    plain = model.forecast(range(24 + 10, 24 + 20))
    assert all(b.mean == pytest.approx(_usual(model.at + b.step), rel=0.15) for b in plain)


def test_a_day_that_is_closed_by_way_of_exception_is_forecast_as_nobody() -> None:
    model = HourForecast(lambda hour: CLOSED if hour // 24 == 8 * 7 else ORDINARY)
    for hour in range(8 * WEEK_HOURS):
        model.learn(hour, _usual(hour))
    assert all(band.mean == 0.0 for band in model.forecast(range(1, 25)))
    assert model.forecast((36,))[0].mean == pytest.approx(_usual(model.at + 36), rel=0.15)


def test_its_state_goes_on_exactly() -> None:
    model = _with_holidays(12, 0.25)
    copy = HourForecast.from_bytes(model.to_bytes(), model.calendar)
    for hour in range(model.at + 1, model.at + 30 * 24):
        for one in (model, copy):
            one.learn(hour, _usual(hour))
    assert copy.to_bytes() == model.to_bytes() and len(copy.to_bytes()) <= 8192
